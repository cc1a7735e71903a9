import { resolve } from 'node:path'
import { createInterface } from 'node:readline/promises'
import type { Command } from 'commander'
import { LabError } from '#core/contract/errors.ts'
import type { Removal, Verification } from '#core/contract/library.ts'
import { bytes, count } from '#core/reports/numbers.ts'
import { EXIT } from './exit.ts'
import { harmless, plural, programName } from './format.ts'
import { action, type Session } from './session.ts'
import { shellWord } from '#core/contract/command-line.ts'
import { find, type Shelf } from './shelves.ts'

/** `import`, `verify`, `export` and `remove` of `kvlab models` and `kvlab datasets`. */
export function addShelfCommands(group: Command, shelf: Shelf): void {
  addImport(group, shelf)
  addVerify(group, shelf)
  addExport(group, shelf)
  addRemove(group, shelf)
}

function addImport(group: Command, shelf: Shelf): void {
  const { command, kind } = shelf
  const what = kind === 'model' ? 'A model is a folder with config.json, the tokenizer and ONNX files' : 'A text is a .txt, .md, .raw, .jsonl, .csv or .parquet file (those may end in .gz), or a folder of them'
  group
    .command('import')
    .summary(`copy a ${kind} from a folder, file or archive into the library`)
    .description(`Copy a ${kind} into the library and record the SHA-256 of every file. ${what}; either may come as a .zip, .tar, .tar.gz or .tgz, as export writes it. Hashes that come with it are checked. The source stays as it is.`)
    .argument('<path>', 'a folder, a file, or an archive of them')
    .option('--name <name>', "its name in the library (default: that of the source)")
    .addHelpText('after', `\nExamples:\n  kvlab ${command} import ${kind === 'model' ? 'Downloads/SmolLM2-135M-Instruct' : 'wikitext-2-raw-v1.zip'}\n  kvlab ${command} import ${kind}.tar --name ${kind}-of-the-paper`)
    .action(
      action(async (session, path: string, { name }: { name?: string }) => {
        const imported = await session.finish(session.engine.stream('shelf.import', { kind, path, name: name ?? null }, { signal: session.signal }))
        if (session.json) session.printJson(imported)
        else {
          session.print(`${harmless(imported.name)} is in the library: ${plural(imported.files, 'file')}, ${bytes(imported.bytes)}, hashes recorded`)
          if (!session.quiet) session.print(`path:  ${harmless(imported.path)}\nnext:  ${programName()} ${command} show ${shellWord(imported.name)}`)
        }
        return EXIT.pass
      }),
    )
}

function addVerify(group: Command, shelf: Shelf): void {
  const { command, kind, example } = shelf
  group
    .command('verify')
    .summary(`hash the files of a ${kind} again and name each that is not as it came`)
    .description('Hash every file again and compare it with what was recorded when it came: the hub\'s hashes of a download, SHA256SUMS of an import. Exit code 1 if a file changed or is missing, 3 if nothing was recorded that could be held against it.')
    .argument('[name...]', `a ${kind} of the list, or a path`)
    .option('--all', 'all that was downloaded or imported')
    .addHelpText('after', `\nExamples:\n  kvlab ${command} verify ${example}\n  kvlab ${command} verify --all --json`)
    .action(
      action(async (session, names: string[], { all }: { all?: true }) => {
        if (all ? names.length > 0 : names.length === 0) throw new LabError('INVALID_INPUT', `verify: name a ${kind} of kvlab ${command}, or use --all`)
        const entries = all ? (await shelf.list(session)).filter(({ origin }) => origin === 'hub' || origin === 'library') : []
        for (const name of names) entries.push(await find(session, shelf, name))
        const verified: Verification[] = []
        for (const entry of entries) {
          const verification = await session.finish(session.engine.stream('shelf.verify', { kind, path: entry.path }, { signal: session.signal }))
          if (!session.json) showVerification(session, shelf.nameOf(entry), verification)
          verified.push(verification)
        }
        if (session.json) session.printJson(verified)
        else if (verified.length === 0) session.print(`no ${kind} was downloaded or imported yet: there is nothing to verify`)
        if (verified.some(isDamaged)) return EXIT.gateFailed
        return verified.every(({ passed }) => passed) ? EXIT.pass : EXIT.inconclusive
      }),
    )
}

function isDamaged({ files }: Verification): boolean {
  return files.some(({ status }) => status === 'changed' || status === 'missing')
}

function showVerification(session: Session, name: string, verification: Verification): void {
  const { colors } = session
  const { files, passed } = verification
  const bad = files.filter(({ status }) => status === 'changed' || status === 'missing')
  const total = bytes(files.reduce((sum, file) => sum + file.bytes, 0))
  const answer = passed ? colors.green('intact') : bad.length > 0 ? colors.red('DAMAGED') : colors.yellow('NOT RECORDED')
  const facts = passed ? `${plural(files.length, 'file')}, ${total}, as they came` : bad.length > 0 ? `${count(bad.length)} of ${plural(files.length, 'file')}` : 'nobody recorded hashes of it: import it to have them'
  session.print(`${answer}  ${harmless(name)}: ${facts}`)
  for (const { path, status, expected, found } of bad) session.print(`  ${status}  ${harmless(path)}${status === 'changed' ? `: should be ${expected ?? 'unknown'}, is ${found ?? 'unreadable'}` : ''}`)
}

function addExport(group: Command, shelf: Shelf): void {
  const { command, kind, example } = shelf
  group
    .command('export')
    .summary(`one .tar of a ${kind} with its hashes, for a machine without a network`)
    .description(`Write a ${kind} with its SHA-256 sums and its origin to one .tar file, which import on another machine checks and takes.`)
    .argument('<name>', `a ${kind} of the list, or a path`)
    .requiredOption('-o, --output <file>', 'the .tar file to write')
    .addHelpText('after', `\nExamples:\n  kvlab ${command} export ${example} -o ${kind}.tar`)
    .action(
      action(async (session, name: string, { output }: { output: string }) => {
        const { path } = await find(session, shelf, name)
        const exported = await session.finish(session.engine.stream('shelf.export', { kind, path, output: resolve(output) }, { signal: session.signal }))
        if (session.json) session.printJson(exported)
        else {
          session.print(`${exported.output}: ${plural(exported.files, 'file')}, ${bytes(exported.bytes)}\nSHA-256 ${exported.sha256}`)
          if (!session.quiet) session.print(`\nthere:  kvlab ${command} import ${shellWord(output)}`)
        }
        return EXIT.pass
      }),
    )
}

function addRemove(group: Command, shelf: Shelf): void {
  const { command, kind, example } = shelf
  group
    .command('remove')
    .summary(`delete a ${kind} that was downloaded or imported`)
    .description(`Delete what only this ${kind} uses and say what that frees. Asks before it does; where nobody can be asked it needs --yes.`)
    .argument('<name>', `a ${kind} of the list, or its path`)
    .option('--yes', 'do not ask')
    .option('--dry-run', 'say what would go, and remove nothing')
    .addHelpText('after', `\nExamples:\n  kvlab ${command} remove ${example} --dry-run\n  kvlab ${command} remove ${example} --yes`)
    .action(
      action(async (session, name: string, flags: { yes?: true; dryRun?: true }) => {
        const { path } = await find(session, shelf, name)
        const removal = await session.engine.call('shelf.removal', { kind, path }, { signal: session.signal })
        if (removal.refused !== null) throw new LabError('INVALID_INPUT', removal.refused)
        if (flags.dryRun) {
          if (session.json) session.printJson(removal)
          else showRemoval(session, removal)
          return EXIT.pass
        }
        if (!flags.yes) {
          if (session.json || !process.stdin.isTTY) throw new LabError('INVALID_INPUT', `remove: this would delete ${plural(removal.files.length, 'file')} and free ${bytes(removal.frees)}: add --yes to do it`)
          showRemoval(session, removal)
          if (!(await confirmed(session, 'remove them?'))) {
            session.print('nothing was removed')
            return EXIT.pass
          }
        }
        const done = await session.engine.call('shelf.remove', { kind, path })
        if (session.json) session.printJson(done)
        else session.print(`removed ${harmless(name)}: ${plural(done.files.length, 'file')}, ${bytes(done.frees)} freed`)
        return EXIT.pass
      }),
    )
}

function showRemoval(session: Session, { files, frees }: Removal): void {
  session.print(`removing frees ${bytes(frees)}:\n${files.map((file) => `  ${harmless(file)}`).join('\n')}`)
}

/** Asks on the terminal; anything but a yes is a no. Throws LabError CANCELLED at a Ctrl-C. */
async function confirmed(session: Session, question: string): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr, terminal: false })
  try {
    return /^y(es)?$/i.test((await terminal.question(`${question} (y/N) `, { signal: session.signal })).trim())
  } catch (error) {
    session.signal.throwIfAborted()
    throw error
  } finally {
    terminal.close()
  }
}

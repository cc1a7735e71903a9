#!/usr/bin/env node
import { Command, CommanderError } from 'commander'
import { labVersion } from '#core/runs/facts.ts'
import { addCompress } from './compress.ts'
import { addDatasets } from './datasets.ts'
import { addDecompress } from './decompress.ts'
import { addDemo } from './demo.ts'
import { addDoctor } from './doctor.ts'
import { EXIT } from './exit.ts'
import { addExtract } from './extract.ts'
import { addInspect } from './inspect.ts'
import { addMethods } from './methods.ts'
import { addMetrics } from './metrics.ts'
import { addModels } from './models.ts'
import { addPerplexity } from './perplexity.ts'
import { addReport } from './report.ts'
import { addResume } from './resume.ts'
import { addServe } from './serve.ts'
import { addSweep } from './sweep.ts'
import { addValidate } from './validate.ts'

const program = new Command('kvlab')
program
  .description("What compressing a language model's KV cache costs, and what it saves: measured on bytes that were written and read back.")
  .version(labVersion())
  .option('--json', 'print one JSON document on standard output and nothing else')
  .option('--quiet', 'no progress and no hints')
  .option('--no-color', 'no colours (also where NO_COLOR is set or the output is no terminal)')
  .option('--verbose', 'say more: stack traces, what the engine prints, every tensor')
  .configureHelp({ showGlobalOptions: true })
  .configureOutput({ outputError: (text, write) => write(`error INVALID_INPUT: ${text.replace(/^error: /, '').trim().replaceAll('\n', ' ')}: see --help\n`) })
  .exitOverride()
  .addHelpText(
    'after',
    `
Examples:
  kvlab demo
  kvlab models add HuggingFaceTB/SmolLM2-135M-Instruct --weights q4
  kvlab sweep --model FOLDER --data TEXT.txt --methods int8:g64,int4:g64+lz4
  kvlab validate --model FOLDER --data TEXT.txt --method int4:g64+lz4 --threshold 0.5

Exit codes: 0 pass, 1 gate failed (sweep and demo: with --strict, or when no method could be measured), 2 wrong usage or input, 3 inconclusive, 4 a control failed, 130 interrupted.`,
  )
for (const add of [addDemo, addSweep, addResume, addValidate, addPerplexity, addExtract, addCompress, addDecompress, addMetrics, addInspect, addReport, addServe, addModels, addDatasets, addMethods, addDoctor]) add(program)

// A reader that has seen enough, such as head, is no error.
for (const output of [process.stdout, process.stderr]) {
  output.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') return
    process.stderr.write(`error ${error.code === 'ENOSPC' ? 'DISK_FULL' : 'NOT_WRITABLE'}: cannot write the output (${error.code ?? error.message}): send it elsewhere\n`)
    process.exit(EXIT.usage)
  })
}

try {
  await program.parseAsync()
} catch (error) {
  if (!(error instanceof CommanderError)) throw error
  process.exitCode = error.exitCode === 0 ? EXIT.pass : EXIT.usage
}

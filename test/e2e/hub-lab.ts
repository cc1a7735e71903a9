import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parquetWriteBuffer } from 'hyparquet-writer'
import { pack } from 'tar-stream'
import { resourcesFolder } from '#core/library/resources.ts'
import type { FixtureFile, RepoFixture } from '../hub-files.ts'
import { startHub, type TestHub } from '../hub-server.ts'
import { Lab } from './lab.ts'

/** A repository with the demo model under another name: small, and it runs. */
export const MODEL = 'kvlab/tiny-llama'
/** A repository whose files only TOKEN may read. */
export const GATED = 'kvlab/tiny-gated'
export const TOKEN = 'hf_aTokenOfTheTests'
/** The data set that the list of known ones names first. */
export const WIKITEXT = 'Salesforce/wikitext'

/** A lab whose hub is one of the tests, and whose cache is a folder of its own. */
export type HubLab = { lab: Lab; hub: TestHub; folder: string; close: () => Promise<void> }

/** `env`: variables of the lab's environment beside those that lead it to the hub. */
export async function openHubLab(env: Record<string, string> = {}): Promise<HubLab> {
  const folder = await mkdtemp(join(tmpdir(), 'kvlab-e2e-hub-'))
  const hub = await startHub({ repos: await repositories(), readers: [TOKEN] })
  const lab = await Lab.open({ env: { HF_ENDPOINT: hub.endpoint.origin, HF_HOME: folder, ...env } })
  return {
    lab,
    hub,
    folder,
    close: async () => {
      await lab.close()
      await hub.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function repositories(): Promise<RepoFixture[]> {
  const files = await modelFiles()
  const rows = wikitextRows()
  return [
    { name: MODEL, licence: 'apache-2.0', files: { ...files, 'onnx/decoder_model_merged.onnx': 'not a graph', 'README.md': '# Tiny' } },
    { name: GATED, licence: 'other', gated: true, files },
    { name: 'kvlab/no-graph', licence: 'mit', files: { 'config.json': '{}', 'model.safetensors': 'x' } },
    { name: WIKITEXT, kind: 'dataset', licence: 'cc-by-sa-3.0', files: { 'wikitext-2-raw-v1/test-00000-of-00001.parquet': parquet(rows), 'wikitext-2-raw-v1/validation-00000-of-00001.parquet': parquet(rows.slice(200).map((row) => row.replaceAll('river', 'brook'))), 'README.md': '# WikiText' } },
  ]
}

/** The files of the embedded model by their paths in a repository. */
export async function modelFiles(): Promise<Record<string, FixtureFile>> {
  const folder = join(resourcesFolder(), 'models', 'kvlab-demo')
  const names = (await readdir(folder)).filter((name) => name.endsWith('.json') && name !== 'DATA.json')
  const small = await Promise.all(names.map(async (name) => [name, await readFile(join(folder, name))] as const))
  return { ...Object.fromEntries(small), 'onnx/model.onnx': { path: join(folder, 'onnx', 'model.onnx') } }
}

/** A tar with the embedded model in one folder. */
export async function tarOfModel(folder: string): Promise<Uint8Array> {
  const archive = pack()
  for (const [name, file] of Object.entries(await modelFiles())) archive.entry({ name: `${folder}/${name}` }, Buffer.from(typeof file === 'string' || file instanceof Uint8Array ? file : await readFile(file.path)))
  archive.finalize()
  const pieces: Uint8Array[] = []
  for await (const piece of archive as AsyncIterable<Uint8Array>) pieces.push(piece)
  return Buffer.concat(pieces)
}

/** Rows as WikiText has them: empty ones, headings, paragraphs. */
function wikitextRows(): string[] {
  return Array.from({ length: 300 }, (_, i) => (i % 3 === 0 ? '' : i % 3 === 1 ? ` = Chapter ${i} = \n` : ` In chapter ${i} the river rose above its banks , and the people of the town carried what they had up the hill . \n`))
}

function parquet(rows: string[]): Uint8Array {
  return new Uint8Array(parquetWriteBuffer({ columnData: [{ name: 'text', data: rows, type: 'STRING' }] }))
}

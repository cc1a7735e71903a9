import { createHash } from 'node:crypto'
import { cp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { tinyModel } from '../../test/tiny-model.ts'
import { findModel, modelFacts } from './models.ts'
import { resourcesFolder } from './resources.ts'

const folders: string[] = []
async function copyOfTiny(): Promise<string> {
  const folder = await tinyModel()
  folders.push(folder)
  return folder
}
afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true })
})

const coded = (code: string, text: RegExp): unknown => expect.objectContaining({ code, message: expect.stringMatching(text) as string })

describe('findModel', () => {
  it('knows the demo model', async () => {
    const model = await findModel('demo')
    expect(model).toMatchObject({ name: 'kvlab-demo', folder: join(resourcesFolder(), 'models', 'kvlab-demo'), weights: null })
    expect(model.onnxFiles).toEqual([join(model.folder, 'onnx', 'model.onnx')])
  })

  it('prefers model.onnx, lists its external data, and takes other weights by path', async () => {
    const folder = await copyOfTiny()
    const onnx = join(folder, 'onnx')
    for (const file of ['model.onnx_data', 'model.onnx_data_1', 'model_q4.onnx', 'model_q4.onnx_data']) await writeFile(join(onnx, file), file)
    const files = (model: { onnxFiles: readonly string[] }): string[] => model.onnxFiles.map((path) => path.slice(onnx.length + 1))
    expect(files(await findModel(folder))).toEqual(['model.onnx', 'model.onnx_data', 'model.onnx_data_1'])
    const model = await findModel(join(onnx, 'model_q4.onnx'))
    expect(files(model)).toEqual(['model_q4.onnx', 'model_q4.onnx_data'])
    expect(model).toMatchObject({ folder, weights: 'q4' })
    await expect(findModel(join(onnx, 'model_int8.onnx'))).rejects.toThrow(coded('FILE_NOT_FOUND', /no model_int8.onnx: it has model.onnx, model_q4.onnx/))
  })

  it('asks which, where several have no default', async () => {
    const folder = await copyOfTiny()
    const onnx = join(folder, 'onnx')
    await cp(join(onnx, 'model.onnx'), join(onnx, 'model_q4.onnx'))
    await rm(join(onnx, 'model.onnx'))
    expect((await findModel(folder)).weights).toBe('q4')
    await writeFile(join(onnx, 'model_fp16.onnx'), '')
    await expect(findModel(folder)).rejects.toThrow(coded('INVALID_INPUT', /several models \(model_fp16.onnx, model_q4.onnx\).*--model .*model_fp16.onnx/))
  })

  it('finds a graph beside config.json', async () => {
    const folder = await copyOfTiny()
    await cp(join(folder, 'onnx', 'model.onnx'), join(folder, 'model.onnx'))
    await rm(join(folder, 'onnx'), { recursive: true })
    expect(await findModel(folder)).toMatchObject({ folder, onnxPath: join(folder, 'model.onnx') })
    expect(await findModel(join(folder, 'model.onnx'))).toMatchObject({ folder })
  })

  it('refuses what is no model, with the reason', async () => {
    const folder = await copyOfTiny()
    await expect(findModel(join(folder, 'none'))).rejects.toThrow(coded('FILE_NOT_FOUND', /does not exist/))
    await rm(join(folder, 'onnx', 'model.onnx'))
    await expect(findModel(folder)).rejects.toThrow(coded('MODEL_UNSUPPORTED', /no model\*\.onnx/))
    await rm(join(folder, 'tokenizer.json'))
    await expect(findModel(folder)).rejects.toThrow(coded('FILE_NOT_FOUND', /no tokenizer.json/))
  })
})

describe('modelFacts', () => {
  it('hashes every file that decides a number, anew when it changes', async () => {
    const folder = await copyOfTiny()
    const model = await findModel(folder)
    const graph = { kvDtype: 'F32', layers: 2, kvHeads: 2, headDim: 4, vocab: 8, rope: { theta: 10000, scaling: null } } as const
    const sha256 = async (path: string): Promise<string> => createHash('sha256').update(await readFile(path)).digest('hex')
    const facts = await modelFacts(model, graph)
    expect(facts).toMatchObject({ ...graph, folder, weights: null, tokenizerSha256: await sha256(model.tokenizerPath) })
    expect(facts.files).toEqual([
      { path: 'config.json', sha256: await sha256(model.configPath), bytes: (await readFile(model.configPath)).length },
      { path: 'onnx/model.onnx', sha256: await sha256(model.onnxPath), bytes: (await readFile(model.onnxPath)).length },
    ])
    await writeFile(model.onnxPath, 'changed')
    expect((await modelFacts(model, graph)).files[1]).toEqual({ path: 'onnx/model.onnx', sha256: await sha256(model.onnxPath), bytes: 7 })
  })
})

it('resources are those of this checkout', () => {
  expect(resourcesFolder()).toBe(fileURLToPath(new URL('../../resources', import.meta.url)))
})

describe('where a model came from', () => {
  it('is told by its place in a Hugging Face cache or by the record of an import, and recorded with a run', async () => {
    const tiny = await copyOfTiny()
    expect((await findModel(tiny)).source).toBe(null)
    const commit = 'abc'.padEnd(40, '0')
    const snapshot = join(tiny, 'models--org--name', 'snapshots', commit)
    await cp(join(tiny, 'onnx'), join(snapshot, 'onnx'), { recursive: true })
    for (const file of ['config.json', 'tokenizer.json', 'tokenizer_config.json']) await cp(join(tiny, file), join(snapshot, file))
    const model = await findModel(snapshot)
    expect(model).toMatchObject({ name: 'org/name', source: { repo: 'org/name', commit } })
    const graph = { kvDtype: 'F32', layers: 2, kvHeads: 2, headDim: 4, vocab: 8, rope: { theta: 10000, scaling: null } } as const
    expect(await modelFacts(model, graph)).toMatchObject({ name: 'org/name', revision: commit })
    await writeFile(join(tiny, 'kvlab.json'), JSON.stringify({ schema: 'kvlab.shelf/1', repo: 'a/b', commit, licence: null, addedAt: null }))
    expect((await findModel(tiny)).source).toEqual({ repo: 'a/b', commit })
    await writeFile(join(tiny, 'kvlab.json'), 'damaged')
    expect((await findModel(tiny)).source).toBe(null)
  })

  it('hashes weights that a graph names by a name of their own', async () => {
    const folder = await tinyModel({ external: true })
    folders.push(folder)
    const model = await findModel(folder)
    const graph = { kvDtype: 'F32', layers: 2, kvHeads: 2, headDim: 4, vocab: 8, rope: { theta: 10000, scaling: null } } as const
    const bytes = (await readFile(model.onnxPath)).toString('latin1').replaceAll('model.onnx_data', 'weights.bin.all')
    await writeFile(model.onnxPath, bytes, 'latin1')
    await writeFile(join(folder, 'onnx', 'weights.bin.all'), Buffer.alloc(256))
    expect((await modelFacts(model, graph)).files.map(({ path }) => path)).toEqual(['config.json', 'onnx/model.onnx', 'onnx/weights.bin.all'])
  })
})

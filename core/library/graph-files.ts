import { realpath } from 'node:fs/promises'
import { dirname, join, sep } from 'node:path'
import { openFile } from '#core/bytes/file.ts'
import { LabError } from '#core/contract/errors.ts'
import { tensorHead } from '#core/onnx/model.ts'
import { readGraphHead } from './graph-head.ts'
import type { ModelFolder } from './models.ts'

/**
 * The graph and all that holds its weights: files named after it, and those that the graph itself names, whatever they are called, as far as they lie in the model's
 * folder. Of a graph that cannot be read those named after it alone. Throws LabError of file errors.
 */
export async function graphFiles({ folder, onnxPath, onnxFiles }: ModelFolder): Promise<string[]> {
  const files = new Set(onnxFiles)
  const beside = dirname(onnxPath)
  for (const location of await locationsOf(onnxPath)) {
    const path = join(beside, location)
    if (path.startsWith(folder + sep) && (await realpath(path).catch(() => null)) !== null) files.add(path)
  }
  return [...files].sort()
}

async function locationsOf(path: string): Promise<Set<string>> {
  const locations = new Set<string>()
  const source = await openFile(path)
  try {
    const { graph } = await readGraphHead(source, path)
    for (const tensor of graph.initializer) {
      const { external } = tensorHead(tensor)
      if (external) locations.add(external.location)
    }
  } catch (error) {
    if (!(error instanceof LabError)) throw error
  } finally {
    await source.close()
  }
  return locations
}

import { readdir, readFile } from 'node:fs/promises'
import { basename, isAbsolute, join } from 'node:path'
import { z } from 'zod'

/** Runs that are asked, the newest: what was used before these, its person can name again. */
const MAX_RUNS = 1000

const head = z.object({ plan: z.object({ model: z.object({ folder: z.string(), files: z.array(z.object({ path: z.string() })) }) }) })
const spec = z.object({ data: z.string() })

/** The graphs that the library's runs evaluated, `file` by its name in `folder`; they need not be there any more. */
export async function usedModels(home: string): Promise<{ folder: string; file: string }[]> {
  const used = new Map<string, { folder: string; file: string }>()
  for (const document of await documents(home, 'run.json')) {
    const { data } = head.safeParse(document)
    const graph = data?.plan.model.files.find(({ path }) => path.endsWith('.onnx'))
    if (data && graph && isAbsolute(data.plan.model.folder)) {
      const entry = { folder: data.plan.model.folder, file: basename(graph.path) }
      used.set(JSON.stringify(entry), entry)
    }
  }
  return [...used.values()]
}

/** Texts that the library's runs scored and named by an absolute path: what a relative one was relative to, no one knows any more. */
export async function usedTexts(home: string): Promise<string[]> {
  const texts = (await documents(home, 'spec.json')).flatMap((document) => spec.safeParse(document).data?.data ?? [])
  return [...new Set(texts.filter((path) => isAbsolute(path)))]
}

/** One document of each of the newest runs, those that cannot be read left out. A run's folder begins with its date. */
async function documents(home: string, file: string): Promise<unknown[]> {
  const runs = join(home, 'runs')
  const folders = (await readdir(runs).catch(() => [])).sort().slice(-MAX_RUNS).reverse()
  const found: unknown[] = []
  for (const folder of folders) {
    try {
      found.push(JSON.parse(await readFile(join(runs, folder, file), 'utf8')))
    } catch {
      // A list of models is no place to report a damaged run; the list of runs does.
    }
  }
  return found
}

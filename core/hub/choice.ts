import type { HubChoice, HubFile } from '#core/contract/hub.ts'

/** A choice of these files, counted. */
export function choiceOf(choice: Omit<HubChoice, 'files' | 'bytes' | 'missing'> & { files: readonly HubFile[] }): HubChoice {
  const { files } = choice
  const sum = (counted: readonly HubFile[]): number => counted.reduce((total, { bytes }) => total + bytes, 0)
  return { ...choice, files: files.map(({ path }) => path), bytes: sum(files), missing: sum(files.filter(({ present }) => !present)) }
}

/** The folder of a path within a repository; empty at its top. */
export function folderOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')))
}

/** The last name of a path within a repository. */
export function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

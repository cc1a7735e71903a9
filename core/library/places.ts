import { cacheFolder } from '#core/hub/place.ts'
import { readSettings } from './settings.ts'
import type { Places } from './shelf.ts'

/** Where the library of this `home` lies, the Hugging Face cache as environment and settings name it now. Throws LabError of `readSettings`. */
export async function placesOf(home: string): Promise<Places> {
  return { home, cache: cacheFolder((await readSettings(home)).hub).folder }
}

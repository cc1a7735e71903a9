/** The scheme and host that the page is served under, and its origin; nothing else is trusted. */
export const SCHEME = 'app'
export const HOST = 'lab'
export const ORIGIN = `${SCHEME}://${HOST}`

/** An address in its parts, null where it is none. */
export function parsed(address: string): URL | null {
  return URL.canParse(address) ? new URL(address) : null
}

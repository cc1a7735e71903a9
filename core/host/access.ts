import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { isIPv4, isIPv6 } from 'node:net'
import { hostname, networkInterfaces } from 'node:os'
import { LabError } from '#core/contract/errors.ts'

/** A request that the host does not take: the HTTP status and why. */
export type Refusal = { status: number; error: LabError }

/** A token no one can guess: 256 random bits, as base64url. */
export function newToken(): string {
  return randomBytes(32).toString('base64url')
}

/** Whether a token is the right one. Hashes are compared, in constant time, so that neither length nor content shows in how long it takes. */
export function tokenCheck(token: string): (given: unknown) => boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  const right = digest(token)
  return (given) => typeof given === 'string' && timingSafeEqual(digest(given), right)
}

/** The token of an `Authorization: Bearer` header. */
export function bearerOf({ headers }: IncomingMessage): string | undefined {
  return /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1]
}

/** Whether an address reaches this machine only. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'))
}

/** An address as it stands in a URL. */
export function urlHost(host: string): string {
  return isIPv6(host) ? `[${host}]` : host
}

/**
 * The values of the Host header that are this host: loopback's names and the one it was given; of all addresses (0.0.0.0, ::) this machine's own.
 * A page elsewhere whose name was made to point here (DNS rebinding) sends its own name and is refused.
 */
export function ownHosts(host: string, port: number): ReadonlySet<string> {
  const all = host === '0.0.0.0' || host === '::' ? [hostname(), ...Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address))] : []
  const names = ['127.0.0.1', 'localhost', '::1', host, ...all].map((name) => urlHost(name).toLowerCase())
  // A browser leaves the port out where it is the protocol's own.
  return new Set(names.flatMap((name) => (port === 80 ? [name, `${name}:80`] : [`${name}:${port}`])))
}

/** Why a request is refused before anything of it is read; null: it names this host and comes from its page or from no page at all. */
export function strayRequest({ headers }: IncomingMessage, hosts: ReadonlySet<string>): Refusal | null {
  const { host = '', origin } = headers
  if (!hosts.has(host.toLowerCase())) return { status: 403, error: new LabError('INVALID_INPUT', 'this is not the name of this host: open the address that kvlab serve printed') }
  if (origin !== undefined && origin.toLowerCase() !== `http://${host.toLowerCase()}`) {
    return { status: 403, error: new LabError('INVALID_INPUT', 'requests from the page of another site are not answered: open the address that kvlab serve printed') }
  }
  return null
}

/** The refusal of a request without the right token. */
export function unauthorized(): Refusal {
  return { status: 401, error: new LabError('INVALID_INPUT', 'the token is missing or wrong: send the one that kvlab serve printed, as Authorization: Bearer TOKEN') }
}

import { LabError, type LabErrorCode } from '#core/contract/errors.ts'

/** Why a connection failed, for people, and whether trying again may help. */
type Failure = { readonly says: string; readonly retry: boolean }

const FAILURES: Readonly<Record<string, Failure>> = {
  ECONNREFUSED: { says: 'refuses connections: check the address, and whether it runs', retry: true },
  ECONNRESET: { says: 'broke the connection off', retry: true },
  EPIPE: { says: 'broke the connection off', retry: true },
  UND_ERR_SOCKET: { says: 'broke the connection off', retry: true },
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: { says: 'sent fewer bytes than it announced', retry: true },
  ETIMEDOUT: { says: 'does not answer in time: check the network', retry: true },
  UND_ERR_CONNECT_TIMEOUT: { says: 'does not answer in time: check the network', retry: true },
  UND_ERR_HEADERS_TIMEOUT: { says: 'does not answer in time', retry: true },
  UND_ERR_BODY_TIMEOUT: { says: 'sends nothing any more', retry: true },
  ENOTFOUND: { says: 'is no known host: check the address and the network', retry: true },
  EAI_AGAIN: { says: 'is not found: the name server does not answer; check the network', retry: true },
  ENETUNREACH: { says: 'is not reached: there is no way to it; check the network', retry: true },
  EHOSTUNREACH: { says: 'is not reached: there is no way to it; check the network', retry: true },
  ENETDOWN: { says: 'is not reached: the network is down', retry: true },
  UND_ERR_HEADERS_OVERFLOW: { says: 'sends headers without end: check the address', retry: false },
}

/** What OpenSSL says of a certificate that it does not trust, or that is of another host. */
const CERTIFICATE = /CERT|SELF_SIGNED|ISSUER|UNABLE_TO_(VERIFY|GET)|UND_ERR_PRX_TLS/

/** Host and path of an address. Its query and password are secrets. */
export function whereOf(url: URL): string {
  return `${url.host}${url.pathname}`
}

/** What a socket, a resolver, TLS or a parser said, as LabError NETWORK_FAILED with details `{ status: null, retryAfterSeconds: null, retry }`; a LabError stays as it is. `proxy`: what stood between. */
export function connectionError(error: unknown, url: URL, proxy: URL | null): LabError {
  if (error instanceof LabError) return error
  const { says, retry } = explain(error)
  const through = proxy ? ` (through the proxy ${proxy.host})` : ''
  // No cause: what lies in a foreign error, headers or addresses, is not known to be fit for a log.
  return new LabError('NETWORK_FAILED', `${whereOf(url)}${through} ${says}`, { status: null, retryAfterSeconds: null, retry })
}

function explain(error: unknown): Failure {
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
  const known = Object.hasOwn(FAILURES, code) ? FAILURES[code] : undefined
  if (known) return known
  const said = error instanceof Error ? error.message : ''
  if (CERTIFICATE.test(code)) {
    return { says: `has a certificate that is not trusted (${code}): a corporate proxy? set NODE_EXTRA_CA_CERTS to the file of its certificate`, retry: false }
  }
  if (code.startsWith('ERR_SSL') || code === 'EPROTO') return { says: 'does not speak TLS as it should: check http or https in the address and the proxy', retry: false }
  const proxyStatus = /Proxy response \((\d{3})\)/.exec(said)?.[1] ?? /\((407)\)/.exec(said)?.[1]
  if (proxyStatus === '407') return { says: 'is not reached: the proxy wants a name and a password; write them in its address', retry: false }
  if (proxyStatus !== undefined) return { says: `is not reached: the proxy answers ${proxyStatus}`, retry: proxyStatus.startsWith('5') }
  if (error instanceof Error && error.name === 'HTTPParserError') return { says: 'does not speak HTTP: check the address and the port', retry: true }
  return { says: `could not be read${code ? ` (${code})` : ''}`, retry: true }
}

/** What a status other than a success means. `own`: the hub itself said so, not a file store that it sent to; `token`: it was given one; `reason`: its X-Error-Code. */
export function statusRefusal(answer: { status: number; url: URL; what: string; own: boolean; token: boolean; reason: string | null }): { code: LabErrorCode; text: string; retry: boolean } {
  const { status, url, what, own, token, reason } = answer
  const host = url.host
  if (status === 401 || status === 403 || status === 404) {
    // What a file store signed for a few minutes has ended, or is being replaced: the hub signs anew when asked again.
    if (!own) return { code: 'NETWORK_FAILED', text: `${host} does not give ${what}: status ${status}; its address may have expired, ask the hub again`, retry: true }
    if (status === 404) return { code: 'FILE_NOT_FOUND', text: `${what} is not on ${host}: check the name and the revision`, retry: false }
    return { code: 'ACCESS_DENIED', text: deniedText(status, host, what, token, reason), retry: false }
  }
  if (status === 407) return { code: 'NETWORK_FAILED', text: `${host} is not reached: the proxy wants a name and a password; write them in its address`, retry: false }
  if (status === 429) return { code: 'NETWORK_FAILED', text: `${host} was asked too often for ${what}: try again later, or with a token`, retry: true }
  const retry = status === 408 || status === 425 || (status >= 500 && status !== 501 && status !== 505)
  const advice = retry ? 'try again later' : "check the hub's address and the proxy"
  return { code: 'NETWORK_FAILED', text: `${host} answers ${what} with status ${status}: ${advice}`, retry }
}

function deniedText(status: number, host: string, what: string, token: boolean, reason: string | null): string {
  const accept = `open its page on ${host}, accept the terms there`
  if (reason === 'GatedRepo' || status === 403) {
    const rights = token ? 'and use a token that may read it' : 'and give a token (hf auth login, or HF_TOKEN)'
    return `${what} is gated or not yours to read on ${host}: ${accept} ${rights}`
  }
  if (token) return `${host} does not take the token for ${what}: give one that is valid and may read it (hf auth login, or HF_TOKEN), and check the name`
  // A hub says the same of what is private and of what is not there.
  return `${what} is not there, private or gated on ${host}: check the name; if it is right, ${accept} and give a token (hf auth login, or HF_TOKEN)`
}

/** Seconds that a Retry-After header asks for, from a number or a date; null where it says nothing readable. */
export function retryAfterSeconds(header: string | undefined, now = Date.now()): number | null {
  if (header === undefined) return null
  if (/^\d{1,9}$/.test(header.trim())) return Number(header)
  const date = /^[A-Z][a-z]{2}/.test(header) ? Date.parse(header) : NaN
  return Number.isNaN(date) ? null : Math.max(0, Math.ceil((date - now) / 1000))
}

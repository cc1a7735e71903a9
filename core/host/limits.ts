/** What a host takes from others. Each number has its reason; tests make them small. */
export type Limits = {
  bodyBytes: number
  uploadBytes: number
  freeBytes: number
  sockets: number
  connections: number
  helloMs: number
  idleMs: number
  headersMs: number
}

export const LIMITS: Limits = {
  /** A request and a WebSocket message: the longest spec, a thousand methods with all their options, is a tenth of it. */
  bodyBytes: 2 ** 20,
  /** A dropped file: the largest texts and the caches of long contexts fit; more is better named by its path than copied. */
  uploadBytes: 8 * 2 ** 30,
  /** Room an upload leaves on the disk, for the runs and for the system. */
  freeBytes: 2 ** 30,
  /** WebSockets at once, those without hello too: one a window and a few scripts. */
  sockets: 32,
  /** Connections at once; a browser opens six a page, a script one a stream. */
  connections: 256,
  /** Until a WebSocket says hello. */
  helloMs: 5_000,
  /** Between two pieces of a request's body. */
  idleMs: 30_000,
  /** Until all headers are there. */
  headersMs: 10_000,
}

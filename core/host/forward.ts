import type { Api, Client, Handlers } from '#core/contract/rpc.ts'

type Options = { signal?: AbortSignal } | undefined
/** A client whose routes are not known when it is compiled. */
export type AnyClient = { call(route: string, input: unknown, options: Options): Promise<unknown>; stream(route: string, input: unknown, options: Options): AsyncGenerator<unknown, unknown, void> }

/** Handlers that pass every route on to another client: aborts, and readers that leave, go with it. */
export function forward<A extends Api>(api: A, client: Client<A>): Handlers<A> {
  const behind = client as unknown as AnyClient
  const routes = Object.entries(api).map(([route, { kind }]) => [
    route,
    kind === 'call'
      ? (input: unknown, signal: AbortSignal) => behind.call(route, input, { signal })
      : (input: unknown, signal: AbortSignal) => behind.stream(route, input, { signal }),
  ])
  return Object.fromEntries(routes) as Handlers<A>
}

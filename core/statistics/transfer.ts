/**
 * What sending a cache takes. `raw` and `encoded` in bytes; `encode` and `decode` in raw bytes a second; `prefill` in seconds to compute the
 * cache again, null where that was not measured.
 */
export type Transfer = { readonly raw: number; readonly encoded: number; readonly encode: number; readonly decode: number; readonly prefill: number | null }

/** Seconds for one cache over a link of `link` bytes a second, without protocol overhead; `pipelined`: in chunks, so that the slowest stage decides. */
export function transferSeconds({ raw, encoded, encode, decode }: Transfer, link: number): { plain: number; sequential: number; pipelined: number } {
  return { plain: raw / link, sequential: raw / encode + encoded / link + raw / decode, pipelined: Math.max(raw / encode, encoded / link, raw / decode) }
}

/**
 * The fastest link, in bytes a second, over which compressing still saves time; 0 where it never does. With r = raw / encoded: sequential
 * (1 - 1/r) / (1/E + 1/D); pipelined min(E, D) where r > 1. `recompute`: the slowest link over which sending the encoded cache one after the
 * other still beats computing it again; null where that was not measured or cannot be beaten.
 */
export function breakEven({ raw, encoded, encode, decode, prefill }: Transfer): { sequential: number; pipelined: number; recompute: number | null } {
  const saved = 1 - encoded / raw
  const left = prefill === null ? 0 : prefill - raw / encode - raw / decode
  return { sequential: saved > 0 ? saved / (1 / encode + 1 / decode) : 0, pipelined: saved > 0 ? Math.min(encode, decode) : 0, recompute: left > 0 ? encoded / left : null }
}

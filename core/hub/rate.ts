/** So far back a rate looks, in milliseconds. */
const SPAN_MS = 5_000
/** Samples this close are one. */
const EVERY_MS = 100
/** Less than this says nothing yet. */
const LEAST_MS = 500

/** Bytes a second over the last few seconds. */
export type Rate = {
  /** Tells that so many bytes are there at a time, in milliseconds of a clock that only goes forward. */
  add(bytes: number, now: number): void
  /** Null while nothing can be said. */
  at(now: number): number | null
}

export function createRate(): Rate {
  let samples: { bytes: number; at: number }[] = []
  return {
    add: (bytes, now) => {
      const last = samples.at(-1)
      // What was dropped was never received; the count begins anew.
      if (last && bytes < last.bytes) samples = []
      else if (last && samples.length > 1 && now - last.at < EVERY_MS) samples.pop()
      samples.push({ bytes, at: now })
      while ((samples[1]?.at ?? now) < now - SPAN_MS) samples.shift()
    },
    at: (now) => {
      const [first, last] = [samples[0], samples.at(-1)]
      if (!first || !last || now - first.at < LEAST_MS) return null
      return (1000 * (last.bytes - first.bytes)) / (now - first.at)
    },
  }
}

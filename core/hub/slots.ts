/** So many may work at a time; others wait in the order they came. */
export type Slots = {
  /** Does `work` once there is room. Throws the signal's reason where it aborts while waiting. */
  use<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T>
}

export function createSlots(count: number): Slots {
  let free = count
  const queue: (() => void)[] = []
  const enter = (signal: AbortSignal): Promise<void> =>
    new Promise((resolve, reject) => {
      const leave = (): void => {
        queue.splice(queue.indexOf(go), 1)
        reject(signal.reason as Error)
      }
      const go = (): void => {
        signal.removeEventListener('abort', leave)
        resolve()
      }
      signal.addEventListener('abort', leave, { once: true })
      queue.push(go)
    })
  return {
    use: async (signal, work) => {
      signal.throwIfAborted()
      if (free > 0) free--
      else await enter(signal)
      try {
        return await work()
      } finally {
        const next = queue.shift()
        // The place goes to whoever waits, without being free in between.
        if (next) next()
        else free++
      }
    },
  }
}

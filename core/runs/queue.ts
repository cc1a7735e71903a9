/** A place in a queue. `turn` resolves when all that came before have left; leaving twice does nothing. */
export type Place = { readonly first: boolean; readonly turn: Promise<void>; leave(): void }

/** Whoever comes first has the turn until it leaves; the others wait in their order and may leave before. */
export class Queue {
  readonly #places: { call: () => void }[] = []

  join(): Place {
    let call = (): void => {}
    const turn = new Promise<void>((resolve) => (call = resolve))
    const entry = { call }
    this.#places.push(entry)
    const isFirst = (): boolean => this.#places[0] === entry
    if (isFirst()) call()
    return {
      get first() {
        return isFirst()
      },
      turn,
      leave: () => {
        const at = this.#places.indexOf(entry)
        if (at === -1) return
        this.#places.splice(at, 1)
        this.#places[0]?.call()
      },
    }
  }
}

/** Where a method stands: bytes of its coded streams a window (file headers aside, whose length depends on a method's name) and its mean KL in nats. */
export type Place = { readonly bytes: number; readonly kl: number }

/** Whether `a` is at least as good as `b` in both and better in one. A partial order: nothing dominates itself or a twin. */
export function dominates(a: Place, b: Place): boolean {
  return a.bytes <= b.bytes && a.kl <= b.kl && (a.bytes < b.bytes || a.kl < b.kl)
}

/** Which places lie on the Pareto front of bytes against mean KL: those that no other dominates. In the order given. */
export function paretoFront(places: readonly Place[]): boolean[] {
  return places.map((place) => !places.some((other) => dominates(other, place)))
}

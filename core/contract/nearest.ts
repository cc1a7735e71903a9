/** Levenshtein distance: how many characters must be put in, taken out or changed to make `a` into `b`. */
export function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const changed = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(changed, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}

/**
 * The candidate with the smallest edit distance to `text`, where one that `text` begins counts as one change away (`fp8` means `fp8-e4m3`);
 * among equals the one whose first number is nearest (`int9` means `int8`), then the first. Undefined only where there are no candidates.
 */
export function nearestOf(text: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined
  let least: readonly [number, number] = [Infinity, Infinity]
  for (const candidate of candidates) {
    const changes = text.length > 1 && candidate.startsWith(text) ? Math.min(1, candidate.length - text.length) : editDistance(text, candidate)
    const score = [changes, Math.abs(firstNumber(text) - firstNumber(candidate))] as const
    if (score[0] < least[0] || (score[0] === least[0] && score[1] < least[1])) {
      best = candidate
      least = score
    }
  }
  return best
}

/** The first run of digits as a number, 0 without any; enough digits to compare by. */
function firstNumber(text: string): number {
  return Number(/\d{1,9}/.exec(text)?.[0] ?? 0)
}

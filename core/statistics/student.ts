import { normalQuantile } from './quantile.ts'

/** From here on Student's t and the normal distribution differ by less than 1 % in the quantiles that are asked for. */
const NORMAL_FROM = 2000

/**
 * The t with P(T <= t) = share for Student's t of `degrees` >= 1 whole degrees of freedom, share in (0.5, 1). The distribution by its
 * finite series (Abramowitz and Stegun 26.7.3 and 26.7.4), solved by bisection.
 */
export function studentQuantile(share: number, degrees: number): number {
  if (degrees >= NORMAL_FROM) return normalQuantile(share)
  const central = 2 * share - 1
  let low = 0
  let high = 1
  while (centralShare(high, degrees) < central && high < 1e12) high *= 2
  for (let step = 0; step < 100 && high - low > 1e-13 * high; step++) {
    const middle = (low + high) / 2
    if (centralShare(middle, degrees) < central) low = middle
    else high = middle
  }
  return (low + high) / 2
}

/** P(|T| <= t). */
function centralShare(t: number, degrees: number): number {
  const angle = Math.atan(t / Math.sqrt(degrees))
  const cosine = Math.cos(angle)
  const odd = degrees % 2 === 1
  let term = odd ? cosine : 1
  let sum = degrees === 1 ? 0 : term
  for (let power = odd ? 3 : 2; power <= degrees - 2; power += 2) {
    term *= (cosine * cosine * (power - 1)) / power
    sum += term
  }
  return odd ? (2 / Math.PI) * (angle + Math.sin(angle) * sum) : Math.sin(angle) * sum
}

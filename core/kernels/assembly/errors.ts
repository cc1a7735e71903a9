import { clearAfter, codesAt, sumsAt, valuesAt } from './memory'

/**
 * Adds to four lanes of five sums, [5][4] F64 at sumsAt, what `count` values and those restored, F32 where codes else are, add: squares of both,
 * products, squares of the differences; the fifth is the largest difference.
 */
export function addErrors(count: i32): void {
  const bytes = <usize>count << 2
  clearAfter(valuesAt + bytes)
  clearAfter(codesAt + bytes)
  let originalA = v128.load(sumsAt)
  let originalB = v128.load(sumsAt, 16)
  let restoredA = v128.load(sumsAt, 32)
  let restoredB = v128.load(sumsAt, 48)
  let productA = v128.load(sumsAt, 64)
  let productB = v128.load(sumsAt, 80)
  let errorA = v128.load(sumsAt, 96)
  let errorB = v128.load(sumsAt, 112)
  let mostA = v128.load(sumsAt, 128)
  let mostB = v128.load(sumsAt, 144)
  for (let at: usize = 0; at < bytes; at += 16) {
    const before = v128.load(valuesAt + at)
    const after = v128.load(codesAt + at)
    const beforeA = f64x2.promote_low_f32x4(before)
    const afterA = f64x2.promote_low_f32x4(after)
    const beforeB = f64x2.promote_low_f32x4(i32x4.shuffle(before, before, 2, 3, 2, 3))
    const afterB = f64x2.promote_low_f32x4(i32x4.shuffle(after, after, 2, 3, 2, 3))
    const differenceA = f64x2.sub(beforeA, afterA)
    const differenceB = f64x2.sub(beforeB, afterB)
    originalA = f64x2.add(originalA, f64x2.mul(beforeA, beforeA))
    originalB = f64x2.add(originalB, f64x2.mul(beforeB, beforeB))
    restoredA = f64x2.add(restoredA, f64x2.mul(afterA, afterA))
    restoredB = f64x2.add(restoredB, f64x2.mul(afterB, afterB))
    productA = f64x2.add(productA, f64x2.mul(beforeA, afterA))
    productB = f64x2.add(productB, f64x2.mul(beforeB, afterB))
    errorA = f64x2.add(errorA, f64x2.mul(differenceA, differenceA))
    errorB = f64x2.add(errorB, f64x2.mul(differenceB, differenceB))
    mostA = f64x2.pmax(mostA, f64x2.abs(differenceA))
    mostB = f64x2.pmax(mostB, f64x2.abs(differenceB))
  }
  v128.store(sumsAt, originalA)
  v128.store(sumsAt, originalB, 16)
  v128.store(sumsAt, restoredA, 32)
  v128.store(sumsAt, restoredB, 48)
  v128.store(sumsAt, productA, 64)
  v128.store(sumsAt, productB, 80)
  v128.store(sumsAt, errorA, 96)
  v128.store(sumsAt, errorB, 112)
  v128.store(sumsAt, mostA, 128)
  v128.store(sumsAt, mostB, 144)
}

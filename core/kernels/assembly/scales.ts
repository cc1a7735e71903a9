import { fromF16, special16 } from './float16'
import { offsetsAt, scalesAt, stepsAt, zerosAt } from './memory'

/** Reads the scales of a tile as steps and, `asym`, its zeros as offsets, which are 0 otherwise. Returns whether all are finite. */
export function readScales(count: i32, asym: bool): bool {
  let special = i32x4.splat(0)
  for (let group: usize = 0; group < <usize>count; group += 4) {
    // Beyond the last stand those of an earlier call, of which none may look like a fault.
    const own = i32x4.gt_s(i32x4.splat(count - <i32>group), i32x4(0, 1, 2, 3))
    const scale = v128.and(v128.load_ext<u16>(scalesAt + (group << 1)), own)
    const zero = asym ? v128.and(v128.load_ext<u16>(zerosAt + (group << 1)), own) : i32x4.splat(0)
    special = v128.or(special, v128.or(special16(scale), special16(zero)))
    v128.store(stepsAt + (group << 2), fromF16(scale))
    v128.store(offsetsAt + (group << 2), fromF16(zero))
  }
  return !v128.any_true(special)
}

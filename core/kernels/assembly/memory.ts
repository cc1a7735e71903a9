/*
 * The fixed memory, in tiles: the host copies a tile in, calls one kernel and copies the results out. Regions do not begin at multiples of
 * 4 KiB from one another, so that a store to one does not look to the CPU like the address of a load from the next (4K aliasing).
 * Behind each region is room for one wide load or store beyond its end.
 */

/** Values of a tile: 64 KiB of F32, which stay in the second-level cache together with what is made of them. */
export const tileValues: i32 = 16384
const TILE_BYTES: usize = 65536
/** Groups or blocks of a tile, of 16 values or more. */
const GROUPS: usize = 1024
const GAP: usize = 1088

/** F32 values; a kernel that changes values does so in place. */
export const valuesAt: usize = 4096
/** A second input of F32, or the codes: bytes that values become. */
export const codesAt: usize = valuesAt + TILE_BYTES + GAP
/** F16 scales and zero points, one a group. */
export const scalesAt: usize = codesAt + TILE_BYTES + GAP
export const zerosAt: usize = scalesAt + 2 * GROUPS + GAP
/** The same in F32, for the kernels themselves. */
export const stepsAt: usize = zerosAt + 2 * GROUPS + GAP
export const offsetsAt: usize = stepsAt + 4 * GROUPS + GAP
/** Tables of a call. */
export const tablesAt: usize = offsetsAt + 4 * GROUPS + GAP
/** Sums in F64: up to 32. */
export const sumsAt: usize = tablesAt + 64
/** A codebook from the host, F32: up to sixteen levels, and the bounds between them. */
export const levelsAt: usize = sumsAt + 256
export const boundsAt: usize = levelsAt + 64
/** The same for the kernels: levels as four vectors, of the first bytes of all, the second, the third and the fourth; each bound four times. */
export const planesAt: usize = boundsAt + 64
export const splatsAt: usize = planesAt + 64
/** Terms of a block in F32, twice 32. */
export const termsAt: usize = splatsAt + 256
/** rANS: 256 frequencies in 16 bits, four states, and the table that is worked out from the frequencies. */
export const ransCountsAt: usize = termsAt + 256
export const ransStatesAt: usize = ransCountsAt + 512
export const ransAt: usize = ransStatesAt + 64
/** Random signs of a row of up to 1024 values, as F32, for up to three rounds; the row that is turned. */
export const signsAt: usize = ransAt + 16384 + GAP
export const rowAt: usize = signsAt + 12288 + GAP
/** Polar coordinates, F64 from the host: cosine and sine of each code of the four levels, then the bounds. */
export const turnsAt: usize = rowAt + 4096 + GAP
export const polarBoundsAt: usize = turnsAt + 448
/** Rows of a thin matrix, F64: 32 KiB. */
export const leftAt: usize = polarBoundsAt + 64 + GAP

/** Puts zeros behind the end of an input, as far as a turn of sixteen values may read. */
// @ts-ignore: decorator
@inline
export function clearAfter(end: usize): void {
  for (let k: usize = 0; k < 64; k += 16) v128.store(end + k, i32x4.splat(0))
}

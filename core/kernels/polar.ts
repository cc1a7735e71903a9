import { f16ToF32 } from '#core/bytes/float.ts'
import { finiteF16, isFiniteF16, refuseNonFinite } from './finite.ts'
import { randomSigns, rotate, rotateBack } from './random-rotation.ts'

/** Rotated values that share one radius. */
export const POLAR_BLOCK = 16
/** Angles of the four levels of a block, from pairs of values up to the block. */
export const POLAR_ANGLES = [8, 4, 2, 1] as const
/** Bits of a code of each level. */
export const POLAR_BITS = [4, 2, 2, 2] as const

/**
 * Lloyd-Max levels of the angles above the first level: offsets from π/4 of the two upper ones, mirrored for the lower ones. The angle of level l has the
 * density sin(2ψ)^(2^(l-1) - 1) on 0 to π/2 (polar.test.ts derives them anew).
 */
const OFFSETS = [
  [0.151417923406, 0.475642046415],
  [0.11101316564, 0.359148470327],
  [0.079488757736, 0.261184072294],
] as const

/** Angle of each code, level by level; those of the first level are the middles of sixteen equal sectors. */
export const POLAR_LEVELS: readonly Float64Array[] = [
  Float64Array.from({ length: 16 }, (_, k) => ((k + 0.5) * Math.PI) / 8),
  ...OFFSETS.map(([inner, outer]) => Float64Array.of(-outer, -inner, inner, outer).map((offset) => Math.PI / 4 + offset)),
]
/** Cosines, then sines, of one level's angles, in F32. */
export const POLAR_TURNS = POLAR_LEVELS.map((angles) => Float32Array.from([...angles.map(Math.cos), ...angles.map(Math.sin)]))
/** Tangents, in F32, of the boundaries between codes: of a quadrant of the first level, then of each other level the upper and lower one about 1. */
export const POLAR_OCTANT = Math.fround(Math.tan(Math.PI / 8))
export const POLAR_BOUNDS = OFFSETS.map(([inner, outer]) => {
  const half = (inner + outer) / 2
  return { low: Math.fround(Math.tan(Math.PI / 4 - half)), high: Math.fround(Math.tan(Math.PI / 4 + half)) }
})
const [second, third, fourth] = POLAR_BOUNDS as [Bounds, Bounds, Bounds]
type Bounds = (typeof POLAR_BOUNDS)[number]

/** Where the signs of the rotation begin; any number but 0 would do. */
export const POLAR_SEED = 0x9e3779b9 | 0
/** Radii of one level of a block. */
const radius = new Float64Array(POLAR_BLOCK)

/** Codes of the four levels, each row's angles in order from the lowest bit of a byte on and rows from whole bytes on, and F16 radii. */
export type PolarStreams = { readonly angles: readonly [Uint8Array, Uint8Array, Uint8Array, Uint8Array]; readonly radii: Uint16Array }

/** Bytes of one row of a level's codes. */
export function polarBytes(headDim: number, level: number): number {
  return Math.ceil(((headDim / POLAR_BLOCK) * POLAR_ANGLES[level]! * POLAR_BITS[level]!) / 8)
}

/** Kernels.quantizePolar in TypeScript. */
export function quantizePolar(values: Float32Array, headDim: number, { angles, radii }: PolarStreams): void {
  refuseNonFinite(values)
  const signs = randomSigns(headDim, POLAR_SEED)
  const row = new Float32Array(headDim)
  const root = Math.sqrt(headDim)
  const blocks = headDim / POLAR_BLOCK
  const [one, two, three, four] = angles
  const [, , threeBytes, fourBytes] = POLAR_ANGLES.map((_, level) => polarBytes(headDim, level)) as [number, number, number, number]
  three.fill(0)
  four.fill(0)
  for (let r = 0; r < values.length / headDim; r++) {
    row.set(values.subarray(r * headDim, (r + 1) * headDim))
    rotate(row, signs)
    for (let k = 0; k < blocks; k++) {
      const block = r * blocks + k
      for (let i = 0; i < 4; i++) one[4 * block + i] = firstLevel(row, 16 * k + 4 * i, 2 * i)
      two[block] = pair(0, second) | (pair(1, second) << 2) | (pair(2, second) << 4) | (pair(3, second) << 6)
      three[r * threeBytes + (k >> 1)]! |= (pair(0, third) | (pair(1, third) << 2)) << (4 * (k & 1))
      four[r * fourBytes + (k >> 2)]! |= pair(0, fourth) << (2 * (k & 3))
      const length = radius[0]! / root
      // Where the transform overflows F32 it can leave a NaN.
      radii[block] = finiteF16(Number.isNaN(length) ? Infinity : length, 'radius')
    }
  }
}

/** Codes of two pairs of values from `at` on, in one byte, and their radii. */
function firstLevel(row: Float32Array, at: number, to: number): number {
  return firstCode(row[at]!, row[at + 1]!, to) | (firstCode(row[at + 2]!, row[at + 3]!, to + 1) << 4)
}

/** Code of the angle of (x, y), and its radius; an angle on a boundary belongs to the sector below, that of 0 to the first. */
function firstCode(x: number, y: number, to: number): number {
  radius[to] = Math.sqrt(x * x + y * y)
  const quadrant = y >= 0 ? (x >= 0 ? 0 : 1) : x <= 0 ? 2 : 3
  const along = quadrant === 0 ? x : quadrant === 1 ? y : quadrant === 2 ? -x : -y
  const across = quadrant === 0 ? y : quadrant === 1 ? -x : quadrant === 2 ? -y : x
  const upper = across > along ? 1 : 0
  // Beyond the middle of a quadrant the boundary is the first one mirrored.
  const within = upper === 1 ? (POLAR_OCTANT * across > along ? 3 : 2) : across > POLAR_OCTANT * along ? 1 : 0
  return (quadrant << 2) | within
}

/** Code of the angle between radii 2i and 2i + 1, whose common radius becomes the ith. */
function pair(i: number, { low, high }: Bounds): number {
  const x = radius[2 * i]!
  const y = radius[2 * i + 1]!
  radius[i] = Math.sqrt(x * x + y * y)
  return (y > low * x ? 1 : 0) + (y > x ? 1 : 0) + (y > high * x ? 1 : 0)
}

/** Kernels.dequantizePolar in TypeScript. */
export function dequantizePolar({ angles, radii }: PolarStreams, headDim: number, out: Float32Array): boolean {
  const signs = randomSigns(headDim, POLAR_SEED)
  const scale = Math.fround(1 / Math.sqrt(headDim))
  const blocks = headDim / POLAR_BLOCK
  const [one, two, three, four] = angles
  const [, , threeBytes, fourBytes] = POLAR_ANGLES.map((_, level) => polarBytes(headDim, level)) as [number, number, number, number]
  let finite = true
  for (let r = 0; r < out.length / headDim; r++) {
    const row = out.subarray(r * headDim, (r + 1) * headDim)
    for (let k = 0; k < blocks; k++) {
      const block = r * blocks + k
      finite &&= isFiniteF16(radii[block]!)
      radius[0] = f16ToF32(radii[block]!)
      unfold(0, four[r * fourBytes + (k >> 2)]! >> (2 * (k & 3)), 3)
      const threes = three[r * threeBytes + (k >> 1)]! >> (4 * (k & 1))
      for (let i = 1; i >= 0; i--) unfold(i, threes >> (2 * i), 2)
      for (let i = 3; i >= 0; i--) unfold(i, two[block]! >> (2 * i), 1)
      for (let i = 0; i < 8; i++) firstValues(row, 16 * k + 2 * i, radius[i]!, (one[4 * block + (i >> 1)]! >> (4 * (i & 1))) & 15)
    }
    rotateBack(row, signs)
    for (let i = 0; i < headDim; i++) row[i] = row[i]! * scale
  }
  return finite
}

/** Makes radii 2i and 2i + 1 of the ith: from the last one down, so that none is overwritten before it is used. */
function unfold(i: number, code: number, level: number): void {
  const turn = POLAR_TURNS[level]!
  const r = radius[i]!
  radius[2 * i + 1] = r * turn[4 + (code & 3)]!
  radius[2 * i] = r * turn[code & 3]!
}

function firstValues(row: Float32Array, at: number, r: number, code: number): void {
  const turn = POLAR_TURNS[0]!
  row[at] = r * turn[code]!
  row[at + 1] = r * turn[16 + code]!
}

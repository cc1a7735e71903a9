import type { MODES } from './choices.ts'
import type { Explained, ParamDefs } from './method.ts'

/** One quantizer, transform or codec of a method. */
export type CardPiece = Explained & { kind: 'quantizer' | 'transform' | 'codec'; id: string; label: string; source: string; params: ParamDefs }

/** One stream of the example: dtype and shape before any codec, [layers, …]. `entropyBound`: bytes that an ideal order-0 coder needs. */
export type CardStream = { name: string; dtype: string; shape: number[]; rawBytes: number; storedBytes: number; entropyBound: number }

/**
 * What one side of the example came to, of the values that are encoded and not kept: bits a value from stored bytes, and those of an ideal order-0 coder; SNR in dB, null where nothing was lost.
 * `boundDb`: no code of so many bits has more, 20 log10(2) a bit; `excessBits`: how many of the bits the bound would not need for that SNR, null with it.
 */
export type RatePoint = { side: 'key' | 'value'; bits: number; entropyBits: number; snrDb: number | null; boundDb: number; excessBits: number | null }

/** A cache of independent N(0, 1) values in F16, encoded by the method to bytes and decoded. `formulaBits`: bits a value by the formula, before any codec and without headers. */
export type CardExample = {
  layers: number
  kvHeads: number
  tokens: number
  headDim: number
  dtype: string
  formulaBits: number
  bitsPerValue: number
  fileBytes: number
  headerBytes: number
  streams: CardStream[]
  points: RatePoint[]
}

/** Whether a mode can measure the method; `reason`: why not. */
export type CardMode = { mode: (typeof MODES)[number]; reason: string | null }

/**
 * Everything about a method. `method` is the canonical string that was measured: of a transform or codec asked for by its own name one that has it, and then `pieces` has that piece alone.
 * `example` and `modes` are empty where this machine cannot measure it, and `missing` says why.
 */
export type MethodCard = { name: string; method: string; pieces: CardPiece[]; example: CardExample | null; modes: CardMode[]; missing: string | null }

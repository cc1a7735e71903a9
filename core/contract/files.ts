/** Of a tensor's finite values, in float64; all but the counts are null where there are none. `std` is over all values, not an estimate from a sample. */
export type TensorStats = { min: number | null; max: number | null; mean: number | null; std: number | null; zeros: number; nonFinite: number }

/** One tensor of a file, in the order of the file; `stats` is null for dtypes that are not read as floats. */
export type TensorFacts = { name: string; dtype: string; shape: number[]; bytes: number; stats: TensorStats | null }

/** What a KV file says of itself, sizes in bytes; `ratio` is against the cache at F16. Dtype and shape of a stream are those before its codec. */
export type KvFileFacts = {
  version: string
  method: string
  layers: number
  kvHeads: number
  tokens: number
  headDim: number
  dtype: string
  model: string | null
  tokenIdsSha256: string | null
  fileBytes: number
  headerBytes: number
  ratio: number
  bitsPerValue: number
  streams: { name: string; dtype: string; shape: number[]; codec: string; rawBytes: number; storedBytes: number }[]
}

/** What `inspect` tells of a file of tensors. `headerBytes` is all before the data; `kv` is null for a safetensors file that is no KV file. */
export type TensorFileInfo = {
  kind: 'safetensors' | 'kvlab.kv'
  path: string
  bytes: number
  headerBytes: number
  metadata: { [key: string]: string }
  tensors: TensorFacts[]
  kv: KvFileFacts | null
}

/** An input or output of a graph; what the graph leaves open in a shape has a name. */
export type OnnxValue = { name: string; type: string; shape: (number | string)[] }
/** What `inspect` tells of an ONNX model. Only the graph itself is read, not the weights beside it. */
export type OnnxInfo = {
  kind: 'onnx'
  path: string
  bytes: number
  producer: string | null
  irVersion: number
  opsets: { domain: string; version: number }[]
  inputs: OnnxValue[]
  outputs: OnnxValue[]
  /** Most frequent first. */
  operators: { type: string; domain: string; count: number }[]
  /** `fused`: in operators such as GroupQueryAttention, which hide keys and values from edits; null where the graph takes no KV cache. */
  attention: 'plain' | 'fused' | null
  /** What its weights are, in words: `F32`, `I4 in blocks of 32 (MatMulNBits) and F32`; null where there are none. */
  weightsType: string | null
  /** By element type, largest first; `bytes` of the values, wherever they lie. */
  weights: { dtype: string; tensors: number; bytes: number }[]
  /** Files beside the model that hold weights. */
  externalFiles: string[]
  /** The KV cache that it takes and gives; null with the reason in `unusable` where it is no language model that can be evaluated. */
  cache: { layers: number; kvHeads: number; headDim: number; dtype: string } | null
  unusable: string | null
  /** Edits that make a sweep faster: whether they apply, or why not. */
  edits: { name: string; reason: string | null }[]
  /** What a reader of its numbers should know. */
  notes: string[]
}

/** What `inspect` tells of a file. */
export type FileInfo = TensorFileInfo | OnnxInfo

/** Errors in the unit of the values, SNR in dB; null SNR: no error at all; null cosine: a side is all zero. The names are those of the program this one grew out of. */
export type TensorMetrics = { rmse: number; snr_db: number | null; cosine_similarity: number | null; max_error: number; quality_level: string }
/** Errors between two files, the first as the original. */
export type TensorComparison = TensorMetrics & { violations: string[]; tensor_metrics: ({ name: string } & TensorMetrics)[] }

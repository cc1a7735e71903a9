/**
 * The dependency rule: which rooms of the house a room may import beside itself, and whether it may touch Node.
 * A room that is listed and has no folder yet is planned. eslint.config.js enforces it while editing; test/house.test.ts walks every import and holds the code against it.
 */
export const ROOMS = {
  'core/contract': { rooms: [], node: [] },
  'core/bytes': { rooms: ['contract'], node: ['core/bytes/file.ts', 'core/bytes/lock.ts'] },
  'core/safetensors': { rooms: ['contract', 'bytes'], node: ['core/safetensors/write.ts'] },
  'core/quantizers': { rooms: ['contract', 'bytes', 'kernels'], node: [] },
  'core/kernels': { rooms: ['contract', 'bytes'], node: [] },
  'core/onnx': { rooms: ['contract', 'bytes'], node: [] },
  'core/transforms': { rooms: ['contract', 'bytes', 'kernels', 'quantizers'], node: [] },
  'core/codecs': { rooms: ['contract', 'bytes', 'kernels'], node: ['core/codecs/deflate.ts', 'core/codecs/zstd.ts'] },
  'core/kv': { rooms: ['contract', 'bytes', 'kernels', 'safetensors', 'quantizers', 'transforms', 'codecs'], node: [] },
  'core/statistics': { rooms: ['contract'], node: [] },
  'core/hub': { rooms: ['contract', 'bytes'], node: 'all' },
  'core/texts': { rooms: ['contract', 'bytes'], node: 'all' },
  'core/library': { rooms: ['contract', 'bytes', 'safetensors', 'kv', 'onnx', 'hub', 'texts'], node: 'all' },
  'core/evaluation': { rooms: ['contract', 'bytes', 'onnx', 'kernels', 'kv', 'library'], node: 'all' },
  'core/runs': { rooms: ['contract', 'bytes', 'safetensors', 'kernels', 'kv', 'statistics', 'texts', 'library', 'evaluation'], node: 'all' },
  'core/reports': { rooms: ['contract'], node: [] },
  'core/host': { rooms: ['contract', 'bytes', 'evaluation', 'engine', 'library'], node: 'all' },
  'core/cli': { rooms: ['contract', 'reports', 'host', 'runs', 'library', 'kv', 'bytes'], node: 'all' },
}

/** What stands beside `core`: the page sees the contract and the rooms that are pure functions of its types; the shell starts the engine and hands over its port. */
export const OUTER_ROOMS = {
  renderer: { rooms: ['contract', 'reports', 'statistics'], node: false },
  electron: { rooms: ['contract', 'bytes', 'evaluation', 'engine', 'host'], node: true },
}

/** Packages that only these files may import. */
export const SINGLE_DOORS = {
  'onnxruntime-node': ['core/evaluation/runtime.ts'],
  '@bufbuild/protobuf': ['core/onnx/build.ts', 'core/onnx/model.ts', 'core/onnx/onnx_pb.ts'],
  '@huggingface/transformers': ['core/evaluation/tokenizer.ts'],
  'lz4-napi': ['core/codecs/lz4.ts'],
  'xxhash-wasm': ['core/bytes/xxh64.ts'],
  'hyparquet-writer': ['core/runs/scores-parquet.ts'],
  hyparquet: ['core/runs/tokens.ts', 'core/texts/parquet.ts'],
  'hyparquet-compressors': ['core/texts/parquet.ts'],
  undici: ['core/hub/request.ts'],
  yauzl: ['core/library/archive.ts'],
  'tar-stream': ['core/library/archive.ts'],
  ws: ['core/host/websocket.ts'],
}

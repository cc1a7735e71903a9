/**
 * The dependency rule: which rooms of the house a room may import beside itself, and whether it may touch Node.
 * eslint.config.js enforces it while editing; test/house.test.ts walks every import and holds the code against it.
 */
export const ROOMS = {
  'core/contract': { rooms: [], node: [] },
  'core/bytes': { rooms: ['contract'], node: ['core/bytes/file.ts'] },
  'core/safetensors': { rooms: ['contract', 'bytes'], node: ['core/safetensors/write.ts'] },
  'core/quantizers': { rooms: ['contract', 'bytes'], node: [] },
  'core/transforms': { rooms: ['contract', 'bytes', 'quantizers'], node: [] },
  'core/codecs': { rooms: ['contract', 'bytes'], node: [] },
  'core/kv': { rooms: ['contract', 'bytes', 'safetensors', 'quantizers', 'transforms', 'codecs'], node: [] },
  'core/statistics': { rooms: ['contract'], node: [] },
  'core/library': { rooms: ['contract', 'bytes', 'safetensors', 'kv'], node: 'all' },
  'core/evaluation': { rooms: ['contract', 'bytes', 'kv', 'library'], node: 'all' },
  'core/runs': { rooms: ['contract', 'bytes', 'safetensors', 'kv', 'statistics', 'library', 'evaluation'], node: 'all' },
  'core/reports': { rooms: ['contract'], node: [] },
  'core/host': { rooms: ['contract', 'evaluation', 'engine'], node: 'all' },
  'core/cli': { rooms: ['contract', 'reports', 'host', 'runs', 'library', 'kv', 'bytes'], node: 'all' },
}

/** Packages that only these files may import. */
export const SINGLE_DOORS = {
  'onnxruntime-node': ['core/evaluation/session.ts'],
  '@huggingface/transformers': ['core/evaluation/tokenizer.ts'],
  'lz4-napi': ['core/codecs/lz4.ts'],
  'xxhash-wasm': ['core/bytes/xxh64.ts'],
  'hyparquet-writer': ['core/runs/scores-parquet.ts'],
}

import { fileURLToPath } from 'node:url'

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

/**
 * What every build that runs on Node shares: the command line's and the desktop program's.
 * @huggingface/transformers is bundled lean: only its tokenizer and config classes are used, so sharp is replaced by a stub
 * and onnxruntime-web drops out; native packages stay external.
 */
export const ALIAS = { sharp: at('../core/evaluation/no-sharp.ts') }
export const BUNDLED = ['@huggingface/transformers', '@huggingface/tokenizers', '@huggingface/jinja', '@bufbuild/protobuf', 'commander', 'hyparquet-writer', 'picocolors', 'xxhash-wasm', 'zod']
export const EXTERNAL = ['onnxruntime-node', 'onnxruntime-common', 'lz4-napi']
// Module-level constants stay constants: V8 folds them in the kernels, which makes them a quarter faster.
export const OUTPUT = { topLevelVar: false, format: 'es', entryFileNames: '[name].js', chunkFileNames: 'chunks/[name]-[hash].js' } as const

import type { Kernels } from './kernels.ts'
import { typescriptKernels } from './typescript.ts'
import { webAssemblyKernels } from './webassembly.ts'

/** The kernels of this process: WebAssembly SIMD where there is such a thing, else TypeScript. */
export const kernels: Kernels = webAssemblyKernels() ?? typescriptKernels

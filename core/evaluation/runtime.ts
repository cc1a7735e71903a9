import './float16array.ts'
import type { InferenceSession, Tensor, TensorConstructor } from 'onnxruntime-node'
import { LabError } from '#core/contract/errors.ts'
import type { GraphValue } from '#core/onnx/kv-graph.ts'

export type { Tensor }
export type Feeds = Record<string, Tensor>

/** A graph to open: a file, or bytes whose external data, if any, lies in `folder`. `name` is what errors call it. */
export type GraphSource = { readonly name: string } & ({ readonly path: string } | { readonly bytes: Uint8Array; readonly folder: string })

/**
 * Open a graph on the CPU with `threads` threads. Release it when done: nothing else frees its memory.
 * Throws LabError MODEL_UNSUPPORTED (a graph that cannot be evaluated here) or MODEL_BROKEN (files that do not load, among them missing external data).
 */
export async function openGraph(source: GraphSource, threads: number): Promise<Graph> {
  const runtime = await import('onnxruntime-node').catch((error: unknown) => {
    throw new LabError('MODEL_UNSUPPORTED', `ONNX Runtime does not load on this machine (${reasonOf(error)}): see kvlab doctor`)
  })
  const settings: InferenceSession.SessionOptions = {
    executionProviders: ['cpu'],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    extra: {
      session: {
        // Threads that wait by spinning made a pass 2 to 5 times slower on a busy machine; on a quiet one the two differ by less than a tenth.
        intra_op: { allow_spinning: '0' },
        ...('bytes' in source ? { model_external_initializers_file_folder_path: source.folder } : {}),
      },
    },
    // Only what is fatal goes to stderr: every error comes back as one anyway.
    logSeverityLevel: 4,
  }
  const { InferenceSession, Tensor } = runtime
  const opening = 'bytes' in source ? InferenceSession.create(source.bytes, settings) : InferenceSession.create(source.path, settings)
  const session = await opening.catch((error: unknown) => {
    throw loadError(source.name, reasonOf(error))
  })
  return new Graph(source.name, session, Tensor)
}

/** Names of the execution providers that ONNX Runtime was built with for this system; which of them work here is another matter. */
export async function listBackends(): Promise<string[]> {
  const { listSupportedBackends } = await import('onnxruntime-node')
  return listSupportedBackends().map(({ name }) => name)
}

/** An open graph. One call at a time: a pass blocks the process while it runs. */
export class Graph {
  readonly name: string
  readonly inputs: readonly GraphValue[]
  readonly outputs: readonly GraphValue[]
  /** Seconds spent inside ONNX Runtime. */
  seconds = 0
  readonly #session: InferenceSession
  readonly #Tensor: TensorConstructor

  /** Use `openGraph`. */
  constructor(name: string, session: InferenceSession, tensor: TensorConstructor) {
    this.name = name
    this.#session = session
    this.#Tensor = tensor
    this.inputs = session.inputMetadata.map(plain)
    this.outputs = session.outputMetadata.map(plain)
  }

  /** A tensor over `data`, which is not copied. */
  floats(data: Float32Array | Uint16Array, dims: readonly number[]): Tensor {
    return data instanceof Float32Array ? new this.#Tensor('float32', data, dims) : new this.#Tensor('float16', data, dims)
  }

  integers(data: BigInt64Array, dims: readonly number[]): Tensor {
    return new this.#Tensor('int64', data, dims)
  }

  /** Run, and copy out only the outputs that are named. Throws LabError MODEL_UNSUPPORTED where the graph fails. */
  async run(feeds: Feeds, outputs: readonly string[]): Promise<Feeds> {
    const began = performance.now()
    try {
      return await this.#session.run(feeds, outputs)
    } catch (error) {
      throw new LabError('MODEL_UNSUPPORTED', `${this.name}: its graph failed: ${reasonOf(error)}`)
    } finally {
      this.seconds += (performance.now() - began) / 1000
    }
  }

  /** The output `name` of a run; throws LabError MODEL_UNSUPPORTED where it has not the shape `dims`. */
  output(results: Feeds, name: string, dims: readonly number[]): Tensor {
    const tensor = results[name]
    if (!tensor || tensor.dims.join() !== dims.join()) throw new LabError('MODEL_UNSUPPORTED', `${this.name}: ${name} came as [${tensor?.dims.join() ?? ''}], expected [${dims.join()}]`)
    return tensor
  }

  /** Free the native memory. The graph is of no use after it. */
  release(): Promise<void> {
    return this.#session.release()
  }
}

function plain(value: InferenceSession.ValueMetadata): GraphValue {
  return value.isTensor ? { name: value.name, type: value.type, shape: value.shape } : { name: value.name, type: 'none', shape: [] }
}

function loadError(name: string, reason: string): LabError {
  // What ONNX Runtime's messages say where a graph is sound but not for it; it gives no codes.
  const foreign = /Unsupported data type|No Op registered|not a registered function|NOT_IMPLEMENTED|opset|IR version|Fatal error/i.test(reason)
  if (foreign) return new LabError('MODEL_UNSUPPORTED', `${name} cannot be evaluated: ${reason.replace(/(Unsupported data type): 16\b/, '$1: bfloat16')}`, { reason })
  return new LabError('MODEL_BROKEN', `${name} does not load: ${reason}; get its files again`, { reason })
}

/** The first line, without the path that our own message names. */
function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  return (text.split('\n')[0] ?? '').replace(/^Load model from .*? failed: ?/, '')
}

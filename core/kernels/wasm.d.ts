/** What scripts/assembly.ts makes of AssemblyScript sources: a WebAssembly module. */
declare module '*?assembly' {
  export const base64: string
}

/** The part of WebAssembly that this room uses: TypeScript declares it for pages alone. */
declare namespace WebAssembly {
  function validate(bytes: Uint8Array): boolean
  class Module {
    constructor(bytes: Uint8Array)
  }
  class Instance {
    constructor(module: Module)
    readonly exports: unknown
  }
}

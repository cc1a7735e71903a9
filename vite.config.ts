import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { assembly } from './scripts/assembly.ts'
import { ALIAS, BUNDLED, EXTERNAL, OUTPUT } from './scripts/node-build.ts'

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

/** The Node build: `out/cli.js`, `out/engine.js`, and for the developers `out/bench.js` and `out/screenshots.js`. */
export default defineConfig({
  plugins: [assembly()],
  resolve: { alias: ALIAS },
  ssr: { noExternal: BUNDLED, target: 'node' },
  build: {
    ssr: true,
    target: 'node20',
    outDir: 'out',
    emptyOutDir: true,
    sourcemap: false,
    minify: false,
    rollupOptions: {
      input: { cli: at('./core/cli/main.ts'), engine: at('./core/host/child.ts'), bench: at('./bench/main.ts'), screenshots: at('./test/e2e/screenshots.ts') },
      external: EXTERNAL,
      output: OUTPUT,
    },
  },
  test: {
    include: ['core/**/*.test.ts', 'renderer/**/*.test.ts', 'test/**/*.test.ts'],
    // What a developer has in the Hugging Face cache, and the token, are no part of a test.
    env: { HF_HOME: join(tmpdir(), 'kvlab-tests-no-cache'), HF_HUB_CACHE: '', HF_TOKEN: '', HF_ENDPOINT: '' },
    testTimeout: 120_000,
    hookTimeout: 240_000,
    pool: 'forks',
    maxWorkers: 2,
    globalSetup: ['test/build.ts'],
    reporters: process.env['KVLAB_TEST_REPORT'] ? ['default', ['json', { outputFile: process.env['KVLAB_TEST_REPORT'] }]] : ['default'],
  },
})

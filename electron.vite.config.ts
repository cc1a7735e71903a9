import { fileURLToPath } from 'node:url'
import { defineConfig, type RendererViteConfig, type UserConfig } from 'electron-vite'
import { loadConfigFromFile, type ConfigEnv, type Plugin } from 'vite'
import { assembly } from './scripts/assembly.ts'
import { ALIAS, EXTERNAL, OUTPUT } from './scripts/node-build.ts'

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

/**
 * The desktop program: `out/main/{index,engine}.js`, `out/preload/index.cjs` and, unless the mode is `shell`, the page in `out/renderer`.
 * All but native packages is bundled, so that nothing but those needs to be installed beside it.
 */
export default defineConfig(async (env: ConfigEnv): Promise<UserConfig> => ({
  main: {
    plugins: [assembly(), withoutShims()],
    resolve: { alias: ALIAS },
    build: {
      externalizeDeps: false,
      rollupOptions: { input: { index: at('./electron/main/index.ts'), engine: at('./electron/engine/index.ts') }, external: EXTERNAL, output: OUTPUT },
    },
  },
  preload: {
    build: {
      externalizeDeps: false,
      // A sandboxed preload script must be CommonJS in one file.
      rollupOptions: { input: at('./electron/preload/index.ts'), output: { format: 'cjs', entryFileNames: 'index.cjs' } },
    },
  },
  ...(env.mode === 'shell' ? {} : { renderer: await pageConfig(env) }),
}))

/** The page's own configuration, as a build of the page alone reads it. */
async function pageConfig(env: ConfigEnv): Promise<RendererViteConfig> {
  const loaded = await loadConfigFromFile(env, at('./renderer/vite.config.ts'))
  if (!loaded) throw new Error('renderer/vite.config.ts does not load')
  // Its folder is `renderer` beside the other two, wherever those are.
  const { outDir: _, ...build } = loaded.config.build ?? {}
  return { ...loaded.config, build: { ...build, rollupOptions: { input: at('./renderer/index.html') } } }
}

/** electron-vite puts `__filename`, `__dirname` and `require` into each file that says the last, also where it has a `require` of its own. Nothing here needs them. */
function withoutShims(): Plugin {
  return { name: 'kvlab-without-shims', enforce: 'post', renderChunk: (code) => code.replace(/\n\/\/ -- CommonJS Shims --\n[^]*?createRequire\(import\.meta\.url\);\n/, '') }
}

import vue from 'eslint-plugin-vue'
import tseslint from 'typescript-eslint'
import { OUTER_ROOMS, ROOMS, SINGLE_DOORS } from './rooms.js'

const all = [...new Set(Object.keys(ROOMS).map((room) => room.slice('core/'.length)))]

/** One block a room: no import of a room, or of Node, that the dependency rule does not allow. */
const roomBlocks = Object.entries(ROOMS).map(([room, { rooms, node }]) => {
  const name = room.slice('core/'.length)
  const banned = all.filter((other) => other !== name && !rooms.includes(other))
  // An escaped number sign: a pattern that begins with one would be a comment.
  const patterns = [
    { group: banned.flatMap((other) => [`\\#core/${other}/*`, `../${other}/*`]), message: `${room} may not import these rooms: see rooms.js` },
    ...(node === 'all' ? [] : [{ group: ['node:*'], message: `${room} is pure: see rooms.js` }]),
  ]
  const doors = Object.entries(SINGLE_DOORS).filter(([, files]) => !files.some((file) => file.startsWith(`${room}/`)))
  return {
    files: [`${room}/**/*.ts`],
    ignores: [`${room}/**/*.test.ts`, ...(Array.isArray(node) ? node : [])],
    rules: { 'no-restricted-imports': ['error', { patterns, paths: doors.map(([door, files]) => ({ name: door, message: `only ${files.join(', ')} imports ${door}` })) }] },
  }
})

const outerBlocks = Object.entries(OUTER_ROOMS).map(([room, { rooms, node }]) => {
  const patterns = [
    { group: ['\\#core/*', ...rooms.flatMap((name) => [`!\\#core/${name}`, `!\\#core/${name}.ts`])], message: `${room} may import only ${rooms.join(', ')} of the core: see rooms.js` },
    ...(node ? [] : [{ group: ['node:*', 'electron'], message: `${room} runs in a page: see rooms.js` }]),
  ]
  return { files: [`${room}/**/*.{ts,vue}`], ignores: ['**/*.config.ts', '**/*.test.ts'], rules: { 'no-restricted-imports': ['error', { patterns }] } }
})

export default tseslint.config(
  { ignores: ['out/', 'node_modules/', 'coverage/', 'test/golden/', 'core/onnx/onnx_pb.ts', 'core/kernels/assembly/'] },
  {
    files: ['**/*.{ts,vue}'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { project: ['./tsconfig.node.json', './tsconfig.web.json', './tsconfig.browser.json'], tsconfigRootDir: import.meta.dirname, extraFileExtensions: ['.vue'] } },
    rules: {
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/explicit-module-boundary-types': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/no-non-null-assertion': 'error',
      'no-restricted-syntax': ['error', { selector: 'ExportDefaultDeclaration', message: 'Named exports only.' }],
      eqeqeq: 'error',
    },
  },
  {
    files: ['renderer/**/*.vue'],
    extends: [vue.configs['flat/essential']],
    languageOptions: { parserOptions: { parser: tseslint.parser } },
    rules: { 'no-restricted-syntax': 'off' },
  },
  { files: ['core/kernels/**/*.ts', 'core/quantizers/**/*.ts', 'core/transforms/**/*.ts', 'core/bytes/float*.ts', 'core/evaluation/score*.ts', 'core/statistics/**/*.ts', 'core/kv/metrics.ts', 'core/codecs/entropy.ts', '**/*.test.ts'], rules: { '@typescript-eslint/no-non-null-assertion': 'off' } },
  { files: ['**/*.config.ts', '**/*.d.ts', 'core/evaluation/no-sharp.ts'], rules: { 'no-restricted-syntax': 'off' } },
  ...roomBlocks,
  ...outerBlocks,
)

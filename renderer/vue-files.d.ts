/** What plain TypeScript, that of eslint among it, knows of a .vue file; vue-tsc knows more. */
declare module '*.vue' {
  import type { DefineComponent } from 'vue'

  const component: DefineComponent
  export default component
}

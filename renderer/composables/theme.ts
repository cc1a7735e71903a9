import { ref, watch } from 'vue'

export type Theme = 'system' | 'light' | 'dark'
const KEY = 'kvlab.theme'
const dark = matchMedia('(prefers-color-scheme: dark)')

/** What the person chose. */
export const theme = ref<Theme>(readTheme())
/** What is shown; charts redraw when it changes. */
export const shownTheme = ref<'light' | 'dark'>('light')

function readTheme(): Theme {
  const kept = localStorage.getItem(KEY)
  return kept === 'light' || kept === 'dark' ? kept : 'system'
}

/** Keep the document in the chosen theme from now on. */
export function followTheme(): void {
  const show = (): void => {
    shownTheme.value = theme.value === 'system' ? (dark.matches ? 'dark' : 'light') : theme.value
    document.documentElement.dataset.theme = shownTheme.value
  }
  dark.addEventListener('change', show)
  watch(theme, (chosen) => {
    localStorage.setItem(KEY, chosen)
    show()
  })
  show()
}

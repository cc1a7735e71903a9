import { shallowRef } from 'vue'

/** The method whose card lies over the page; null where none does. */
export const shownCard = shallowRef<string | null>(null)

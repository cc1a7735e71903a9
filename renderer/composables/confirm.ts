import { shallowRef } from 'vue'

/** A question that is asked before something cannot be taken back; `lines` are what it is about, one by one. */
export type Question = { title: string; text: string; lines?: readonly string[]; action: string; answer(yes: boolean): void }
export const question = shallowRef<Question | null>(null)

/** Ask, and wait for the answer. */
export function confirm(asked: Omit<Question, 'answer'>): Promise<boolean> {
  return new Promise((resolve) => {
    question.value = { ...asked, answer: (yes) => ((question.value = null), resolve(yes)) }
  })
}

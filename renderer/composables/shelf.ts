import type { Progress } from '#core/contract/api.ts'
import { computed, onMounted, ref, shallowRef, type ComputedRef, type Ref } from 'vue'
import { useWork, type Work } from './ask.ts'
import { choosePath, type Choice } from './files.ts'
import { complain } from './notices.ts'

/** What the lab found of a kind, models or texts, and what a person brought to it; one entry is looked at. */
export type Shelf<E> = {
  found: Work<E[]>
  rows: ComputedRef<E[]>
  entry: ComputedRef<E | null>
  selected: Ref<string | null>
  /** Look at what lies at a path. */
  take: (path: string | null) => Promise<void>
  /** Let the person choose a path to look at. */
  look: () => Promise<void>
}

export function useShelf<E extends { path: string }>(list: (signal: AbortSignal) => AsyncGenerator<Progress, E[], void>, inspect: (path: string) => Promise<E>, choice: Omit<Choice, 'answer'>): Shelf<E> {
  const found = useWork(list)
  const brought = shallowRef<E[]>([])
  const selected = ref<string | null>(null)
  const rows = computed(() => [...brought.value, ...(found.value ?? []).filter(({ path }) => !brought.value.some((other) => other.path === path))])
  const entry = computed(() => rows.value.find(({ path }) => path === (selected.value ?? rows.value[0]?.path)) ?? null)
  onMounted(() => void found.run())

  async function take(path: string | null): Promise<void> {
    if (path === null) return
    try {
      const taken = await inspect(path)
      brought.value = [taken, ...brought.value.filter((other) => other.path !== taken.path)]
      selected.value = taken.path
    } catch (error) {
      complain(error)
    }
  }

  async function look(): Promise<void> {
    try {
      await take(await choosePath(choice))
    } catch (error) {
      complain(error)
    }
  }

  return { found, rows, entry, selected, take, look }
}

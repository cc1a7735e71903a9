import type { Progress } from '#core/contract/api.ts'
import type { RepoKind } from '#core/contract/hub.ts'
import { computed, onMounted, ref, shallowRef, watch, type ComputedRef, type Ref } from 'vue'
import { arrived } from './downloads.ts'
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
  /** Forget what lay at a path, and look what there is. */
  drop: (path: string) => void
  /** Let the person choose a path to look at. */
  look: () => Promise<void>
}

export function useShelf<E extends { path: string }>(kind: RepoKind, list: (signal: AbortSignal) => AsyncGenerator<Progress, E[], void>, inspect: (path: string) => Promise<E>, choice: Omit<Choice, 'answer'>): Shelf<E> {
  const found = useWork(list)
  const brought = shallowRef<E[]>([])
  const selected = ref<string | null>(null)
  const rows = computed(() => [...brought.value, ...(found.value ?? []).filter(({ path }) => !brought.value.some((other) => other.path === path))])
  const entry = computed(() => rows.value.find(({ path }) => path === (selected.value ?? rows.value[0]?.path)) ?? null)
  onMounted(() => void found.run())
  watch(
    () => arrived[kind],
    async ({ path }) => {
      await found.run()
      // Where nobody looks at anything in particular, what came is what they wait for.
      if (selected.value === null && rows.value.some((row) => row.path === path)) selected.value = path
    },
  )

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

  function drop(path: string): void {
    brought.value = brought.value.filter((other) => other.path !== path)
    if (selected.value === path) selected.value = null
    void found.run()
  }

  async function look(): Promise<void> {
    try {
      await take(await choosePath(choice))
    } catch (error) {
      complain(error)
    }
  }

  return { found, rows, entry, selected, take, drop, look }
}

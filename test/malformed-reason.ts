import { LabError } from '#core/contract/errors.ts'

/** The reason of the MALFORMED_FILE that `work` throws; null where it throws nothing, and whatever else it throws. */
export function reasonOf(work: () => unknown): unknown {
  try {
    work()
    return null
  } catch (error) {
    return error instanceof LabError && error.code === 'MALFORMED_FILE' ? (error.details as { reason: string }).reason : error
  }
}

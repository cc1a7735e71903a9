import type { Report } from './report.ts'

/** The result as it is (schema kvlab.run/1): the source of every other format. */
export const json: Report = { id: 'json', label: 'JSON: the whole result', render: (result) => JSON.stringify(result, null, 2) + '\n' }

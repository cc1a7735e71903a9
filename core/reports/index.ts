import { LabError } from '#core/contract/errors.ts'
import { csv } from './csv.ts'
import { json } from './json.ts'
import { markdown } from './markdown.ts'
import type { Report } from './report.ts'

/** All report formats; a new one is a file and a line here. */
export const reports: readonly Report[] = [json, csv, markdown]

/** The format of that id; throws LabError INVALID_INPUT naming those there are. */
export function reportById(id: string): Report {
  const report = reports.find((each) => each.id === id)
  if (!report) throw new LabError('INVALID_INPUT', `no report format ${JSON.stringify(id)}: use ${reports.map((each) => each.id).join(', ')}`)
  return report
}

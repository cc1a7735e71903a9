import { createHash } from 'node:crypto'
import type { Progress } from '#core/contract/api.ts'
import { LabError } from '#core/contract/errors.ts'
import type { TextOverlap, TextSource } from '#core/contract/library.ts'
import { loadText } from './texts.ts'

/** Shorter ones are headings, captions and phrases that any two texts share. */
const MIN_PARAGRAPH_CHARS = 64
const MAX_EXAMPLES = 5
const EXAMPLE_CHARS = 120
/** Characters that are hashed before other work gets a turn: some tens of milliseconds. */
const CHARS_AT_ONCE = 1_000_000

/**
 * What two texts share: paragraphs of `evaluation`, set apart by blank lines and 64 characters or longer, that are in `calibration` too, as a paragraph or as a line of one: WikiText has
 * a paragraph a line, and its rows joined by two newlines have blank lines where its file has none. White space is evened out, so that lines may be broken elsewhere. Throws as `loadText`.
 */
export async function* textOverlap(calibration: TextSource, evaluation: TextSource, signal: AbortSignal): AsyncGenerator<Progress, TextOverlap> {
  const known = new Set<string>()
  for await (const step of paragraphsOf(calibration, 'reading the calibration text', signal)) {
    if ('phase' in step) yield step
    else for (const part of [step.paragraph, ...step.lines]) known.add(hashOf(part))
  }
  const overlap: TextOverlap = { shared: 0, paragraphs: 0, sharedCharacters: 0, characters: 0, examples: [] }
  for await (const step of paragraphsOf(evaluation, 'comparing the evaluation text', signal)) {
    if ('phase' in step) {
      yield step
      continue
    }
    overlap.paragraphs++
    overlap.characters += step.paragraph.length
    const parts = known.has(hashOf(step.paragraph)) ? [step.paragraph] : step.lines.filter((line) => known.has(hashOf(line)))
    if (parts[0] === undefined) continue
    overlap.shared++
    overlap.sharedCharacters += parts.reduce((sum, { length }) => sum + length, 0)
    if (overlap.examples.length < MAX_EXAMPLES) overlap.examples.push([...parts[0].slice(0, 2 * EXAMPLE_CHARS)].slice(0, EXAMPLE_CHARS).join(''))
  }
  return overlap
}

/** Throws LabError INVALID_INPUT, with how much and an example, where an evaluation text has anything of the calibration text: what was fitted on it would be measured on it. */
export async function* refuseOverlap(calibration: TextSource, evaluation: TextSource, signal: AbortSignal): AsyncGenerator<Progress, TextOverlap> {
  const overlap = yield* textOverlap(calibration, evaluation, signal)
  const { shared, paragraphs, examples } = overlap
  if (shared === 0) return overlap
  const share = `${shared} of ${paragraphs} paragraphs of ${evaluation.data} are in ${calibration.data} too`
  throw new LabError('INVALID_INPUT', `${share}, such as ${JSON.stringify(examples[0] ?? '')}: calibrate on another text, or another split of the data set`, { ...overlap })
}

/** A paragraph, and its lines where it has several, all 64 characters or longer. */
type Paragraph = { paragraph: string; lines: string[] }

async function* paragraphsOf(source: TextSource, phase: string, signal: AbortSignal): AsyncGenerator<Progress | Paragraph> {
  yield { phase, done: 0, total: 1 }
  const { documents } = await loadText(source, signal)
  const total = documents.reduce((sum, { length }) => sum + length, 0)
  let done = 0
  let told = 0
  for (const document of documents) {
    for (let at = 0; at < document.length; ) {
      const end = endOfParagraph(document, at)
      const lines = document.slice(at, end).split('\n').map(evened)
      const paragraph = lines.filter((line) => line !== '').join(' ')
      done += end - at
      at = end
      if (paragraph.length >= MIN_PARAGRAPH_CHARS) yield { paragraph, lines: lines.length < 2 ? [] : lines.filter((line) => line.length >= MIN_PARAGRAPH_CHARS && line !== paragraph) }
      if (done - told < CHARS_AT_ONCE) continue
      told = done
      yield { phase, done, total, unit: 'characters' }
      await new Promise((resolve) => setImmediate(resolve))
      signal.throwIfAborted()
    }
  }
}

const BLANK_LINE = /\n[^\S\n]*\n/g

/** Where the paragraph that begins at `at` ends, its blank line with it. */
function endOfParagraph(text: string, at: number): number {
  BLANK_LINE.lastIndex = at
  return BLANK_LINE.test(text) ? BLANK_LINE.lastIndex : text.length
}

function evened(text: string): string {
  return text.replace(/\s+/g, ' ').trim()
}

function hashOf(paragraph: string): string {
  return createHash('sha256').update(paragraph).digest('base64')
}

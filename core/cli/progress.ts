import { bytes, count, duration } from '#core/reports/numbers.ts'

/**
 * Absolute progress of a phase; `total` 0: nobody knows how much there is. A rate and the time left are worked out where `unit` is given and `rate` and `secondsLeft` are not. `note`: what the work waits
 * for, told in their place.
 */
export type ProgressState = { phase: string; done: number; total: number; unit?: string; rate?: number | null; secondsLeft?: number | null; note?: string | null }

/** `bar` redraws one line of a terminal; `lines` writes a line now and then, for logs. */
export type ProgressStyle = 'bar' | 'lines' | 'none'

/** Milliseconds between two drawings. */
const REDRAW = { bar: 100, lines: 2000, none: Infinity } as const
/** Milliseconds of silence at first, from the first that is known of some work: what is quick needs no progress. */
const PATIENCE = { bar: 200, lines: 1000, none: Infinity } as const
/** Seconds of a phase before a rate of it is worth telling. */
const RATE_AFTER = 1
const BAR_WIDTH = 24

/** Shows on one stream, stderr, how far the work is. Draws by a timer, so that the latest state is seen however events come. */
export class ProgressLine {
  readonly #stream: NodeJS.WriteStream
  readonly #style: ProgressStyle
  #began = 0
  #state: ProgressState | null = null
  #phase = { began: 0, done: 0 }
  #drawn = { at: -Infinity, text: '' }
  #timer: NodeJS.Timeout | null = null

  constructor(stream: NodeJS.WriteStream, style: ProgressStyle) {
    this.#stream = stream
    this.#style = style
  }

  show(state: ProgressState): void {
    if (this.#style === 'none') return
    if (!this.#state) this.#began = performance.now()
    if (state.phase !== this.#state?.phase) this.#phase = { began: performance.now(), done: state.done }
    this.#state = state
    this.#timer ??= setInterval(() => this.#draw(), REDRAW.bar).unref()
    this.#draw()
  }

  /** Take the bar away, for whatever is written next. */
  clear(): void {
    if (this.#timer) clearInterval(this.#timer)
    this.#timer = null
    this.#state = null
    if (this.#style === 'bar' && this.#drawn.text !== '') this.#stream.write('\r\x1b[K')
    this.#drawn.text = ''
  }

  #draw(): void {
    const now = performance.now()
    if (!this.#state || now - this.#began < PATIENCE[this.#style] || now - this.#drawn.at < REDRAW[this.#style]) return
    const text = this.#text(this.#state, now)
    if (text === this.#drawn.text) return
    this.#drawn = { at: now, text }
    if (this.#style === 'lines') this.#stream.write(text + '\n')
    else this.#stream.write('\r' + text.slice(0, (this.#stream.columns || 80) - 1) + '\x1b[K')
  }

  #text(state: ProgressState, now: number): string {
    const { phase, done, total } = state
    const { rate, secondsLeft } = this.#pace(state, now)
    if (total === 0) return `${phase}${state.note ? `: ${state.note}` : ''} …`
    const share = Math.min(1, done / total)
    const pace = [...(rate === null ? [] : [speed(rate, state.unit)]), ...(secondsLeft === null ? [] : [`${timeLeft(secondsLeft)} left`])]
    const facts = [`${Math.floor(share * 100)} %`, ...(state.note ? [state.note] : pace)]
    if (this.#style === 'lines') return `${phase}: ${facts.join(', ')}`
    const filled = Math.round(share * BAR_WIDTH)
    return `${phase} ${'█'.repeat(filled)}${'░'.repeat(BAR_WIDTH - filled)} ${facts.join('  ')}`
  }

  #pace({ done, total, unit, rate, secondsLeft }: ProgressState, now: number): { rate: number | null; secondsLeft: number | null } {
    if (unit === undefined || rate !== undefined) return { rate: rate ?? null, secondsLeft: secondsLeft ?? null }
    const seconds = (now - this.#phase.began) / 1000
    const advanced = done - this.#phase.done
    if (seconds < RATE_AFTER || advanced <= 0) return { rate: null, secondsLeft: null }
    return { rate: advanced / seconds, secondsLeft: (total - done) / (advanced / seconds) }
  }
}

function speed(rate: number, unit = 'tokens'): string {
  return unit === 'bytes' ? `${bytes(Math.round(rate))}/s` : `${count(Math.round(rate))} ${unit}/s`
}

/** A guess needs no tenths. */
function timeLeft(seconds: number): string {
  return seconds < 9.5 ? `${Math.max(1, Math.round(seconds))} s` : duration(seconds)
}

import { change, NOTHING, percent, small, speed } from '#core/reports/numbers.ts'
import type { Interval } from '#core/contract/run.ts'
import type { Column } from '../components/table.ts'
import type { Row } from './rows.ts'

const order = { pass: 0, open: 1, fail: 2 } as const
const or = <T>(value: T | null, text: (value: T) => string): string => (value === null ? NOTHING : text(value))

/** The table of a run's methods. */
export function runColumns(level: string): Column<Row>[] {
  const interval = ({ lnRatio }: Row): string => or(lnRatio, change)
  return [
    { key: 'method', title: 'Method', mono: true, width: 'minmax(158px, 2fr)', text: ({ method }) => method, value: ({ method }) => method, tip: ({ method }) => method },
    { key: 'bits', title: 'Bits', about: 'bits per value, whole files as written', align: 'right', width: '54px', text: ({ bits }) => or(bits, (value) => value.toFixed(2)), value: ({ bits }) => bits },
    { key: 'ratio', title: 'Ratio', about: 'bytes of the cache at F16 over bytes written', align: 'right', width: '60px', text: ({ ratio }) => or(ratio, (value) => `${value.toFixed(2)}x`), value: ({ ratio }) => ratio },
    { key: 'lnRatio', title: 'Δ ln PPL', about: 'change of the log of perplexity', align: 'right', width: '88px', text: ({ lnRatio }) => or(lnRatio, ({ mean }) => `${mean > 0 ? '+' : ''}${small(mean)}`), value: ({ lnRatio }) => lnRatio?.mean ?? null, tip: interval },
    { key: 'within', title: level, about: `half the width of the interval at ${level}; the exact bounds where the pointer rests`, align: 'right', width: '84px', text: ({ lnRatio }) => or(lnRatio, halfWidth), value: ({ lnRatio }) => (lnRatio ? lnRatio.high - lnRatio.low : null), tip: interval },
    { key: 'interval', title: 'Interval', unseen: true, width: '108px', text: () => '', tip: interval },
    { key: 'kl', title: 'KL mean', about: 'mean KL against the uncompressed cache, nats', align: 'right', width: '84px', text: ({ kl }) => or(kl, ({ mean }) => small(mean)), value: ({ kl }) => kl?.mean ?? null },
    { key: 'klP99', title: 'KL p99', about: '99th percentile of KL, nats', align: 'right', width: '72px', text: ({ klP99 }) => or(klP99, small), value: ({ klP99 }) => klP99 },
    { key: 'flips', title: 'Flips', about: 'share of tokens whose most likely prediction changed', align: 'right', width: '64px', text: ({ flips }) => or(flips, percent), value: ({ flips }) => flips },
    { key: 'encode', title: 'Encode', about: 'bytes of F16 cache a second, median of windows', align: 'right', width: '80px', text: ({ encode }) => or(encode, speed), value: ({ encode }) => encode },
    { key: 'decode', title: 'Decode', about: 'bytes of F16 cache a second, median of windows', align: 'right', width: '80px', text: ({ decode }) => or(decode, speed), value: ({ decode }) => decode },
    { key: 'verdict', title: 'Verdict', width: 'minmax(118px, 1fr)', text: ({ verdict }) => verdict, value: ({ outcome, verdict }) => (outcome ? `${order[outcome]}` : `9${verdict}`), tip: ({ verdict, reason }) => (reason ? reason.message : verdict) },
  ]
}

function halfWidth({ low, high }: Interval): string {
  return `±${small((high - low) / 2)}`
}

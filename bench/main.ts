import { existsSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { benchAgainst } from './against.ts'
import { benchCacheCodecs } from './cache-codecs.ts'
import { benchCodecs } from './codecs.ts'
import { benchKernels } from './kernels.ts'
import { benchDownload, playDownloadRole } from './download.ts'
import { benchStart } from './start.ts'
import { benchLogits } from './logits.ts'
import { benchMethods } from './methods.ts'
import { benchPage } from './page.ts'
import { benchSweep } from './sweep.ts'

/**
 * `npm run bench [-- start|kernels|methods|codecs|page|download|sweep]`: where the time goes; `npm run bench -- --against FOLDER`: the same sweep by another tool beside ours;
 * `npm run bench -- --cache FILE`: every codec on a cache that `kvlab extract` wrote.
 * `methods --only TEXT` takes those whose name has the text in it. Figures are of this machine at this moment: compare ratios within one run. The larger model is measured where its folder stands beside the checkout.
 */
const LARGE_MODEL = '../shared/models/SmolLM2-135M-Instruct'
const LARGE_TEXT = '../shared/data/wikitext-2-raw-v1/wiki.test.raw'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    against: { type: 'string' },
    cache: { type: 'string' },
    only: { type: 'string', default: '' },
    windows: { type: 'string', default: '4' },
    peers: { type: 'string', default: 'node_modules/.cache/kvlab-peers' },
    out: { type: 'string', default: 'bench/results' },
  },
})
const runs = (name: string): boolean => (positionals.length === 0 ? values.against === undefined && values.cache === undefined : positionals.includes(name))

playDownloadRole(positionals[0])
if (runs('start')) await benchStart()
if (runs('kernels')) {
  benchKernels()
  benchLogits()
}
if (runs('methods')) benchMethods(values.only)
if (runs('codecs')) benchCodecs()
if (runs('page')) await benchPage()
if (runs('download')) await benchDownload()
if (runs('sweep')) {
  await benchSweep({ model: 'demo', data: 'demo', contextLength: 64, prefixLength: 32, windows: 100 })
  if (existsSync(LARGE_MODEL)) await benchSweep({ model: LARGE_MODEL, data: existsSync(LARGE_TEXT) ? LARGE_TEXT : 'demo', contextLength: 512, prefixLength: 256, windows: 4 })
  else console.log(`sweep of the larger model left out: ${LARGE_MODEL} is not there`)
}
if (values.cache !== undefined) await benchCacheCodecs(values.cache)
if (values.against !== undefined) await benchAgainst({ against: values.against, windows: Number(values.windows), peers: values.peers, out: values.out })

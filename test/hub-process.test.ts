import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { request } from '#core/hub/request.ts'
import { startHubProcess } from './hub-process.ts'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'kvlab-hub-process-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

it('a test hub in a process of its own serves files of the disk', async () => {
  const path = join(folder, 'large.bin')
  const content = randomBytes(5_000_000)
  writeFileSync(path, content)
  const hub = await startHubProcess(folder, { repos: [{ name: 'org/large', files: { 'model.onnx': { path } } }], slow: { kind: 'trickle', bytesPerChunk: 2 ** 20, msBetween: 1 } })
  try {
    const place = { endpoint: hub.endpoint, token: null, offline: false, proxy: null, noProxy: null, cache: folder }
    const response = await request(place, new URL('org/large/resolve/main/model.onnx', hub.endpoint), { headers: { range: 'bytes=1000-' }, signal: new AbortController().signal })
    const hash = createHash('sha256')
    for await (const chunk of response.body) hash.update(chunk)
    expect(hash.digest('hex')).toBe(createHash('sha256').update(content.subarray(1000)).digest('hex'))
    expect(response.linked).toMatchObject({ etag: createHash('sha256').update(content).digest('hex'), size: 5_000_000 })
  } finally {
    hub.close()
  }
})

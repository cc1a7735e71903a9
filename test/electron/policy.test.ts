import { EventEmitter } from 'node:events'
import type { WebContents } from 'electron'
import { describe, expect, it } from 'vitest'
import { confine, limitPermissions, isOwnAddress, isOwnPage, openLink } from '../../electron/main/policy.ts'

describe('who may ask for ports', () => {
  it('is the top frame of our own page', () => expect(isOwnPage({ parent: null, origin: 'app://lab' })).toBe(true))

  it.each([
    ['no frame', null],
    ['a frame inside the page', { parent: {}, origin: 'app://lab' }],
    ['another host', { parent: null, origin: 'app://other' }],
    ['a longer host', { parent: null, origin: 'app://lab.example.org' }],
    ['the web', { parent: null, origin: 'https://lab' }],
    ['a file', { parent: null, origin: 'file://' }],
    ['an opaque origin', { parent: null, origin: 'null' }],
  ])('is not %s', (_, frame) => expect(isOwnPage(frame)).toBe(false))

  it('is not a frame that is gone, which throws when asked', () => {
    const gone = {
      parent: null,
      get origin(): string {
        throw new Error('Render frame was disposed before WebFrameMain could be accessed')
      },
    }
    expect(isOwnPage(gone)).toBe(false)
  })
})

describe('addresses', () => {
  it.each(['app://lab/', 'app://lab/index.html#/runs'])('%s is our own', (url) => expect(isOwnAddress(url)).toBe(true))
  it.each(['app://lab2/', 'app://lab:80/', 'app://user@lab/', 'https://lab/', 'file:///etc/passwd', 'about:blank', 'javascript:alert(1)', '', 'lab'])('%j is not', (url) =>
    expect(isOwnAddress(url)).toBe(false),
  )

  async function opened(url: string): Promise<string[]> {
    const urls: string[] = []
    await openLink(url, async (address) => void urls.push(address))
    return urls
  }

  it('opens https pages of known sites', async () => {
    expect(await opened('https://arxiv.org/abs/2402.02750')).toEqual(['https://arxiv.org/abs/2402.02750'])
  })

  it.each([
    'http://arxiv.org/abs/1',
    'https://arxiv.org.example.net/',
    'https://www.arxiv.org/',
    'https://arxiv.org:8443/',
    'https://arxiv.org@example.net/',
    'https://user:word@arxiv.org/',
    'file:///etc/passwd',
    'smb://arxiv.org/share',
    'javascript:alert(1)',
    'ms-settings:',
    'arxiv.org',
    '',
  ])('does not open %j', async (url) => {
    await expect(opened(url)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  })
})

describe('the page', () => {
  it('gets no permission but to put text on the clipboard', () => {
    const handlers: { [name: string]: unknown } = {}
    const session = {
      setPermissionRequestHandler: (handler: unknown) => void (handlers['request'] = handler),
      setPermissionCheckHandler: (handler: unknown) => void (handlers['check'] = handler),
      setDevicePermissionHandler: (handler: unknown) => void (handlers['device'] = handler),
    }
    limitPermissions(session)
    const answers: boolean[] = []
    const request = handlers['request'] as (contents: null, permission: string, answer: (granted: boolean) => void, details: { requestingUrl: string }) => void
    const check = handlers['check'] as (contents: null, permission: string, origin: string) => boolean
    for (const [permission, url] of [['media', 'app://lab/'], ['clipboard-read', 'app://lab/'], ['clipboard-sanitized-write', 'https://lab/'], ['clipboard-sanitized-write', 'app://lab/']] as const) {
      request(null, permission, (granted) => answers.push(granted), { requestingUrl: url })
      answers.push(check(null, permission, url))
    }
    expect(answers).toEqual([false, false, false, false, false, false, true, true])
    expect((handlers['device'] as () => boolean)()).toBe(false)
  })

  function page(): { contents: EventEmitter; open: () => unknown; prevented: (event: string, url: string) => boolean } {
    let handler: (details: { url: string }) => unknown = () => null
    const contents = Object.assign(new EventEmitter(), { setWindowOpenHandler: (given: typeof handler) => void (handler = given) })
    confine(contents as unknown as WebContents)
    const prevented = (event: string, url: string): boolean => {
      let stopped = false
      contents.emit(event, { url, preventDefault: () => (stopped = true) })
      return stopped
    }
    return { contents, open: () => handler({ url: 'app://lab/' }), prevented }
  }

  it('opens no window, not even of its own', () => expect(page().open()).toEqual({ action: 'deny' }))

  it.each(['will-navigate', 'will-frame-navigate', 'will-redirect'])('%s: goes nowhere but to itself', (event) => {
    expect(page().prevented(event, 'https://arxiv.org/')).toBe(true)
    expect(page().prevented(event, 'file:///etc/passwd')).toBe(true)
    expect(page().prevented(event, 'app://lab/')).toBe(false)
  })

  it('embeds no other page', () => expect(page().prevented('will-attach-webview', 'app://lab/')).toBe(true))
})

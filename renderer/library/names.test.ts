import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { archiveName, inFolder, pageOf, underOneFolder, wantedOf } from './names.ts'

describe('what a person types to find a repository', () => {
  it.each([
    ['HuggingFaceTB/SmolLM2-135M-Instruct', { repo: 'HuggingFaceTB/SmolLM2-135M-Instruct', revision: null }],
    ['  allenai/c4 ', { repo: 'allenai/c4', revision: null }],
    ['https://huggingface.co/HuggingFaceTB/SmolLM2-135M', { repo: 'HuggingFaceTB/SmolLM2-135M', revision: null }],
    ['https://huggingface.co/datasets/Salesforce/wikitext?x=1#top', { repo: 'Salesforce/wikitext', revision: null }],
    ['http://127.0.0.1:9/org/name/tree/refs%2Fpr%2F1', { repo: 'org/name', revision: 'refs/pr/1' }],
    ['https://huggingface.co/org/name/blob/main/model.onnx', { repo: 'org/name', revision: null }],
    ['llama 3.2', { words: 'llama 3.2' }],
    ['gpt2', { words: 'gpt2' }],
    ['https://huggingface.co/', { words: 'https://huggingface.co/' }],
    ['a/b/c', { words: 'a/b/c' }],
    ['../etc', { words: '../etc' }],
    ['', { words: '' }],
  ])('%j', (typed, wanted) => expect(wantedOf(typed)).toEqual(wanted))

  it('is found again at the address of its page', () => {
    const word = fc.stringMatching(/^[A-Za-z0-9][\w.-]{0,10}$/)
    fc.assert(
      fc.property(word, word, fc.constantFrom('model' as const, 'dataset' as const), (organisation, name, kind) => {
        fc.pre(!['datasets', 'models'].includes(organisation))
        const repo = `${organisation}/${name}`
        expect(wantedOf(pageOf('https://hub.example/', kind, repo))).toEqual({ repo, revision: null })
      }),
    )
  })
})

describe('an export', () => {
  it('lies in the chosen folder, whichever way that is written', () => {
    expect(inFolder('/home/me', 'a.tar')).toBe('/home/me/a.tar')
    expect(inFolder('/', 'a.tar')).toBe('/a.tar')
    expect(inFolder('C:\\data', 'a.tar')).toBe('C:\\data\\a.tar')
  })

  it('is named after what is in it', () => {
    expect(archiveName('HuggingFaceTB/SmolLM2-135M-Instruct', 'q4')).toBe('SmolLM2-135M-Instruct-q4.tar')
    expect(archiveName('Salesforce/wikitext wikitext-2-raw-v1/test', null)).toBe('test.tar')
    expect(archiveName('..', null)).toBe('export.tar')
  })

  it('has a name that is one file in one folder', () => {
    fc.assert(fc.property(fc.string(), fc.option(fc.stringMatching(/^\w+$/)), (name, weights) => void expect(archiveName(name, weights)).toMatch(/^[\w][\w.-]*\.tar$/)))
  })
})

describe('files of one folder', () => {
  it.each([
    [['/c/s/config.json', '/c/s/onnx/model.onnx'], '/c/s/', ['config.json', 'onnx/model.onnx']],
    [['/c/one.txt'], '/c/', ['one.txt']],
    [['C:\\m\\a', 'C:\\m\\b'], 'C:\\m\\', ['a', 'b']],
    [['/a/x', '/b/x'], '/', ['a/x', 'b/x']],
    [['/a/b', '/a/bc'], '/a/', ['b', 'bc']],
    [[], '', []],
  ])('%j', (paths, folder, files) => expect(underOneFolder(paths)).toEqual({ folder, files }))

  it('lose nothing', () => {
    const path = fc.array(fc.stringMatching(/^[a-c]{1,2}$/), { minLength: 1, maxLength: 4 }).map((parts) => `/${parts.join('/')}`)
    fc.assert(
      fc.property(fc.array(path), (paths) => {
        const { folder, files } = underOneFolder(paths)
        expect(files.map((file) => folder + file)).toEqual(paths)
        expect(files).not.toContain('')
      }),
    )
  })
})

import { describe, expect, it } from 'vitest'
import { cachedTextName, repoName } from './shelves.ts'

describe('names of repositories', () => {
  it.each([
    ['org/name', { repo: 'org/name', revision: 'main', choice: null }],
    ['gpt2', { repo: 'gpt2', revision: 'main', choice: null }],
    ['org/name:q4', { repo: 'org/name', revision: 'main', choice: 'q4' }],
    ['org/name@v1.0/beta', { repo: 'org/name', revision: 'v1.0/beta', choice: null }],
    ['org/name@0123abc:wikitext-2-raw-v1/test', { repo: 'org/name', revision: '0123abc', choice: 'wikitext-2-raw-v1/test' }],
    // Nothing is lost of what is no name: the hub's own rules refuse it.
    ['@v1', { repo: '@v1', revision: 'main', choice: null }],
  ])('%s', (typed, expected) => {
    expect(repoName(typed)).toEqual(expected)
  })

  it('names a text of the cache by its path within the repository', () => {
    const commit = 'a'.repeat(40)
    expect(cachedTextName('org/name', `/cache/datasets--org--name/snapshots/${commit}/raw/test.txt`)).toBe('org/name:raw/test.txt')
    expect(cachedTextName('org/name', `C:\\cache\\datasets--org--name\\snapshots\\${commit}\\raw\\test.txt`)).toBe('org/name:raw/test.txt')
    expect(cachedTextName('org/name', '/elsewhere/test.txt')).toBe('/elsewhere/test.txt')
  })
})

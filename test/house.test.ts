import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
// @ts-expect-error plain JavaScript, shared with eslint.config.js
import { OUTER_ROOMS, ROOMS, SINGLE_DOORS } from '../rooms.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const rooms = ROOMS as Record<string, { rooms: string[]; node: string[] | 'all' }>
const outer = OUTER_ROOMS as Record<string, { rooms: string[]; node: boolean }>
const doors = SINGLE_DOORS as Record<string, string[]>

function sourcesOf(folder: string): string[] {
  if (!existsSync(join(root, folder))) return []
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .map((file) => join(folder, file))
    .filter((file) => /\.(ts|vue)$/.test(file) && !/\.(test|config)\.ts$/.test(file))
}

const files = sourcesOf('core')

/** What a file imports, types included: specifiers of static and dynamic imports. */
function importsOf(file: string): string[] {
  const text = readFileSync(join(root, file), 'utf8')
  return [...text.matchAll(/(?:from|import|require\.resolve|require)\s*\(?\s*'([^']+)'/g)].map((match) => match[1] ?? '')
}

function roomOf(file: string): string {
  return dirname(file).split('/').slice(0, 2).join('/')
}

describe('the dependency rule', () => {
  it('finds files and imports at all', () => {
    expect(files.length).toBeGreaterThan(40)
    expect(importsOf('core/kv/methods.ts').length).toBeGreaterThan(2)
  })

  it('every room is known', () => {
    const known = [...Object.keys(rooms), 'core']
    expect(files.filter((file) => !known.includes(roomOf(file)))).toEqual([])
  })

  it.each(files.filter((file) => roomOf(file) !== 'core'))('%s imports only what its room may', (file) => {
    const room = rooms[roomOf(file)]
    const allowed = [roomOf(file), ...(room?.rooms ?? []).map((name) => `core/${name}`)]
    const wrong = importsOf(file).flatMap((specifier) => {
      if (specifier.startsWith('node:')) return room?.node === 'all' || room?.node.includes(file) ? [] : [specifier]
      if (doors[specifier]) return doors[specifier].includes(file) ? [] : [specifier]
      const target = specifier.startsWith('#core/') ? specifier.slice(1) : specifier.startsWith('.') ? relative(root, resolve(root, dirname(file), specifier)) : null
      if (target === null || !target.startsWith('core/')) return []
      const entry = target === 'core/engine.ts' ? 'core/engine' : roomOf(target)
      return allowed.includes(entry) ? [] : [specifier]
    })
    expect(wrong).toEqual([])
  })

  it.each(Object.entries(outer))('%s imports of the core only what it may', (folder, { rooms: allowed, node }) => {
    const wrong = sourcesOf(folder).flatMap((file) =>
      importsOf(file)
        .filter((specifier) => {
          if (specifier.startsWith('node:') || specifier === 'electron') return !node
          const inside = specifier.startsWith('#core/') ? specifier.slice('#core/'.length) : null
          return inside !== null && !allowed.some((name) => inside === `${name}.ts` || inside.startsWith(`${name}/`))
        })
        .map((specifier) => `${file}: ${specifier}`),
    )
    expect(wrong).toEqual([])
  })

  it('no room is called what says nothing', () => {
    expect(files.filter((file) => /(^|\/)(utils?|common|helpers?|services?|managers?)(\/|\.|-)/.test(file))).toEqual([])
  })

  it('no file of the core passes 400 lines', () => {
    expect(files.filter((file) => readFileSync(join(root, file), 'utf8').split('\n').length > 400)).toEqual([])
  })
})

describe('package.json', () => {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<string, Record<string, string>>

  it('pins every package exactly', () => {
    const versions = ['dependencies', 'devDependencies', 'optionalDependencies'].flatMap((kind) => Object.entries(manifest[kind] ?? {}))
    expect(versions.filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version))).toEqual([])
  })

  it('names no registry host in the lock file', () => {
    expect(readFileSync(join(root, 'package-lock.json'), 'utf8')).not.toContain('"resolved"')
  })
})

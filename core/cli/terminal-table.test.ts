import { describe, expect, it } from 'vitest'
import { layOut } from './terminal-table.ts'

const columns = [
  { title: 'method', align: 'left', rank: 0, cells: ['none', 'int4:g64'] },
  { title: 'bits', align: 'right', rank: 1, cells: ['16', '4.27'] },
  { title: 'note', align: 'left', rank: 2, cells: ['x', ''] },
] as const

describe('a table on a terminal', () => {
  it('paints cells without moving them', () => {
    const painted = layOut(columns.map((column) => ({ ...column, paint: (cell: string) => `<${cell}>` })), 80)
    expect(painted.map((line) => line.replaceAll(/[<>]/g, ''))).toEqual(layOut(columns, 80))
    expect(painted[2]).toBe('<int4:g64>  <4.27>  <>')
  })

  it('aligns its columns', () => {
    expect(layOut(columns, 80)).toEqual(['method    bits  note', 'none        16  x', 'int4:g64  4.27  '])
  })

  it('leaves out the least important columns where it is narrow, never the first', () => {
    expect(layOut(columns, 19)).toEqual(['method    bits', 'none        16', 'int4:g64  4.27', '(too narrow for: note)'])
    expect(layOut(columns, 3)).toEqual(['method', 'none', 'int4:g64', '(too narrow for: bits, note)'])
  })

  it('lets no control character of a cell through', () => {
    expect(layOut([{ title: 'tensor', align: 'left', rank: 0, cells: ['a\u001b[2Jb\nc'] }], 80)).toEqual(['tensor', 'a\ufffd[2Jb\ufffdc'])
  })
})

import type { LayerOverride, Method } from '#core/contract/method.ts'

/** Layers that are encoded alike: 0 those by the method's own sides, n those of its nth override, `kept` those that it keeps whole. */
export type LayerGroup = number | 'kept'

/** The groups of a method that encode: its own and one for each override. */
export function groupsOf(method: Method): number[] {
  return [method, ...method.overrides].map((_, group) => group)
}

/** The method of one group's layers by itself, as it would be written without any rule for layers. */
export function groupMethod(method: Method, group: number): Method {
  const { key, value } = method.overrides[group - 1] ?? method
  return { ...method, key, value, keep: { ...method.keep, layers: [] }, overrides: [] }
}

/** The group of each layer that is not in group 0, of a cache of so many; rules for layers that it does not have are left out. Of rules for the same layer the first holds. */
export function groupedLayers(method: Method, layers: number): Map<number, LayerGroup> {
  const groups = new Map<number, LayerGroup>()
  for (const [group, rule] of rulesOf(method)) {
    for (const layer of rule.layers) {
      const counted = fromFirst(layer, layers)
      if (0 <= counted && counted < layers && !groups.has(counted)) groups.set(counted, group)
    }
  }
  return groups
}

/** How many layers each group has. */
export function groupSizes(method: Method, layers: number): Map<LayerGroup, number> {
  const grouped = groupedLayers(method, layers)
  const sizes = new Map<LayerGroup, number>([[0, layers - grouped.size]])
  for (const group of grouped.values()) sizes.set(group, (sizes.get(group) ?? 0) + 1)
  return sizes
}

/** The layers of a group, ascending: the order in which its streams are stacked. */
export function layersOf(method: Method, group: LayerGroup, layers: number): number[] {
  const grouped = groupedLayers(method, layers)
  const own: number[] = []
  for (let layer = 0; layer < layers; layer++) if ((grouped.get(layer) ?? 0) === group) own.push(layer)
  return own
}

/** The method of each layer by itself; null where it is kept. */
export function layerMethods(method: Method, layers: number): (Method | null)[] {
  const grouped = groupedLayers(method, layers)
  const methods = groupsOf(method).map((group) => groupMethod(method, group))
  return Array.from({ length: layers }, (_, layer) => {
    const group = grouped.get(layer) ?? 0
    return group === 'kept' ? null : (methods[group] ?? null)
  })
}

/** A rule for layers that a cache does not allow, and the method without what is wrong. */
export function layersMisfit(method: Method, layers: number): { readonly reason: string; readonly instead: Method } | null {
  const rules = rulesOf(method)
  const taken = new Map<number, LayerGroup>()
  for (const [group, rule] of rules) {
    const beyond = rule.layers.find((layer) => layer >= layers || layer < -layers)
    if (beyond !== undefined) return { reason: `there is no layer ${beyond} among ${layers}`, instead: filtered(method, group, (layer) => layer < layers && layer >= -layers) }
    const twice = rule.layers.find((layer) => (taken.get(fromFirst(layer, layers)) ?? group) !== group)
    if (twice !== undefined) {
      const free = (layer: number): boolean => (taken.get(fromFirst(layer, layers)) ?? group) === group
      return { reason: `of ${layers} layers ${twice} is one that another rule names`, instead: filtered(method, group, free) }
    }
    for (const layer of rule.layers) taken.set(fromFirst(layer, layers), group)
  }
  if (taken.size < layers) return null
  const last = method.overrides.at(-1)
  if (last) return { reason: `its rules name all ${layers} layers and leave none for what stands before them`, instead: { ...method, key: last.key, value: last.value, overrides: method.overrides.slice(0, -1) } }
  return { reason: `it keeps all ${layers} layers and leaves nothing to encode`, instead: { ...method, keep: { ...method.keep, layers: method.keep.layers.slice(0, -1) } } }
}

function rulesOf({ keep, overrides }: Method): [LayerGroup, Pick<LayerOverride, 'layers'>][] {
  return [['kept', keep], ...overrides.map((override, i): [LayerGroup, LayerOverride] => [i + 1, override])]
}

function filtered(method: Method, group: LayerGroup, within: (layer: number) => boolean): Method {
  const { keep, overrides } = method
  if (group === 'kept') return { ...method, keep: { ...keep, layers: keep.layers.filter(within) } }
  const left = overrides.map((override, i) => (i + 1 === group ? { ...override, layers: override.layers.filter(within) } : override))
  return { ...method, overrides: left.filter((override) => override.layers.length > 0) }
}

function fromFirst(layer: number, layers: number): number {
  return layer < 0 ? layers + layer : layer
}

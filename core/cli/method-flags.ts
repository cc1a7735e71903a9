import { LabError } from '#core/contract/errors.ts'
import type { MethodCatalog, Sides, SideSpec } from '#core/contract/method.ts'
import { methodCatalog, readMethod, writeMethod } from '#core/kv/methods.ts'
import { real, whole } from './run-flags.ts'

/** A method string and what other flags put into it. */
export type MethodFlags = { method: string; groupSize?: string; sparsity?: string }

/** The method string with the group size and sparsity of the flags put in. Throws LabError of the method, or INVALID_METHOD where it has no such option. */
export function methodOf({ method, groupSize, sparsity }: MethodFlags): string {
  const catalog = methodCatalog()
  const percent = sparsity === undefined ? 0 : percentOf(sparsity)
  const changed = (side: SideSpec): SideSpec => {
    const grouped = groupSize === undefined ? side : withGroup(side, whole('--group-size', groupSize), catalog)
    return percent === 0 ? grouped : withSparsity(grouped, percent, catalog)
  }
  const both = <T extends Sides>(sides: T): T => ({ ...sides, key: changed(sides.key), value: changed(sides.value) })
  const parsed = readMethod(method)
  // Reading it again checks the new options and puts them in order.
  return writeMethod(readMethod(writeMethod({ ...both(parsed), overrides: parsed.overrides.map(both) })))
}

function percentOf(sparsity: string): number {
  const share = real('--sparsity', sparsity)
  if (share < 0 || share >= 1) throw new LabError('INVALID_INPUT', `--sparsity: ${sparsity} is not a share from 0 up to 1, such as 0.5`)
  return Math.round(100 * share)
}

function withGroup(side: SideSpec, size: number, { quantizers }: MethodCatalog): SideSpec {
  const params = quantizers.find(({ id }) => id === side.quantizer)?.params ?? {}
  const [name] = Object.entries(params).find(([, param]) => param.option === 'g') ?? []
  if (name === undefined) throw new LabError('INVALID_METHOD', `--group-size: ${side.quantizer} has no group size: leave it out or choose a method such as int4`)
  return { ...side, params: { ...side.params, [name]: size } }
}

function withSparsity(side: SideSpec, percent: number, { transforms }: MethodCatalog): SideSpec {
  const [id, name] = transforms.flatMap((transform) => Object.entries(transform.params).filter(([, { option }]) => option === 'sparse').map(([param]) => [transform.id, param]))[0] ?? []
  if (id === undefined || name === undefined) throw new LabError('INVALID_METHOD', '--sparsity: this version has no sparsity: leave it out')
  return { ...side, transforms: [...side.transforms.filter((transform) => transform.id !== id), { id, params: { [name]: percent } }] }
}

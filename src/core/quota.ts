/** R23, the pool of one node: what is free now, what each running task took. */
import type { Resources } from './task.ts'

export interface Capacity {
  readonly cpu: number
  readonly memoryBytes: number
  readonly gpu: number
  readonly quota: Readonly<Record<string, number>>
}

export interface ResourcePool {
  readonly capacity: Capacity
  cpu: number
  memoryBytes: number
  gpu: number
  readonly quota: Map<string, number>
}

export function createPool(capacity: Capacity): ResourcePool {
  return {
    capacity,
    cpu: capacity.cpu,
    memoryBytes: capacity.memoryBytes,
    gpu: capacity.gpu,
    quota: new Map(Object.entries(capacity.quota)),
  }
}

/** The first resource of which too little is free, or would be even on an idle node (`ever: false`); `undefined` when it fits. */
export function shortage(
  pool: ResourcePool,
  need: Resources | undefined,
): { name: string; ever: boolean } | undefined {
  if (!need) return undefined
  const { capacity } = pool
  if ((need.cpu ?? 0) > pool.cpu) return { name: 'cpu', ever: (need.cpu ?? 0) <= capacity.cpu }
  if ((need.memoryBytes ?? 0) > pool.memoryBytes)
    return { name: 'memory', ever: (need.memoryBytes ?? 0) <= capacity.memoryBytes }
  if ((need.gpu ?? 0) > pool.gpu) return { name: 'gpu', ever: (need.gpu ?? 0) <= capacity.gpu }
  for (const [name, units] of Object.entries(need.quota ?? {})) {
    if (units > (pool.quota.get(name) ?? 0))
      return { name: `quota ${name}`, ever: units <= (capacity.quota[name] ?? 0) }
  }
  return undefined
}

export function allocate(pool: ResourcePool, need: Resources | undefined): void {
  move(pool, need, -1)
}

export function release(pool: ResourcePool, need: Resources | undefined): void {
  move(pool, need, 1)
}

/** Fractions of a core add up to a core again: without rounding, 0.1 three times taken and given back leaves less than there was. */
function exact(amount: number): number {
  return Math.round(amount * 1e6) / 1e6
}

function move(pool: ResourcePool, need: Resources | undefined, sign: 1 | -1): void {
  if (!need) return
  pool.cpu = exact(pool.cpu + sign * (need.cpu ?? 0))
  pool.memoryBytes += sign * (need.memoryBytes ?? 0)
  pool.gpu = exact(pool.gpu + sign * (need.gpu ?? 0))
  for (const [name, units] of Object.entries(need.quota ?? {}))
    pool.quota.set(name, exact((pool.quota.get(name) ?? 0) + sign * units))
}

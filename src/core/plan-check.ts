/** What can be said about one task without looking at the others: names, sizes, ranges, and what it asks of a node. */
import { type Capacity, checkCapacity } from './capacity.ts'
import { parseCondition } from './condition.ts'
import { isGroupName } from './group.ts'
import { isTaskId, type TaskId } from './id.ts'
import * as limit from './limit.ts'
import { nearestName } from './nearest.ts'
import { didYouMean, type PlanPath, quote, type RefusalList } from './plan-refusal.ts'
import { checkCommand, checkEnv, checkGlobs, checkTitle, type GlobMemory } from './plan-text.ts'
import { DURATION_MS_MAX } from './quantity.ts'
import { BARRIER_KIND, type Group, PRIORITIES, type Resources, type TaskSpec } from './task.ts'

export interface TaskCheckOptions {
  /** Kinds that can run here; `acp:*` stands for every kind that begins with `acp:`. Absent = not checked. */
  readonly kinds?: readonly string[]
  /** Nodes of the cluster. Absent or empty = not checked. */
  readonly capacities?: readonly Capacity[]
}

const TOKEN = /^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}$/

/** Checks tasks one by one; remembers globs that were seen, since tasks of one plan repeat them. */
export function createTaskCheck(
  options: TaskCheckOptions,
  refusals: RefusalList,
): (id: TaskId, spec: TaskSpec) => void {
  const kinds = options.kinds && createKinds(options.kinds)
  const globs: GlobMemory = new Map()
  const capacities = options.capacities ?? []
  // A million tasks come through here: no closures and no paths are made for what is absent.
  return (id, spec) => {
    if (!isTaskId(id)) {
      refusals.error(
        ['tasks', id],
        'bad-id',
        `${quote(id)} cannot be a task id`,
        'letters, digits, ".", "_" and "-", at most 128, beginning with a letter or digit',
      )
    }
    if (kinds && !kinds.has(spec.kind) && spec.kind !== BARRIER_KIND) {
      const hint =
        didYouMean(nearestName(spec.kind, options.kinds!)) ?? `known here: ${options.kinds!.join(', ')}`
      refusals.error(
        ['tasks', id, 'kind'],
        'unknown-agent',
        `no agent ${quote(spec.kind)} on this node`,
        hint,
      )
    }
    if (spec.run === undefined) {
      if (spec.kind === 'shell')
        refusals.error(['tasks', id, 'run'], 'no-work', 'a shell task needs the command "run"')
    } else if (spec.kind !== 'shell') {
      refusals.error(
        ['tasks', id, 'run'],
        'two-works',
        `"run" is for shell tasks, and this one is for ${quote(spec.kind)}`,
      )
    } else checkCommand(refusals, id, 'run', spec.run)
    if (spec.title !== undefined) checkTitle(refusals, id, spec.title)
    if (spec.prompt !== undefined) checkCommand(refusals, id, 'prompt', spec.prompt)
    if (spec.check !== undefined) checkCommand(refusals, id, 'check', spec.check)
    if (spec.compensation !== undefined) checkCommand(refusals, id, 'compensation', spec.compensation)
    if (spec.needs !== undefined && spec.kind !== BARRIER_KIND) checkCount(refusals, id, 'needs', spec.needs)
    if (spec.after !== undefined) checkCount(refusals, id, 'after', spec.after)
    if (spec.if !== undefined) {
      const reading = parseCondition(spec.if)
      if (!reading.ok) {
        refusals.error(
          ['tasks', id, 'if'],
          'bad-condition',
          `condition ${quote(spec.if)} at character ${reading.at + 1}: ${reading.reason}`,
        )
      }
    }
    if (spec.scope !== undefined) {
      checkGlobs(refusals, globs, id, 'write', spec.scope.write)
      checkGlobs(refusals, globs, id, 'read', spec.scope.read)
    }
    if (spec.priority !== undefined && !PRIORITIES.includes(spec.priority)) {
      refusals.error(
        ['tasks', id, 'priority'],
        'bad-value',
        `priority ${quote(String(spec.priority))} is none of ${PRIORITIES.join(', ')}`,
      )
    }
    if (spec.timeoutMs !== undefined)
      checkNumber(refusals, ['tasks', id, 'timeout'], 'timeout (ms)', spec.timeoutMs, 1, DURATION_MS_MAX)
    if (spec.stallMs !== undefined)
      checkNumber(refusals, ['tasks', id, 'stall'], 'stall (ms)', spec.stallMs, 0, DURATION_MS_MAX)
    if (spec.retry !== undefined) checkRetry(refusals, id, spec)
    if (spec.group !== undefined) checkGroup(refusals, id, spec.group)
    if (spec.exclusive !== undefined && !TOKEN.test(spec.exclusive)) {
      refusals.error(
        ['tasks', id, 'exclusive'],
        'bad-name',
        `${quote(spec.exclusive)} cannot be an exclusive name`,
      )
    }
    if (spec.capabilities !== undefined) checkCapabilities(refusals, id, spec.capabilities)
    if (spec.env !== undefined) checkEnv(refusals, id, spec.env)
    if (spec.resources !== undefined) checkResources(refusals, id, spec.resources)
    if (capacities.length > 0)
      checkCapacity(id, spec.resources ?? {}, spec.capabilities ?? [], capacities, refusals)
  }
}

function checkCount(
  refusals: RefusalList,
  id: TaskId,
  field: 'needs' | 'after',
  list: readonly TaskId[],
): void {
  if (list.length <= limit.NEEDS_MAX) return
  const message = `${quote(id)} has ${list.length} entries in ${field}; at most ${limit.NEEDS_MAX} are taken`
  refusals.error(['tasks', id, field], 'too-many', message, 'put them in a group and name "group:NAME"')
}

function checkNumber(
  refusals: RefusalList,
  path: PlanPath,
  name: string,
  value: number,
  min: number,
  max: number,
  whole = false,
): void {
  if (value >= min && value <= max && (!whole || Number.isInteger(value))) return
  refusals.error(
    path,
    'bad-value',
    `${name} is ${value}; it must be ${whole ? 'a whole number ' : ''}from ${min} to ${max}`,
  )
}

function checkRetry(refusals: RefusalList, id: TaskId, { retry, exclusive }: TaskSpec): void {
  const { strategy, attempts, delayMs } = retry!
  checkNumber(
    refusals,
    ['tasks', id, 'retry', 'attempts'],
    'retry.attempts',
    attempts,
    1,
    limit.RETRY_ATTEMPTS_MAX,
    true,
  )
  checkNumber(refusals, ['tasks', id, 'retry', 'delay'], 'retry.delay (ms)', delayMs, 0, DURATION_MS_MAX)
  if (exclusive !== undefined && attempts > 1 && strategy !== 'none') {
    refusals.warn(
      ['tasks', id, 'retry'],
      'exclusive-retry',
      `${quote(id)} is exclusive: it starts at most once, its retries are never used`,
    )
  }
}

function checkGroup(refusals: RefusalList, id: TaskId, { name, concurrency }: Group): void {
  if (!isGroupName(name))
    refusals.error(['tasks', id, 'group'], 'bad-name', `${quote(name)} cannot be a group's name`)
  if (concurrency === undefined) return
  checkNumber(
    refusals,
    ['tasks', id, 'group', 'concurrency'],
    'group.concurrency',
    concurrency,
    1,
    limit.RUN_TASKS_MAX,
    true,
  )
}

function checkCapabilities(refusals: RefusalList, id: TaskId, names: readonly string[]): void {
  names.forEach((name, k) => {
    if (!TOKEN.test(name))
      refusals.error(['tasks', id, 'capabilities', k], 'bad-name', `${quote(name)} cannot be a capability`)
  })
}

function checkResources(
  refusals: RefusalList,
  id: TaskId,
  { cpu, memoryBytes, gpu, quota }: Resources,
): void {
  const at = ['tasks', id, 'resources']
  checkNumber(refusals, [...at, 'cpu'], 'resources.cpu', cpu ?? 0, 0, 1e6)
  checkNumber(
    refusals,
    [...at, 'memory'],
    'resources.memory (bytes)',
    memoryBytes ?? 0,
    0,
    Number.MAX_SAFE_INTEGER,
  )
  checkNumber(refusals, [...at, 'gpu'], 'resources.gpu', gpu ?? 0, 0, 1e6, true)
  for (const [name, units] of Object.entries(quota ?? {})) {
    checkNumber(refusals, [...at, 'quota', name], `resources.quota.${quote(name)}`, units, 0, 1e9)
  }
}

function createKinds(kinds: readonly string[]): { has(kind: string): boolean } {
  const exact = new Set(kinds)
  const prefixes = kinds.filter((kind) => kind.endsWith('*')).map((kind) => kind.slice(0, -1))
  return {
    has: (kind) =>
      exact.has(kind) || prefixes.some((prefix) => kind.startsWith(prefix) && kind.length > prefix.length),
  }
}

/** Nodes of YAML as plain values: aliases followed within bounds, merge keys applied, and no key that means anything to the language. */
import { isAlias, isScalar, isSeq, type Node, type Pair, type YAMLMap } from 'yaml'
import { PLAN_ALIAS_VALUES_MAX } from '../core/limit.ts'
import { type PlanPath, quote } from '../core/plan-refusal.ts'
import type { Problem } from './problem.ts'

export type PlainValue = null | boolean | number | string | PlainValue[] | { [key: string]: PlainValue }

/** Mappings in which numbers and booleans are kept as they are written: `1.10` stays `1.10`. */
const VERBATIM = new Set(['env', 'matrix'])

export type SourceReport = (
  severity: Problem['severity'],
  offset: number,
  code: string,
  message: string,
  path?: PlanPath,
  hint?: string,
) => void

/** `orders` is filled with the keys of each mapping in the order of the file. */
export function createConverter(orders: WeakMap<object, string[]>, report: SourceReport) {
  const anchors = new Map<string, Node>()
  const open = new Set<Node>()
  let aliased = 0
  let inAlias = 0
  let bombed = false

  const value = (node: Node | null, path: PlanPath = [], verbatim = false): PlainValue => {
    if (node === null || bombed) return null
    if (inAlias > 0 && ++aliased > PLAN_ALIAS_VALUES_MAX) {
      bombed = true
      report(
        'error',
        offsetOf(node),
        'alias-bomb',
        `aliases unfold to more than ${PLAN_ALIAS_VALUES_MAX} values`,
        path,
      )
      return null
    }
    if (isAlias(node)) return alias(node, path, (target) => value(target, path, verbatim))
    if (node.anchor !== undefined) anchors.set(node.anchor, node)
    if (isScalar(node)) {
      if (verbatim && typeof node.value !== 'string' && node.value !== null)
        return node.source ?? JSON.stringify(node.value)
      return scalar(node.value)
    }
    open.add(node)
    const result = isSeq(node)
      ? node.items.map((item, at) => value(item as Node | null, [...path, at], verbatim))
      : mapping(node as YAMLMap, path, verbatim)
    open.delete(node)
    return result
  }

  const alias = <T>(node: Node & { source: string }, path: PlanPath, use: (target: Node) => T): T | null => {
    const target = anchors.get(node.source)
    if (target === undefined || open.has(target)) {
      const message =
        target === undefined
          ? `no value above has the anchor &${node.source}`
          : `*${node.source} contains itself`
      report('error', offsetOf(node), 'bad-alias', message, path)
      return null
    }
    inAlias++
    const result = use(target)
    inAlias--
    return result
  }

  const mapping = (node: YAMLMap, path: PlanPath, verbatim: boolean): PlainValue => {
    const result: { [key: string]: PlainValue } = Object.create(null)
    const order: string[] = []
    const merged: Node[] = []
    for (const pair of node.items as Pair<Node | null, Node | null>[]) {
      const key = keyOf(pair)
      if (key === undefined) {
        report('error', offsetOf(pair.key ?? node), 'bad-key', 'a key must be plain text', path)
        continue
      }
      if (key === '<<' && pair.value !== null && !isScalar(pair.value)) {
        merged.push(pair.value)
        continue
      }
      const inside = [...path, key]
      if (key === '__proto__') {
        report('error', offsetOf(pair.key!), 'bad-key', 'the key "__proto__" is not allowed', path)
        continue
      }
      if (Object.hasOwn(result, key)) {
        const inTasks = path.length === 1 && path[0] === 'tasks'
        report(
          'error',
          offsetOf(pair.key!),
          inTasks ? 'duplicate-id' : 'duplicate-key',
          `${inTasks ? 'task' : 'key'} ${quote(key)} stands here twice`,
          inside,
        )
        continue
      }
      result[key] = value(pair.value, inside, verbatim || VERBATIM.has(key))
      order.push(key)
    }
    for (const source of merged) mergeInto(result, order, source, path, verbatim)
    orders.set(result, order)
    return result
  }

  /** `<<: *defaults` or `<<: [*a, *b]`: keys that are absent here, the first source first. */
  const mergeInto = (
    result: { [key: string]: PlainValue },
    order: string[],
    source: Node,
    path: PlanPath,
    verbatim: boolean,
  ): void => {
    const list = isSeq(source) ? (source.items as Node[]) : [source]
    for (const item of list) {
      const from = value(item, path, verbatim)
      if (from === null || typeof from !== 'object' || Array.isArray(from)) {
        if (!bombed)
          report('error', offsetOf(item), 'bad-key', '"<<" takes a mapping, or a list of them', path)
        continue
      }
      for (const [key, each] of Object.entries(from)) {
        if (Object.hasOwn(result, key)) continue
        result[key] = each
        order.push(key)
      }
    }
  }

  return { value, anchors }
}

/** The core schema of YAML makes nothing else of a scalar. */
function scalar(value: unknown): PlainValue {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? value : null
}

export function offsetOf(node: Node): number {
  return node.range?.[0] ?? 0
}

/** The key as text; `undefined` when it is none. */
export function keyOf(pair: Pair<Node | null, Node | null>): string | undefined {
  if (!isScalar(pair.key)) return undefined
  const { value, source } = pair.key
  if (typeof value === 'string') return value
  return source === undefined || source === '' ? undefined : source
}

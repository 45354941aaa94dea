/**
 * The text of a plan file as plain values, with the place of each. YAML 1.2, hence JSON too, and merge keys (`<<`). Text from a stranger cannot
 * exhaust memory or stack: depth, aliases and size are bounded. Values are objects without a prototype, so that no key means anything.
 */
import {
  Composer,
  type CST,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  Parser,
  type YAMLMap,
} from 'yaml'
import { PLAN_DEPTH_MAX } from '../core/limit.ts'
import type { PlanPath } from '../core/plan-refusal.ts'
import { createConverter, keyOf, offsetOf, type PlainValue } from './plan-value.ts'
import { type Problem, showPath } from './problem.ts'

export type { PlainValue } from './plan-value.ts'

interface Place {
  readonly line: number
  readonly column: number
}

export interface PlanSource {
  /** `undefined` when the text has no usable value; then there are problems. */
  readonly value: PlainValue | undefined
  readonly problems: readonly Problem[]
  /** Keys of a mapping in the order of the file; an object would put `10` before `9`. */
  keysOf(mapping: object): readonly string[]
  /** Place of the value, or of the nearest thing around it. `key` = place of its key. */
  placeOf(path: PlanPath, at?: 'key' | 'value'): Place
}

/** Broken syntax makes more of itself: the first few lines say it. */
const SYNTAX_PROBLEMS_MAX = 10
const ALIAS_CODES = new Set(['bad-alias', 'alias-bomb'])

export function readPlanSource(text: string): PlanSource {
  const lines = new LineCounter()
  const problems: Problem[] = []
  const orders = new WeakMap<object, string[]>()
  const place = (offset: number): Place => {
    const { line, col } = lines.linePos(offset)
    return { line: Math.max(1, line), column: Math.max(1, col) }
  }
  const report = (
    severity: Problem['severity'],
    offset: number,
    code: string,
    message: string,
    path: PlanPath = [],
    hint?: string,
  ) => {
    problems.push({
      severity,
      code,
      message,
      path: showPath(path),
      ...place(offset),
      ...(hint !== undefined && { hint }),
    })
  }
  const empty = (): PlanSource => ({
    value: undefined,
    problems,
    keysOf: () => [],
    placeOf: () => ({ line: 1, column: 1 }),
  })

  const tokens = [...new Parser(lines.addNewLine).parse(text)]
  const deep = findDepth(tokens)
  if (deep !== undefined) {
    report('error', deep, 'too-deep', `nested deeper than ${PLAN_DEPTH_MAX} levels`)
    return empty()
  }
  // Duplicate keys are looked for below: the library compares each key with all others of its mapping.
  const documents = [...new Composer({ uniqueKeys: false }).compose(tokens, true, text.length)]
  const document = documents[0] as Document.Parsed | undefined
  // Errors at one place follow from the first.
  const broken = new Map(
    documents.flatMap((each) => each.errors.map((error) => [error.pos[0], error] as const)).reverse(),
  )
  for (const error of [...broken.values()].reverse().slice(0, SYNTAX_PROBLEMS_MAX)) {
    report(
      'error',
      error.pos[0],
      `yaml-${error.code.toLowerCase().replaceAll('_', '-')}`,
      `not valid YAML: ${firstLine(error.message)}`,
    )
  }
  if (broken.size > 0) return empty()
  if (documents.length > 1) {
    report(
      'error',
      documents[1]!.range[0],
      'multiple-documents',
      'the file has several documents (---); a plan is one',
    )
    return empty()
  }
  for (const warning of document?.warnings ?? [])
    report('warning', warning.pos[0], 'yaml-tag', firstLine(warning.message))
  const root = document?.contents as Node | null | undefined
  if (root === undefined || root === null || (isScalar(root) && root.value === null)) {
    report(
      'error',
      0,
      'empty-file',
      'the file is empty',
      [],
      'a plan has at least: tasks: { hello: { run: echo hello } }',
    )
    return empty()
  }
  const convert = createConverter(orders, report)
  const value = convert.value(root)
  // What an alias should have brought is not there: everything else would complain of it.
  if (problems.some((problem) => ALIAS_CODES.has(problem.code))) return empty()
  return {
    value,
    problems,
    keysOf: (mapping) => orders.get(mapping) ?? Object.keys(mapping),
    placeOf: createLocator(root, convert.anchors, place),
  }
}

function firstLine(message: string): string {
  return message.split('\n', 1)[0]!.slice(0, 200)
}

/** Offset of the first value that lies too deep. The composer would recurse into it. */
function findDepth(tokens: readonly CST.Token[]): number | undefined {
  const stack: (readonly [CST.Token, number])[] = tokens.map((token) => [token, 0] as const)
  while (stack.length > 0) {
    const [token, depth] = stack.pop()!
    if (depth > PLAN_DEPTH_MAX) return token.offset
    if (token.type === 'document' && token.value) stack.push([token.value, depth])
    if (!('items' in token)) continue
    for (const item of token.items) {
      if (item.key) stack.push([item.key, depth + 1])
      if (item.value) stack.push([item.value, depth + 1])
    }
  }
  return undefined
}

/** A key without anything behind it. */
function isAbsent(value: Node | null): boolean {
  return value === null || (isScalar(value) && value.value === null && (value.source ?? '') === '')
}

function createLocator(root: Node, anchors: ReadonlyMap<string, Node>, place: (offset: number) => Place) {
  // Only asked for problems, so mappings are indexed when one lies in them.
  const indexes = new WeakMap<YAMLMap, Map<string, Pair<Node | null, Node | null>>>()
  const indexOf = (node: YAMLMap) => {
    let index = indexes.get(node)
    if (index === undefined) {
      index = new Map()
      for (const pair of node.items as Pair<Node | null, Node | null>[]) {
        const key = keyOf(pair)
        if (key !== undefined && !index.has(key)) index.set(key, pair)
      }
      indexes.set(node, index)
    }
    return index
  }
  return (path: PlanPath, at: 'key' | 'value' = 'value'): Place => {
    let node: Node | null = root
    let offset = offsetOf(root)
    for (let depth = 0; depth < path.length; depth++) {
      const part = path[depth]!
      if (isAlias(node)) node = anchors.get(node.source) ?? null
      if (isMap(node)) {
        const pair: Pair<Node | null, Node | null> | undefined = indexOf(node).get(String(part))
        if (pair === undefined) break
        const last = depth === path.length - 1
        offset = (last && at === 'key') || isAbsent(pair.value) ? offsetOf(pair.key!) : offsetOf(pair.value!)
        // A block mapping begins on the line below its key: for a task or a section, the key is what one looks for.
        if (last && isMap(pair.value) && pair.value.flow !== true) offset = offsetOf(pair.key!)
        node = pair.value
      } else if (isSeq(node)) {
        const item = node.items[Number(part)] as Node | null | undefined
        if (item === undefined || item === null) break
        offset = offsetOf(item)
        node = item
      } else break
    }
    return place(offset)
  }
}

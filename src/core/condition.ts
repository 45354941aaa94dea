/**
 * The language of `if:` over a task's needs.
 *
 *     expression = and { '||' and }      and = not { '&&' not }      not = '!' not | '(' expression ')' | call
 *     call = ('success' | 'failure' | 'always') '(' [ name { ',' name } ] ')'      name = quoted by ' or "
 *
 * Without a name a call speaks of all needs. `success` = every one of them succeeded, `failure` = at least one failed, `always` = all of
 * them are over, however they ended. A task without `if` has `success()`.
 */
import { CONDITION_CHARS_MAX, CONDITION_DEPTH_MAX } from './limit.ts'

type ConditionCall = 'success' | 'failure' | 'always'

export type Condition =
  | { readonly op: ConditionCall; readonly names: readonly string[] }
  | { readonly op: 'not'; readonly of: Condition }
  | { readonly op: 'and' | 'or'; readonly of: readonly Condition[] }

/** A skipped need counts as a success for its dependants. `pending` = not over yet. */
export type NeedStatus = 'success' | 'skipped' | 'failure' | 'pending'

export type ConditionReading =
  | { readonly ok: true; readonly condition: Condition }
  /** `at`: index of the offending character, from 0. */
  | { readonly ok: false; readonly at: number; readonly reason: string }

export const SUCCESS_OF_ALL: Condition = { op: 'success', names: [] }

interface Token {
  readonly kind: '(' | ')' | ',' | '!' | '&&' | '||' | 'word' | 'name' | 'end'
  readonly text: string
  readonly at: number
}

/** Internal to `parseCondition`: carries the place out of the descent. */
class Refused {
  readonly at: number
  readonly reason: string
  constructor(at: number, reason: string) {
    this.at = at
    this.reason = reason
  }
}

const TOKEN = /\s*(?:(\(|\)|,|!|&&|\|\|)|([A-Za-z_][A-Za-z0-9_]*)|'([^'\n]*)'|"([^"\n]*)")/y
const CALLS: readonly string[] = ['success', 'failure', 'always']

export function parseCondition(text: string): ConditionReading {
  if (text.length > CONDITION_CHARS_MAX)
    return { ok: false, at: 0, reason: `longer than ${CONDITION_CHARS_MAX} characters` }
  try {
    const tokens = tokenise(text)
    const parser = createParser(tokens)
    return { ok: true, condition: parser.whole() }
  } catch (error) {
    if (error instanceof Refused) return { ok: false, at: error.at, reason: error.reason }
    throw error
  }
}

function tokenise(text: string): Token[] {
  const tokens: Token[] = []
  let at = 0
  const end = text.trimEnd().length
  while (at < end) {
    TOKEN.lastIndex = at
    const match = TOKEN.exec(text)
    if (match === null) {
      while (/\s/.test(text[at]!)) at++
      const quote = text[at]!
      if (quote === "'" || quote === '"') throw new Refused(at, `the quote ${quote} is not closed`)
      throw new Refused(at, `unexpected ${JSON.stringify(quote)}`)
    }
    const [whole, sign, word, single, double] = match
    const start = at + whole.length - whole.trimStart().length
    if (sign !== undefined) tokens.push({ kind: sign as Token['kind'], text: sign, at: start })
    else if (word !== undefined) tokens.push({ kind: 'word', text: word, at: start })
    else tokens.push({ kind: 'name', text: (single ?? double)!, at: start })
    at = TOKEN.lastIndex
  }
  tokens.push({ kind: 'end', text: '', at: end })
  return tokens
}

function createParser(tokens: readonly Token[]) {
  let next = 0
  let depth = 0
  const peek = () => tokens[next]!
  const show = (token: Token) => (token.kind === 'end' ? 'the end' : JSON.stringify(token.text))
  const take = (kind: Token['kind'], wanted: string): Token => {
    const token = peek()
    if (token.kind !== kind) throw new Refused(token.at, `expected ${wanted}, found ${show(token)}`)
    next++
    return token
  }

  const call = (): Condition => {
    const word = take('word', "success(), failure(), always(), '!' or '('")
    if (!CALLS.includes(word.text)) {
      throw new Refused(
        word.at,
        `unknown function ${JSON.stringify(word.text)}: there are success, failure and always`,
      )
    }
    take('(', `"(" after ${word.text}`)
    const names: string[] = []
    if (peek().kind !== ')') {
      names.push(take('name', "a task's name in quotes").text)
      while (peek().kind === ',') {
        next++
        names.push(take('name', "a task's name in quotes").text)
      }
    }
    take(')', '")"')
    return { op: word.text as ConditionCall, names }
  }

  const not = (): Condition => {
    if (++depth > CONDITION_DEPTH_MAX)
      throw new Refused(peek().at, `nested deeper than ${CONDITION_DEPTH_MAX}`)
    const token = peek()
    let condition: Condition
    if (token.kind === '!') {
      next++
      condition = { op: 'not', of: not() }
    } else if (token.kind === '(') {
      next++
      condition = chain('or')
      take(')', '")"')
    } else condition = call()
    depth--
    return condition
  }

  const chain = (op: 'and' | 'or'): Condition => {
    const sign = op === 'and' ? '&&' : '||'
    const part = op === 'and' ? not : () => chain('and')
    const of = [part()]
    while (peek().kind === sign) {
      next++
      of.push(part())
    }
    return of.length === 1 ? of[0]! : { op, of }
  }

  return {
    whole(): Condition {
      const condition = chain('or')
      const rest = peek()
      if (rest.kind !== 'end') throw new Refused(rest.at, `expected && or ||, found ${show(rest)}`)
      return condition
    },
  }
}

/**
 * Kleene's three values: decided as soon as the answer cannot change any more, `undefined` until then.
 *
 * @param needs all needs of the task: what a call without names speaks of
 */
export function evaluateCondition(
  condition: Condition,
  needs: readonly string[],
  statusOf: (task: string) => NeedStatus,
): boolean | undefined {
  switch (condition.op) {
    case 'not': {
      const value = evaluateCondition(condition.of, needs, statusOf)
      return value === undefined ? undefined : !value
    }
    case 'and':
    case 'or': {
      const decisive = condition.op === 'or'
      let open = false
      for (const part of condition.of) {
        const value = evaluateCondition(part, needs, statusOf)
        if (value === decisive) return decisive
        if (value === undefined) open = true
      }
      return open ? undefined : !decisive
    }
    default: {
      let pending = false
      let failed = false
      for (const name of condition.names.length > 0 ? condition.names : needs) {
        const status = statusOf(name)
        if (status === 'pending') pending = true
        else if (status === 'failure') failed = true
      }
      if (condition.op === 'always') return pending ? undefined : true
      if (failed) return condition.op === 'failure'
      return pending ? undefined : condition.op === 'success'
    }
  }
}

/** Every name it mentions, once, in order. */
export function conditionNames(condition: Condition): readonly string[] {
  if ('names' in condition) return [...new Set(condition.names)]
  if (condition.op === 'not') return conditionNames(condition.of)
  return [...new Set(condition.of.flatMap((part) => conditionNames(part)))]
}

/** The same with other names: a matrix task's name becomes all of its members. */
export function renameCondition(
  condition: Condition,
  membersOf: (name: string) => readonly string[],
): Condition {
  if ('names' in condition)
    return { op: condition.op, names: condition.names.flatMap((name) => membersOf(name)) }
  if (condition.op === 'not') return { op: 'not', of: renameCondition(condition.of, membersOf) }
  return { op: condition.op, of: condition.of.map((part) => renameCondition(part, membersOf)) }
}

/** Text that reads back as the same condition. */
export function printCondition(condition: Condition): string {
  if ('names' in condition)
    return `${condition.op}(${condition.names.map((name) => (name.includes("'") ? `"${name}"` : `'${name}'`)).join(', ')})`
  if (condition.op === 'not') return `!${bracket(condition.of)}`
  return condition.of.map(bracket).join(condition.op === 'and' ? ' && ' : ' || ')
}

function bracket(condition: Condition): string {
  const text = printCondition(condition)
  return condition.op === 'and' || condition.op === 'or' ? `(${text})` : text
}

/** Goal: `--where` picks what it says, and tells where it cannot be read. Method: tables. */
import { describe, expect, it } from 'vitest'
import { parseWhere } from '../../src/cli/where.ts'
import { taskOf } from './fake-face.ts'

const task = taskOf('demo-7f2a', 'math', 'ready', {
  title: 'Unit tests for Foo bar',
  priority: 'high',
  group: 'tests',
  attempts: 2,
  failures: 1,
  kind: 'shell',
})

describe('--where', () => {
  it.each([
    ['status=ready', true],
    ['status!=ready', false],
    ['status = ready and priority >= high', true],
    ['status=ready and priority>=high and group!=docs and title~foo', true],
    ['status=ready AND priority>high', false],
    ['priority>=critical', false],
    ['priority<=critical', true],
    ['priority<high', false],
    ['priority>backlog', true],
    ['priority=high', true],
    ['group=tests', true],
    ['group!=tests', false],
    ['holder=here', false],
    ['holder!=here', true],
    ['title~"foo bar"', true],
    ["title~'FOO BAR'", true],
    ['title="Unit tests for Foo bar"', true],
    ['title~"say \\"x\\""', false],
    ['attempts=2', true],
    ['attempts>1 and attempts<3', true],
    ['failures>=2', false],
    ['files>0', false],
    ['id~at', true],
    ['run=demo-7f2a', true],
    ['  kind = shell  ', true],
    ['id="and" and id=math', false],
  ])('[CL14] %s is %s', (where, expected) => {
    expect(parseWhere(where)(task)).toBe(expected)
  })

  it.each([
    ['', 1, 'expected the name of a field'],
    ['status', 7, 'expected one of ='],
    ['status=', 8, 'expected a value'],
    ['status=ready and', 17, 'expected the name of a field'],
    ['status=ready or id=a', 14, 'expected "and", found "or"'],
    ['stauts=ready', 1, 'did you mean "status"'],
    ['color=red', 1, 'there is no field "color"'],
    ['status=redy', 8, 'did you mean "ready"'],
    ['status>ready', 7, '">" is for numbers'],
    ['attempts=two', 10, 'expected a number'],
    ['priority=urgent', 10, 'is none of critical, high'],
    ['title~"foo', 7, 'cannot be read here'],
    ['= ready', 1, 'expected the name of a field'],
    ['constructor=1', 1, 'there is no field'],
  ])('[CL14] %j is refused at position %d', (where, at, words) => {
    const refused = expect.objectContaining({ code: 'ORCH_USAGE' })
    expect(() => parseWhere(where)).toThrow(refused)
    expect(() => parseWhere(where)).toThrow(`position ${at}: `)
    expect(() => parseWhere(where)).toThrow(words)
  })
})

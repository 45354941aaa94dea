/** Goal: an attempt's token opens its own attempt and nothing else. Method: the complete table of methods. */
import { describe, expect, it } from 'vitest'
import { authorize, createGate } from '../../src/api/caller.ts'
import { METHODS, type MethodName } from '../../src/api/method.ts'

const attempt = 'demo-7f2a/math/1.2/01JDFAKEFAKEFAKEFAKEFAKE00'
const own = 'demo-7f2a/math'
const caller = { kind: 'attempt', attempt } as const
const REPORTS: readonly MethodName[] = ['progress', 'complete', 'fail', 'block', 'release']

describe('who may ask what', () => {
  it('[AP12] the own token, an attempt’s, and nobody’s are told apart', () => {
    const gate = createGate('node-token', {
      verify: (token) => (token === 'attempt-token' ? attempt : undefined),
    })
    expect(gate('node-token')).toEqual({ kind: 'owner' })
    expect(gate('attempt-token')).toEqual(caller)
    for (const token of ['node-toke', 'node-token ', 'x', '', undefined]) expect(gate(token)).toBeUndefined()
  })

  it('[AP12] the node’s owner may ask everything, as it is', () => {
    const request = { task: 'other/task' }
    for (const name of Object.keys(METHODS) as MethodName[])
      expect(authorize({ kind: 'owner' }, name, request)).toBe(request)
  })

  it.each(Object.keys(METHODS) as MethodName[])('[AP12] with the token of an attempt: %s', (name) => {
    if (REPORTS.includes(name)) {
      expect(authorize(caller, name, { reason: 'x' })).toEqual({ reason: 'x', attempt, task: own })
    } else if (name === 'task') expect(authorize(caller, name, {})).toEqual({ task: own })
    else if (name === 'ready')
      expect(authorize(caller, name, { explain: true })).toEqual({ explain: true, run: 'demo-7f2a' })
    else expect(() => authorize(caller, name, {})).toThrow(expect.objectContaining({ code: 'ORCH_DENIED' }))
  })

  it.each([
    { task: 'demo-7f2a/other' },
    { task: 'other-0000/math' },
    { task: 'mat' },
    { attempt: 'demo-7f2a/math/1.1/01JDFAKEFAKEFAKEFAKEFAKE00' },
    { task: 'math', attempt: 'demo-7f2a/other/1.2/01JDFAKEFAKEFAKEFAKEFAKE00' },
  ])('[AP12] names of others are refused: %j', (request) => {
    for (const name of REPORTS)
      expect(() => authorize(caller, name, request)).toThrow(expect.objectContaining({ code: 'ORCH_DENIED' }))
  })

  it.each([{ task: 'math' }, { task: own }, { attempt }, { task: 'math', attempt }])(
    '[AP12] its own names are taken: %j',
    (request) => {
      expect(authorize(caller, 'complete', request)).toEqual({ attempt, task: own })
    },
  )

  it('[AP12] the ready tasks of another run are not shown', () => {
    expect(() => authorize(caller, 'ready', { run: 'other-0000' })).toThrow(
      expect.objectContaining({ code: 'ORCH_DENIED' }),
    )
  })
})

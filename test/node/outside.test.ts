// Workers outside of the node: they claim by hand, work in a clone of their own and say how it went (R19, R20, R73). Over the face, on a real repository.
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { isOrchError, type OrchError } from '../../src/core/error.ts'
import type { TaskInput } from '../../src/index.ts'
import type { ClaimAnswer } from '../../src/node/face.ts'
import { follow, git, repository, shell, startNode, submit, temporaryDir } from './fixture.ts'

/** A task that nothing here runs: it waits for somebody to claim it. */
function outside(id: string, more: Partial<TaskInput> = {}): TaskInput {
  return { id, kind: 'outside', prompt: `do ${id}`, scope: { write: [`${id}.txt`], read: [] }, ...more }
}

async function refusal(promise: Promise<unknown>): Promise<OrchError> {
  const error = await promise.then(
    () => undefined,
    (e: unknown) => e,
  )
  if (!isOrchError(error)) throw new Error(`not refused: ${String(error)}`)
  return error
}

function work(claim: ClaimAnswer, text: string): void {
  const id = claim.task.split('/')[1]!
  writeFileSync(join(claim.workspace!, `${id}.txt`), text)
}

describe('outside workers', () => {
  it('[NS11] of two racers one gets the task; the other is told who holds it', async () => {
    const node = await startNode({ dataDir: temporaryDir() })
    const run = await submit(node, { repository: repository({ 'a.txt': 'a\n' }), tasks: [outside('one')] })
    const task = `${run}/one`
    const [first, second] = await Promise.allSettled([node.face.claim({ task }), node.face.claim({ task })])
    expect(first.status).toBe('fulfilled')
    expect(second.status).toBe('rejected')
    const lost = (second as PromiseRejectedResult).reason as OrchError
    const won = (first as PromiseFulfilledResult<ClaimAnswer>).value
    expect(lost.code).toBe('ORCH_CLAIM_LOST')
    expect(lost.context).toMatchObject({ holder: node.node, attempt: won.attempt })
    expect(await node.face.tasks({ run })).toMatchObject([{ status: 'running', holder: 'outside' }])
    // Whoever asks for anything at all is told that there is nothing.
    expect((await refusal(node.face.claim({}))).code).toBe('ORCH_NOTHING_READY')
    expect((await refusal(node.face.claim({ task: `${run}/nothing` }))).code).toBe('ORCH_NOT_FOUND')
  })

  it('[NS12] complete collects the clone, and its work is accepted; dependants follow', async () => {
    const repo = repository({ 'a.txt': 'a\n' })
    const node = await startNode({ dataDir: temporaryDir() })
    const run = await submit(node, {
      repository: repo,
      tasks: [outside('one'), shell('two', 'cat one.txt > two.txt', { needs: ['one'], write: ['two.txt'] })],
    })
    const claim = await node.face.claim({})
    expect(claim).toMatchObject({ task: `${run}/one`, hints: [] })
    expect(node.tokens.verify(claim.token)).toBe(claim.attempt)
    expect(git(claim.workspace!, 'rev-parse', 'HEAD')).toBe(git(repo, 'rev-parse', 'main'))
    work(claim, 'by hand\n')
    await node.face.progress({ attempt: claim.attempt, step: 3, status: 'writing' })
    expect(await node.face.task({ task: 'one' })).toMatchObject({ step: 3, activity: 'writing' })
    const done = await node.face.complete({ attempt: claim.attempt, summary: 'wrote it', value: { n: 1 } })
    expect(['provisional', 'accepted']).toContain(done.status)
    const summary = await follow(node, run)
    expect(summary.status).toBe('complete')
    expect(git(repo, 'show', `orch/${run}:two.txt`)).toBe('by hand')
    const [attempt] = (await node.face.task({ task: 'one' })).attemptList
    expect(attempt).toMatchObject({ outcome: 'done', reason: 'wrote it', value: { n: 1 }, files: 1 })
    expect(node.tokens.verify(claim.token)).toBeUndefined()
    expect(existsSync(claim.workspace!)).toBe(false)
  })

  it('[NS13] a claim survives the restart of the node: adopted, the token still valid, no slot taken', async () => {
    const repo = repository({ 'a.txt': 'a\n' })
    const dataDir = temporaryDir()
    const node = await startNode({ dataDir, slots: 1 })
    const run = await submit(node, {
      repository: repo,
      tasks: [
        outside('one'),
        outside('two'),
        shell('three', 'echo 3 > three.txt', { needs: ['one'], write: ['three.txt'] }),
      ],
    })
    const one = await node.face.claim({ task: `${run}/one` })
    const two = await node.face.claim({ task: `${run}/two` })
    work(one, '1\n')
    await node.close({ leave: true })
    const later = await startNode({ dataDir, slots: 1 })
    expect((await later.face.status()).recovery).toContain('2 running attempts adopted')
    expect(later.tokens.verify(one.token)).toBe(one.attempt)
    expect((await refusal(later.face.claim({ task: `${run}/one` }))).code).toBe('ORCH_CLAIM_LOST')
    await later.face.complete({ attempt: one.attempt })
    // `two` is still claimed, and the only slot is free for `three`.
    await follow(
      later,
      run,
      (u) => u.type === 'task' && u.task.id === 'three' && u.task.status === 'accepted',
    )
    work(two, '2\n')
    await later.face.complete({ attempt: two.attempt })
    const summary = await follow(later, run)
    expect(summary.status).toBe('complete')
    expect(git(repo, 'show', `orch/${run}:one.txt`)).toBe('1')
    expect((await later.face.tasks({ run })).map((t) => t.attempts)).toEqual([1, 1, 1])
  })

  it('[NS14] a handoff reaches the next attempt after a failure, with the reason as its hint', async () => {
    const node = await startNode({ dataDir: temporaryDir() })
    const run = await submit(node, {
      repository: repository({ 'a.txt': 'a\n' }),
      tasks: [outside('one', { retry: { strategy: 'fixed', attempts: 2, delayMs: 0 } })],
    })
    const first = await node.face.claim({})
    work(first, 'half\n')
    const handoff = {
      current_focus: 'the second half',
      progress: ['first half'],
      next_steps: ['write the rest'],
      updated_at: '2024-11-21T00:00:00.000Z',
    }
    await node.face.progress({ attempt: first.attempt, handoff })
    const failed = await node.face.fail({ attempt: first.attempt, reason: 'ran out of paper' })
    expect(failed).toMatchObject({ failures: 1 })
    await follow(node, run, (u) => u.type === 'task' && u.task.status === 'ready')
    const second = await node.face.claim({})
    expect(second.handoff).toMatchObject({ next_steps: ['write the rest'] })
    expect(second.hints.join()).toContain('ran out of paper')
    expect(second.attempt).not.toBe(first.attempt)
    // It starts anew from the base; what the first had done is under its ref.
    expect(existsSync(join(second.workspace!, 'one.txt'))).toBe(false)
    const { attemptList } = await node.face.task({ task: 'one' })
    expect(attemptList[0]).toMatchObject({ outcome: 'failed', reason: 'ran out of paper', files: 1 })
    await node.face.fail({ attempt: second.attempt, reason: 'still no paper' })
    expect((await follow(node, run)).status).toBe('failed')
  })

  it('[NS15] blocked by tasks, it is ready again when those are accepted; names are checked', async () => {
    const repo = repository({ 'a.txt': 'a\n' })
    const node = await startNode({ dataDir: temporaryDir() })
    const run = await submit(node, { repository: repo, tasks: [outside('one'), outside('two')] })
    const one = await node.face.claim({ task: `${run}/one` })
    expect(
      (await refusal(node.face.block({ attempt: one.attempt, reason: 'x', blockers: ['tow'] }))).code,
    ).toBe('ORCH_NOT_FOUND')
    expect(
      (await refusal(node.face.block({ attempt: one.attempt, reason: 'x', blockers: ['one'] }))).code,
    ).toBe('ORCH_USAGE')
    const blocked = await node.face.block({
      attempt: one.attempt,
      reason: 'needs the other half',
      blockers: [`${run}/two`],
    })
    expect(blocked).toMatchObject({ status: 'blocked', reason: 'needs the other half' })
    const two = await node.face.claim({})
    expect(two.task).toBe(`${run}/two`)
    work(two, '2\n')
    await node.face.complete({ attempt: two.attempt })
    await follow(node, run, (u) => u.type === 'task' && u.task.id === 'one' && u.task.status === 'ready')
    const again = await node.face.claim({})
    expect(again.task).toBe(`${run}/one`)
    // The work that it waited for is there.
    expect(existsSync(join(again.workspace!, 'two.txt'))).toBe(true)
    work(again, '1\n')
    await node.face.complete({ attempt: again.attempt })
    expect((await follow(node, run)).status).toBe('complete')
    // Giving back cost no try.
    expect(await node.face.task({ task: 'one' })).toMatchObject({ failures: 0, attempts: 2 })
  })

  it('[NS16] a superseded attempt is refused with the reason, whatever it says', async () => {
    const node = await startNode({ dataDir: temporaryDir() })
    const run = await submit(node, {
      repository: repository({ 'a.txt': 'a\n' }),
      tasks: [outside('one'), outside('two')],
    })
    const one = await node.face.claim({ task: `${run}/one` })
    await node.face.cancel({ task: `${run}/one`, reason: 'changed my mind' })
    for (const call of [
      node.face.complete({ attempt: one.attempt }),
      node.face.progress({ attempt: one.attempt, step: 1 }),
      node.face.fail({ attempt: one.attempt, reason: 'x' }),
      node.face.release({ attempt: one.attempt }),
    ]) {
      const error = await refusal(call)
      expect(error.code).toBe('ORCH_SUPERSEDED')
      expect(error.message).toContain('cancelled')
    }
    expect(await node.face.task({ task: 'one' })).toMatchObject({
      status: 'cancelled',
      reason: 'changed my mind',
    })
    // Given back: the next one gets another attempt, the old one counts no more.
    const two = await node.face.claim({})
    work(two, 'half\n')
    await node.face.release({ attempt: two.attempt, reason: 'lunch' })
    const next = await node.face.claim({})
    expect(next.task).toBe(two.task)
    expect((await refusal(node.face.complete({ attempt: two.attempt }))).message).toContain('running')
    work(next, 'whole\n')
    await node.face.complete({ attempt: next.attempt })
    const summary = await follow(node, run)
    expect(summary.status).toBe('partial')
    const { attemptList } = await node.face.task({ task: 'two' })
    expect(attemptList).toMatchObject([
      { outcome: 'released', reason: 'lunch', files: 1 },
      { outcome: 'done', files: 1 },
    ])
  })

  it('[NS17] an outside attempt that takes too long times out, with its work kept', async () => {
    const node = await startNode({ dataDir: temporaryDir() })
    const run = await submit(node, {
      repository: repository({ 'a.txt': 'a\n' }),
      tasks: [outside('one', { timeoutMs: 700 })],
    })
    const claim = await node.face.claim({})
    work(claim, 'late\n')
    const summary = await follow(node, run)
    expect(summary.status).toBe('failed')
    expect(await node.face.task({ task: 'one' })).toMatchObject({
      status: 'failed',
      reason: 'timed out after 0.7 s',
      attemptList: [{ outcome: 'timed-out', files: 1 }],
    })
    expect((await refusal(node.face.complete({ attempt: claim.attempt }))).code).toBe('ORCH_SUPERSEDED')
  })

  it('[NS18] what is written outside of the scope is refused here as well', async () => {
    const node = await startNode({ dataDir: temporaryDir() })
    const run = await submit(node, { repository: repository({ 'a.txt': 'a\n' }), tasks: [outside('one')] })
    const claim = await node.face.claim({})
    writeFileSync(join(claim.workspace!, 'other.txt'), 'x\n')
    const told = await node.face.complete({ attempt: claim.attempt })
    expect(told).toMatchObject({ status: 'failed', reason: 'changed other.txt outside of its scope one.txt' })
    expect((await follow(node, run)).status).toBe('failed')
  })
})

// Nodes of a cluster that die, stand still, and come back, in the middle of a run.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { everythingOf } from '../node/machine.ts'
import { type Fleet, type FleetNode, levels, until, withFleet } from './fleet.ts'
import { endAndAudit } from './fleet-audit.ts'

/** Of a task that runs now: the node that runs it. */
async function holderOf(fleet: Fleet, by: FleetNode, task: string): Promise<FleetNode> {
  let name: string | undefined
  await until(`${task} runs`, async () => {
    const { status, holder } = await (await by.face()).task({ task })
    name = holder === 'here' ? by.name : holder
    return status === 'running'
  })
  return fleet.nodes.find((node) => node.name === name)!
}

describe.concurrent('a node that dies', () => {
  it(
    '[EE2] kill -9 of a worker with all that it runs, for good: its tasks are done by the others',
    () =>
      withFleet(async (fleet) => {
        const [a, b, c] = await fleet.found(['a', 'b', 'c'])
        const before = everythingOf(fleet.repo)
        const { tasks, files } = levels(3, 4, (_, level) => `sleep ${level === 0 ? 2 : 0.2}`)
        const run = await a!.submit(tasks)
        await until('b has work', async () =>
          (await (await a!.face()).tasks({ run })).some((t) => t.status === 'running' && t.holder === 'b'),
        )
        await b!.cutPower()
        await a!.knows(run)
        await c!.knows(run)
        const list = await (await a!.face()).tasks({ run })
        expect(list.map((t) => t.holder)).not.toContain('b')
        const members = await a!.orch('members').done
        expect(members.stdout).toMatch(/^b .* dead/m)
        await endAndAudit({ fleet, before, run, by: a!, files, nodes: [a!, c!] })
      }),
    300_000,
  )

  it(
    '[EE3] kill -9 of the node that submitted and integrates: the others go on, and it ends the run when it is back',
    () =>
      withFleet(async (fleet) => {
        const [a, b, c] = await fleet.found(['a', 'b', 'c'])
        const before = everythingOf(fleet.repo)
        const { tasks, files } = levels(5, 4, () => 'sleep 0.3')
        const run = await a!.submit(tasks, { verify: 'sleep 0.2; test ! -e broken' })
        for (const n of [2, 8]) {
          await until(`${n} are accepted`, async () => ((await b!.run(run)).counts.accepted ?? 0) >= n)
          await a!.kill()
          await a!.restart()
        }
        for (const node of [a!, b!, c!]) await node.knows(run)
        await endAndAudit({ fleet, before, run, by: a!, files })
      }),
    300_000,
  )

  it(
    '[EE4] a worker that stands still for 12 s and goes on: what it did late is not accepted again',
    () =>
      withFleet(async (fleet) => {
        const [a, b, c] = await fleet.found(['a', 'b', 'c'])
        const before = everythingOf(fleet.repo)
        const { tasks, files } = levels(3, 4, () => 'sleep 0.5')
        const run = await a!.submit(tasks)
        await until('b has work', async () =>
          (await (await a!.face()).tasks({ run })).some((t) => t.status === 'running' && t.holder === 'b'),
        )
        b!.signal('SIGSTOP')
        const stoppedAt = performance.now()
        await a!.knows(run)
        await until('12 s are over', () => performance.now() - stoppedAt > 12_000)
        b!.signal('SIGCONT')
        for (const node of [b!, c!]) await node.knows(run)
        await a!.sees([b!, c!])
        await endAndAudit({ fleet, before, run, by: a!, files })
      }),
    300_000,
  )

  it(
    '[EE5] the founder is gone for good: the others find each other after a restart of all of them',
    () =>
      withFleet(async (fleet) => {
        const [a, b, c, d] = await fleet.found(['a', 'b', 'c', 'd'])
        for (const node of [b!, c!, d!]) await node.sees(fleet.nodes)
        await (await a!.face()).setRole({ who: 'b', role: 'planner' })
        await until(
          'b may submit',
          async () => (await (await b!.face()).status()).cluster?.role === 'planner',
        )
        await Promise.all(fleet.nodes.map((node) => node.kill()))
        await Promise.all([b!, c!, d!].map((node) => node.restart()))
        for (const node of [b!, c!, d!]) await node.sees([b!, c!, d!])
        const before = everythingOf(fleet.repo)
        const { tasks, files } = levels(2, 3, () => 'sleep 0.1')
        const run = await b!.submit(tasks)
        for (const node of [b!, c!, d!]) await node.knows(run)
        await endAndAudit({ fleet, before, run, by: b!, files, nodes: [b!, c!, d!] })
      }),
    300_000,
  )

  it(
    '[EE6] all restart one after the other while a run goes on',
    () =>
      withFleet(async (fleet) => {
        const [a, b, c] = await fleet.found(['a', 'b', 'c'])
        const before = everythingOf(fleet.repo)
        const { tasks, files } = levels(6, 4, () => 'sleep 0.4')
        const run = await a!.submit(tasks)
        await until('it goes on', async () => ((await a!.run(run)).counts.accepted ?? 0) > 0)
        for (const node of [b!, a!, c!]) {
          await node.kill('SIGTERM')
          await node.restart()
          await node.sees(fleet.nodes)
        }
        for (const node of fleet.nodes) await node.knows(run)
        await endAndAudit({ fleet, before, run, by: a!, files })
      }),
    300_000,
  )
})

describe.concurrent('a worker that is switched off for good right after its result', () => {
  it(
    '[EE7] nobody else had its work: the task is done again elsewhere',
    () =>
      withFleet(async (fleet) => {
        const [a] = await fleet.found(['a', 'b', 'c'], ['--slots', '1'])
        const before = everythingOf(fleet.repo)
        const begun = (id: string) => join(fleet.dir, `${id}.begun`)
        const { tasks, files } = levels(1, 3, (id) => `touch ${begun(id)}; sleep ${id === 't0x0' ? 2 : 4}`)
        const run = await a!.submit(tasks)
        await until('each runs one', () => Object.keys(tasks).every((id) => existsSync(begun(id))))
        const victim = await holderOf(fleet, a!, `${run}/t0x0`)
        // Where it runs on the integrator itself its result counts at once; the story is the other way round then.
        const others = fleet.nodes.filter((node) => node !== victim)
        for (const node of others) node.signal('SIGSTOP')
        await until('its result is on its own disk', async () => {
          const { attemptList } = await (await victim.face()).task({ task: `${run}/t0x0` })
          return attemptList.some((attempt) => attempt.outcome === 'done')
        })
        await victim.cutPower()
        for (const node of others) node.signal('SIGCONT')
        if (victim === a!) {
          await a!.restart()
          await a!.knows(run)
          return endAndAudit({ fleet, before, run, by: a!, files })
        }
        await a!.knows(run)
        const { holder } = await (await a!.face()).task({ task: `${run}/t0x0` })
        expect(holder).not.toBe(victim.name)
        return endAndAudit({ fleet, before, run, by: a!, files, nodes: others })
      }),
    300_000,
  )

  it(
    '[EE8] the integrator had fetched its work: it is kept, and done by nobody else',
    () =>
      withFleet(async (fleet) => {
        const [a, b, c] = await fleet.found(['a', 'b', 'c'], ['--slots', '1'])
        const before = everythingOf(fleet.repo)
        const { tasks, files } = levels(1, 3, () => 'sleep 0.5')
        const run = await a!.submit(tasks, { verify: 'sleep 4' })
        let kept: string | undefined
        await until('a result of another is acknowledged', async () => {
          kept = (await (await a!.face()).tasks({ run })).find(
            (t) => t.status === 'provisional' && (t.holder === 'b' || t.holder === 'c'),
          )?.id
          return kept !== undefined
        })
        const { holder } = await (await a!.face()).task({ task: `${run}/${kept}` })
        const victim = holder === 'b' ? b! : c!
        await new Promise((resume) => setTimeout(resume, 50))
        await victim.cutPower()
        await a!.knows(run)
        const detail = await (await a!.face()).task({ task: `${run}/${kept}` })
        expect(detail).toMatchObject({ status: 'accepted', holder, attempts: 1 })
        const others = fleet.nodes.filter((node) => node !== victim)
        await endAndAudit({ fleet, before, run, by: a!, files, nodes: others })
      }),
    300_000,
  )
})

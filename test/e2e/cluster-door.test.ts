// Who comes in and who does not: strangers, members of another cluster, removed members, copies of a data directory.
import { cpSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { everythingOf } from '../node/machine.ts'
import { levels, until, withFleet } from './fleet.ts'
import { endAndAudit, readBoard } from './fleet-audit.ts'

describe('the door of a cluster', () => {
  it(
    '[EE9] a stranger without an approval, one with an invitation of another cluster, and a removed member get nothing',
    () =>
      withFleet(async (fleet) => {
        const [a, b] = await fleet.found(['a', 'b'])
        const other = await fleet.add('other')
        await other.start('--backend', 'crdt')
        const foreign = fleet.file('foreign', await other.invite(1))
        const own = fleet.file('own', await a!.invite(1))

        const plan = fleet.file(
          'plan.yaml',
          "version: 1\nname: x\ntasks: { t: { agent: shell, run: 'true' } }\n",
        )

        // Nobody decides: it waits, and knows nothing but the words.
        const stranger = await fleet.add('stranger')
        stranger.launch(['--join', a!.address])
        await until('it asks', async () => (await (await a!.face()).members()).requests.length === 1)
        await until('it tells the words', () => /six words: \w+( \w+){5}\n/.test(stranger.said()))
        const asked = await a!.orch('members').done
        expect(asked.stdout).toContain('orch-node members approve stranger')
        await stranger.kill('SIGTERM')

        // The invitation of another cluster leads there, not here; a member of one cluster does not come into another.
        const told = await b!.orch('join', '--token-file', foreign).done
        expect(told.code).not.toBe(0)
        expect(told.stderr).toContain('ORCH_OTHER_CLUSTER')
        const back = await other.orch('join', '--token-file', own).done
        expect(back.code).not.toBe(0)
        expect(back.stderr).toContain('ORCH_OTHER_CLUSTER')
        const knock = await other.orch('join', a!.address).done
        expect(knock.code, knock.stdout).not.toBe(0)
        expect(knock.stderr).toContain('ORCH_OTHER_CLUSTER')

        // Removed: it is let go, hears nothing any more, and is told why when it tries.
        const removed = await a!.orch('members', 'remove', 'b').done
        expect(removed.code, removed.stderr).toBe(0)
        const { members } = await (await a!.face()).members()
        expect(members.find((m) => m.name === 'b')?.state).toBe('removed')
        const run = await a!.submit({ one: { run: 'true' } }, {}, undefined)
        await a!.knows(run)
        // Its board was read anew without what does not count; it asks in vain from then on.
        await until('b answers', async () => (await (await b!.face()).runs()).every((r) => r.id !== run))
        await b!.kill('SIGTERM')
        await b!.restart()
        expect((await (await b!.face()).runs()).map((r) => r.id)).not.toContain(run)
        const none = await b!.orch('run', '--detach', plan).done
        expect(none.code, none.stdout).not.toBe(0)
        expect(none.stderr).toMatch(/ORCH_NOT_MEMBER|ORCH_ROLE/)
        // It can go, and come in again by a new invitation.
        await until('it is told, by its board or at the door', () =>
          b!.said().includes('this node was removed from the cluster'),
        )
        const status = await b!.orch('status').done
        expect(status.stdout).toContain('this node was removed from the cluster')
        const left = await b!.orch('leave').done
        expect(left.code, left.stderr).toBe(0)
        await until('b has ended', () => !b!.isUp)
        await b!.start('--join-file', own)
        await a!.sees([a!, b!])
        await b!.knows(run)
        expect((await (await other.face()).members()).members.map((m) => m.name)).toEqual(['other'])
      }),
    300_000,
  )

  it(
    '[EE10] a node of another cluster at the address of a member: neither learns anything of the other',
    () =>
      withFleet(async (fleet) => {
        const [a, b] = await fleet.found(['a', 'b'])
        const x = await fleet.add('x')
        await b!.kill('SIGTERM')
        // Another machine got its address.
        await x.start('--backend', 'crdt', '--listen', b!.address)
        const ours = await a!.submit({ one: { run: 'true' } }, {}, undefined)
        const theirs = await x.submit({ one: { run: 'true' } }, {}, undefined)
        await a!.knows(ours)
        await x.knows(theirs)
        await x.kill('SIGTERM')
        await b!.restart()
        await a!.sees([a!, b!])
        await b!.knows(ours)
        for (const node of [a!, b!]) {
          expect((await (await node.face()).runs()).map((r) => r.id)).toEqual([ours])
          expect((await (await node.face()).members()).members.map((m) => m.name).sort()).toEqual(['a', 'b'])
        }
        await Promise.all(fleet.nodes.map((node) => node.kill('SIGTERM')))
        expect([...(await readBoard(x)).state.board.runs.keys()]).toEqual([theirs])
      }),
    300_000,
  )

  it(
    '[EE11] a copy of a data directory on another machine: a person is told, and no board is damaged',
    () =>
      withFleet(async (fleet) => {
        const [a, b, c] = await fleet.found(['a', 'b', 'c'])
        await b!.kill('SIGTERM')
        const copied = join(fleet.dir, 'copied')
        cpSync(b!.dataDir, copied, { recursive: true })
        rmSync(join(copied, 'lock'), { force: true })
        const twin = await fleet.add('twin', copied)
        await b!.restart()
        await twin.start()
        const before = everythingOf(fleet.repo)
        const { tasks, files } = levels(4, 6, () => 'sleep 0.4')
        const run = await a!.submit(tasks)
        await a!.knows(run)
        const deceived = () =>
          [b!, twin].filter((node) => node.said().includes('another process signs as this node'))
        await until('one of them says so', () => deceived().length > 0)
        const status = await (await deceived()[0]!.face()).status()
        expect(status.cluster!.alarms.join()).toContain('another process signs as this node')
        await twin.kill('SIGTERM')
        await b!.kill('SIGTERM')
        await b!.restart()
        for (const node of [a!, b!, c!]) await node.knows(run)
        await endAndAudit({ fleet, before, run, by: a!, files, nodes: [a!, b!, c!] })
      }),
    300_000,
  )
})

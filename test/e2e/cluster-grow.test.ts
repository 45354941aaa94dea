// How a cluster begins and grows while it works: many at once, and one machine that becomes a cluster in the middle of a run.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { everythingOf } from '../node/machine.ts'
import { levels, until, withFleet } from './fleet.ts'
import { endAndAudit } from './fleet-audit.ts'

/** Twenty by hand: `JOINING=20`. */
const JOINING = Number(process.env.JOINING ?? 8)

describe('a cluster that grows', () => {
  it(
    `[EE15] ${JOINING} machines join at once by one invitation: all hear all, and all work`,
    () =>
      withFleet(async (fleet) => {
        const names = Array.from({ length: JOINING }, (_, k) => `n${k}`)
        const nodes = await fleet.found(names, ['--slots', '1'])
        for (const node of nodes) await node.sees(nodes, 120_000)
        const before = everythingOf(fleet.repo)
        const out = join(fleet.dir, 'out')
        // Each waits for all others: none can do two of them.
        const { tasks, files } = levels(
          1,
          JOINING,
          (id) =>
            `mkdir -p ${out}; touch ${out}/${id}; until [ $(ls ${out} | wc -l) = ${JOINING} ]; do sleep 0.1; done`,
        )
        const run = await nodes[0]!.submit(tasks)
        for (const node of nodes) await node.knows(run)
        const holders = (await (await nodes[0]!.face()).tasks({ run })).map((t) => t.holder)
        expect(new Set(holders).size).toBe(JOINING)
        await endAndAudit({ fleet, before, run, by: nodes[0]!, files })
      }),
    300_000,
  )

  it(
    '[EE16] one machine is made a cluster by `invite` while 40 tasks are under way: nothing is lost, nothing accepted twice',
    () =>
      withFleet(async (fleet) => {
        const a = await fleet.add('a')
        const b = await fleet.add('b')
        await a.start('--slots', '2')
        const before = everythingOf(fleet.repo)
        const { tasks, files } = levels(10, 4, () => 'sleep 0.3')
        const run = await a.submit(tasks)
        await until('some are accepted', async () => ((await a.run(run)).counts.accepted ?? 0) >= 6)
        const invited = await a.orch('invite').done
        expect(invited.code, invited.stderr).toBe(0)
        const kept = join(a.dataDir, 'journal.before-cluster.jsonl')
        expect(existsSync(kept)).toBe(true)
        expect(existsSync(join(a.dataDir, 'journal.jsonl'))).toBe(false)
        const acceptedBefore = new Set(readFileSync(kept, 'utf8').match(/"accepts","t\dx\d/g) ?? [])
        expect(acceptedBefore.size).toBeGreaterThanOrEqual(6)
        // It goes on with what it had.
        const { counts, status } = await a.run(run)
        expect(counts.accepted ?? 0).toBeGreaterThanOrEqual(acceptedBefore.size)
        expect(status).toBe('running')
        await b.start('--slots', '2', '--join-file', fleet.file('invitation', invited.stdout.trim()))
        await a.knows(run)
        const holders = (await (await a.face()).tasks({ run })).map((t) => t.holder)
        expect(new Set(holders)).toEqual(new Set(['here', 'b']))
        await b.knows(run)
        await endAndAudit({ fleet, before, run, by: a, files })
      }),
    300_000,
  )
})

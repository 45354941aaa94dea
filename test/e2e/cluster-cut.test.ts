// Networks that are cut, in the kernel: nodes in network namespaces of their own. Where the system gives none, these tests are skipped and say why.
import { describe, expect, it } from 'vitest'
import { everythingOf } from '../node/machine.ts'
import { levels, until, withFleet } from './fleet.ts'
import { endAndAudit } from './fleet-audit.ts'
import { whyNoNamespaces } from './namespace.ts'

const why = whyNoNamespaces()
if (why) console.warn(`partitions are not tested here: ${why}`)

/** A minute by hand: `CUT_MS=60000`. */
const CUT_MS = Number(process.env.CUT_MS ?? 25_000)

describe
  .skipIf(why !== undefined)
  .concurrent(`a network that is cut${why ? ` (not here: ${why})` : ''}`, () => {
    it(
      '[EE12] one node alone for a while: both sides go on, and in the end each task has one result everywhere',
      () =>
        withFleet(
          async (fleet) => {
            const [a, b, c, d] = await fleet.found(['a', 'b', 'c', 'd'])
            const before = everythingOf(fleet.repo)
            const { tasks, files } = levels(4, 5, () => 'sleep 0.7')
            const run = await a!.submit(tasks)
            await until('d has work', async () =>
              (await (await a!.face()).tasks({ run })).some(
                (t) => t.status === 'running' && t.holder === 'd',
              ),
            )
            const cutAt = performance.now()
            fleet.network!.isolate(d!.place)
            // The side without it takes over what it held, and comes to the end.
            await a!.knows(run)
            // It went on with what it had: its own results are there, accepted or not.
            const alone = await (await d!.face()).tasks({ run })
            expect(
              alone.filter((t) => t.status !== 'waiting' && t.status !== 'ready').length,
            ).toBeGreaterThan(0)
            expect((await d!.run(run)).status).toBe('running')
            await until('the cut was long', () => performance.now() - cutAt > CUT_MS, CUT_MS + 10_000)
            fleet.network!.heal()
            for (const node of [b!, c!, d!]) await node.knows(run)
            for (const node of fleet.nodes) await node.sees(fleet.nodes)
            await endAndAudit({ fleet, before, run, by: a!, files })
          },
          { apart: true },
        ),
      180_000,
    )

    it(
      '[EE13] the integrator alone for a while: the others go on as far as they can, and it accepts their work once',
      () =>
        withFleet(
          async (fleet) => {
            const [a, b, c] = await fleet.found(['a', 'b', 'c'])
            const before = everythingOf(fleet.repo)
            const { tasks, files } = levels(5, 4, () => 'sleep 0.5')
            // What only the integrator has dies with its connection: here it integrates and does nothing else.
            expect((await a!.orch('drain', 'a').done).code).toBe(0)
            const run = await a!.submit(tasks)
            await until('some are accepted', async () => ((await b!.run(run)).counts.accepted ?? 0) > 2)
            fleet.network!.isolate(a!.place)
            let seen = ''
            await until(
              'the others have done all that there is to do',
              async () => {
                const left = (await (await b!.face()).tasks({ run })).filter(
                  (t) => t.status !== 'provisional' && t.status !== 'accepted',
                )
                seen = left.map((t) => `${t.id} ${t.status} ${t.holder}`).join(', ')
                return left.length === 0
              },
              60_000,
              () => seen,
            )
            fleet.network!.heal()
            for (const node of [a!, b!, c!]) await node.knows(run)
            await endAndAudit({ fleet, before, run, by: a!, files })
          },
          { apart: true },
        ),
      180_000,
    )

    it(
      '[EE14] a node that hears and is not heard: it is given up, and nothing is accepted twice',
      () =>
        withFleet(
          async (fleet) => {
            const [a, b, c] = await fleet.found(['a', 'b', 'c'])
            const before = everythingOf(fleet.repo)
            const { tasks, files } = levels(3, 5, () => 'sleep 0.7')
            const run = await a!.submit(tasks)
            await until('c has work', async () =>
              (await (await a!.face()).tasks({ run })).some(
                (t) => t.status === 'running' && t.holder === 'c',
              ),
            )
            fleet.network!.muffle(c!.place)
            await a!.knows(run)
            fleet.network!.heal()
            for (const node of [b!, c!]) await node.knows(run)
            for (const node of fleet.nodes) await node.sees(fleet.nodes)
            await endAndAudit({ fleet, before, run, by: a!, files })
          },
          { apart: true },
        ),
      180_000,
    )
  })

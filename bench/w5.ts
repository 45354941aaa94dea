/**
 * W5: a member with four handlers at work dies (kill -9) or falls silent (it stands still: nothing is refused, nothing comes). Measured is the time until its first task, and until
 * all of them, start again elsewhere; nothing is configured.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Audit, type Deed, type Member, nowMs, type Submitted, withFleet } from './fleet.ts'
import { type Sample, Samples } from './sample.ts'

const TASKS = 200
const TASK_MS = 100
const CONCURRENCY = 4
/** What the victim runs when it is hit began so recently that it cannot have ended unheard. */
const FRESH_MS = 60
/** Members that met a moment ago have not found each other's addresses out. */
const ACQUAINTED_MS = 2_000
const BACK_MS_MAX = 60_000
const END_MS_MAX = 120_000

type Blow = 'kill' | 'silence'

async function strike(members: number, blow: Blow, samples: Samples): Promise<void> {
  await withFleet(members, { concurrency: CONCURRENCY, taskMs: TASK_MS, prompt: true }, async (fleet) => {
    const [first] = fleet.members
    const victim = fleet.members.at(-1)!
    const survivors = fleet.members.slice(0, -1)
    await sleep(ACQUAINTED_MS)
    const { run } = await first!.ask<Submitted>({ do: 'submit', tasks: TASKS, plan: 'flat' })
    await busy(victim)
    const at = nowMs()
    if (blow === 'kill') await victim.kill()
    else victim.pause()
    // What it said last is still on its way.
    await sleep(50)
    const open = new Set(victim.underWay())
    const { first: firstAgain, all } = await again(open, survivors, at)
    const label = `${blow === 'kill' ? 'kill -9' : 'silent cut'}, ${members} nodes`
    samples.add(`${label}: first task starts elsewhere`, 's', firstAgain / 1_000)
    samples.add(`${label}: all ${CONCURRENCY} of them`, 's', all / 1_000)
    await first!.ask<number>({ do: 'finished', run }, END_MS_MAX)
    const { twice, done } = await first!.ask<Audit>({ do: 'audit', run })
    if (twice > 0 || done !== TASKS) throw new Error(`${done} of ${TASKS} accepted, ${twice} twice`)
  })
}

/** Until all of its handlers are at work, and the last began a moment ago. */
async function busy(victim: Member): Promise<void> {
  const until = nowMs() + BACK_MS_MAX
  for (;;) {
    const last = victim.deeds.at(-1)
    if (last?.[0] === 'began' && victim.underWay().length === CONCURRENCY && nowMs() - last[2] < FRESH_MS)
      return
    if (nowMs() > until) throw new Error(`${victim.name} was never busy`)
    await sleep(1)
  }
}

function again(
  open: ReadonlySet<string>,
  survivors: readonly Member[],
  at: number,
): Promise<{ first: number; all: number }> {
  return new Promise((resolve, reject) => {
    const back = new Map<string, number>()
    const timer = setTimeout(
      () => reject(new Error(`${open.size - back.size} of ${open.size} tasks did not start again`)),
      BACK_MS_MAX,
    )
    const see = ([kind, task, when]: Deed): void => {
      if (kind !== 'began' || !open.has(task) || when < at || back.has(task)) return
      back.set(task, when - at)
      if (back.size < open.size) return
      clearTimeout(timer)
      resolve({ first: Math.min(...back.values()), all: Math.max(...back.values()) })
    }
    for (const member of survivors) {
      member.deeds.forEach(see)
      member.onDeed = see
    }
  })
}

export async function w5(runs: number): Promise<Sample[]> {
  const samples = new Samples()
  for (const members of [3, 2])
    for (const blow of ['kill', 'silence'] as const)
      for (let k = 0; k < runs; k++) await strike(members, blow, samples)
  return samples.all()
}

/**
 * W3: 1000 no-op tasks, 16 worker processes with one handler each, all members of one cluster: every claim travels. From submit to the run's durable end where it was submitted.
 * Then the same while a part of the members is cut off: no task may be accepted twice.
 */
import { type Audit, executions, type Fleet, nowMs, type Submitted, withFleet } from './fleet.ts'
import { perSecond, type Sample, Samples } from './sample.ts'

const TASKS = 1_000
const PROCESSES = 16
/** Of the 16, so many stand still in the middle of the run. */
const CUT_OFF = 5
/** Longer than silence takes to count as death, so that their tasks run again elsewhere while they hold them. */
const CUT_MS_MIN = 12_000
const RUN_MS_MAX = 110_000

async function oneRun(fleet: Fleet, samples: Samples): Promise<void> {
  const [first] = fleet.members
  const before = executions(fleet.members)
  const { run, at } = await first!.ask<Submitted>({ do: 'submit', tasks: TASKS, plan: 'flat' })
  const end = await first!.ask<number>({ do: 'finished', run }, RUN_MS_MAX)
  const audit = await first!.ask<Audit>({ do: 'audit', run })
  mustBeSound(audit)
  samples.add('1000 tasks, 16 processes', 'tasks/s', perSecond(TASKS, end - at))
  const extra = [...executions(fleet.members)].reduce(
    (sum, [task, n]) => sum + (n - (before.get(task) ?? 0)),
    -TASKS,
  )
  samples.add('handlers begun beyond one a task', 'handlers', extra)
  samples.add('starts on the board, by tasks', 'times', audit.starts / TASKS)
}

function mustBeSound({ twice, done }: Audit): void {
  if (twice > 0) throw new Error(`${twice} tasks were accepted twice`)
  if (done !== TASKS) throw new Error(`${done} of ${TASKS} tasks are accepted`)
}

/** Five of 16 stand still with work in hand until they are given up, and come back with their results. */
async function cutOff(samples: Samples): Promise<void> {
  await withFleet(PROCESSES, { concurrency: 1, taskMs: 100 }, async (fleet) => {
    const [first, ...others] = fleet.members
    const stopped = others.slice(0, CUT_OFF)
    const { run, at } = await first!.ask<Submitted>({ do: 'submit', tasks: TASKS, plan: 'flat' })
    while (stopped.some((member) => member.deeds.length === 0) && nowMs() - at < 10_000)
      await new Promise((resume) => setTimeout(resume, 10))
    for (const member of stopped) member.pause()
    await new Promise((resume) => setTimeout(resume, CUT_MS_MIN))
    for (const member of stopped) member.resume()
    const end = await first!.ask<number>({ do: 'finished', run }, RUN_MS_MAX)
    await fleet.seen(PROCESSES)
    for (const member of fleet.members) {
      await member.ask<number>({ do: 'finished', run })
      mustBeSound(await member.ask<Audit>({ do: 'audit', run }))
    }
    samples.add('5 of 16 stand still for 12 s: tasks accepted twice', 'tasks', 0)
    samples.add('the same, 100 ms a task: submit to end', 's', (end - at) / 1_000)
    const again = [...executions(fleet.members).values()].filter((n) => n > 1).length
    samples.add('the same: tasks that ran more than once', 'tasks', again)
  })
}

export async function w3(runs: number): Promise<Sample[]> {
  const samples = new Samples()
  await withFleet(PROCESSES, { concurrency: 1 }, async (fleet) => {
    // The first warms the processes up, as those of the peers are when their second run begins.
    await oneRun(fleet, new Samples())
    for (let k = 0; k < runs; k++) await oneRun(fleet, samples)
  })
  await cutOff(samples)
  return samples.all()
}

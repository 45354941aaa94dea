/** Plays seeds and gives what went wrong as lines, for the tests of the simulator. */
import { playSeeds } from '../../src/sim/campaign.ts'
import { readFaults } from '../../src/sim/fault.ts'
import { type Figures, Tally } from '../../src/sim/figures.ts'

/** Far more than any of these takes: on a machine with other things to do it may be a lot. */
export const LONG_MS = 1_200_000

export interface Game {
  readonly faults: string
  readonly from: number
  readonly count: number
  readonly nodes: number
  readonly tasks: number
  readonly twice?: boolean
  /** Ends with the first seed that goes wrong. */
  readonly untilBroken?: boolean
}

export interface Outcome {
  /** `seed rule node message`. */
  readonly broken: readonly string[]
  readonly figures: Figures
  readonly seeds: number
}

export async function play(game: Game): Promise<Outcome> {
  const read = readFaults(game.faults)
  if (!read.ok) throw new Error(read.problem)
  const broken: string[] = []
  const tally = new Tally()
  let seeds = 0
  for await (const report of playSeeds({ ...game, faults: read.plan, twice: game.twice ?? false })) {
    seeds++
    tally.add(report.tally)
    for (const { rule, node, task, message } of report.breaches)
      broken.push(`${report.seed} ${rule} ${node} ${task ?? ''} ${message}`)
    if (broken.length > 0 && game.untilBroken) break
  }
  return { broken, figures: tally.figures(), seeds }
}

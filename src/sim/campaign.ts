/** Many seeds, each played twice: what happened must be the same to the last event. */
import type { Breach } from './oracle.ts'
import type { SeedReport, SimulationOptions } from './simulation.ts'
import { simulateSeed } from './simulation.ts'

export interface CampaignOptions extends Omit<SimulationOptions, 'seed'> {
  readonly from: number
  readonly count: number
  /** Default true. */
  readonly twice?: boolean
}

/** The reports, seed by seed; the second run of a seed adds a breach where it went another way. */
export async function* playSeeds(options: CampaignOptions): AsyncGenerator<SeedReport> {
  const { from, count, twice = true, ...rest } = options
  for (let seed = from; seed < from + count; seed++) {
    const report = await simulateSeed({ ...rest, seed })
    if (!twice) {
      yield report
      continue
    }
    const { onTrace: _told, ...quietly } = rest
    const again = await simulateSeed({ ...quietly, seed })
    yield again.trace === report.trace
      ? report
      : { ...report, breaches: [...report.breaches, differs(report, again)] }
  }
}

function differs(report: SeedReport, again: SeedReport): Breach {
  return {
    rule: 'D11',
    at: report.virtualMs,
    node: 'simulator',
    message: `two runs of seed ${report.seed} differ: ${report.trace} after ${report.events} events, ${again.trace} after ${again.events}`,
  }
}

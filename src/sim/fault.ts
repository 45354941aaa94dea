/** What can go wrong, how often, and which of it a seed lets happen. Names and figures: `docs/simulator.md`. */
import { nearestName } from '../core/nearest.ts'
import type { Dice } from './dice.ts'

export const FAULTS = [
  // The network.
  'loss',
  'delay',
  'reorder',
  'duplication',
  'partition',
  'one-way',
  'bridge',
  'flapping',
  // The process of a node, and its machine.
  'crash',
  'lost-tail',
  'crash-for-good',
  'pause',
  'suspend',
  'stall',
  'drift',
  'wall-jump',
  'slow-disk',
  'full-disk',
  // The cluster.
  'join',
  'leave',
  'remove',
  'integrator-lost',
  // Agents.
  'agent-failure',
  'agent-crash',
  'ignore-stop',
  // Members that lie.
  'bit-flip',
  'replay',
  'equivocation',
  'forged-author',
  'overreach',
  'flood',
] as const
export type Fault = (typeof FAULTS)[number]

export const PROFILES = ['calm', 'mild', 'storm'] as const

/** Rates per hour: of a node where the fault strikes one, else of the whole cluster. The rest are probabilities and spans. */
export interface Climate {
  readonly perHour: Readonly<Partial<Record<Fault, number>>>
  readonly lossMax: number
  readonly partitionMs: number
  readonly downMs: number
  readonly agentFailure: number
  readonly driftMax: number
}

const CALM: Climate = {
  perHour: {},
  lossMax: 0,
  partitionMs: 0,
  downMs: 5_000,
  agentFailure: 0,
  driftMax: 0,
}

const MILD: Climate = {
  perHour: { partition: 0.5, crash: 0.1, suspend: 0.1, 'lost-tail': 0.1 },
  lossMax: 0.01,
  partitionMs: 40_000,
  downMs: 10_000,
  agentFailure: 0.01,
  driftMax: 0.001,
}

/** Two thirds of the time some link is cut; each node falls and sleeps a dozen times an hour. */
const STORM: Climate = {
  perHour: {
    partition: 30,
    'one-way': 15,
    bridge: 8,
    flapping: 8,
    crash: 6,
    'lost-tail': 6,
    'crash-for-good': 2,
    pause: 4,
    suspend: 8,
    stall: 6,
    'wall-jump': 2,
    'slow-disk': 4,
    'full-disk': 1,
    join: 8,
    leave: 4,
    remove: 4,
    'integrator-lost': 4,
    'agent-crash': 4,
    'bit-flip': 60,
    replay: 60,
    equivocation: 15,
    'forged-author': 40,
    overreach: 60,
    flood: 12,
  },
  lossMax: 0.3,
  partitionMs: 40_000,
  downMs: 15_000,
  agentFailure: 0.05,
  driftMax: 0.02,
}

const MILD_FAULTS: readonly Fault[] = [
  'loss',
  'partition',
  'crash',
  'lost-tail',
  'suspend',
  'drift',
  'agent-failure',
]

export interface FaultPlan {
  /** As it was asked for, to be asked for again. */
  readonly text: string
  readonly faults: readonly Fault[]
  readonly climate: Climate
  /** Each seed leaves out a random half, so that what one fault hides another seed shows. */
  readonly swarm: boolean
}

export type ReadFaults =
  | { readonly ok: true; readonly plan: FaultPlan }
  | { readonly ok: false; readonly problem: string }

/** What happens to a cluster once at most, or a few times: asked for by name, it should happen early in a run of some minutes. */
const LISTED: Climate = {
  ...STORM,
  perHour: {
    ...STORM.perHour,
    'crash-for-good': 30,
    join: 30,
    leave: 30,
    remove: 30,
    'integrator-lost': 30,
  },
}

/** `calm`, `mild`, `storm`, or a list of faults, which all happen at the rates of the storm, or more often. */
export function readFaults(text: string): ReadFaults {
  if (text === 'calm') return { ok: true, plan: { text, faults: [], climate: CALM, swarm: false } }
  if (text === 'mild') return { ok: true, plan: { text, faults: MILD_FAULTS, climate: MILD, swarm: false } }
  if (text === 'storm') return { ok: true, plan: { text, faults: FAULTS, climate: STORM, swarm: true } }
  const names = text.split(',').map((name) => name.trim())
  const faults: Fault[] = []
  for (const name of names) {
    const fault = FAULTS.find((f) => f === name)
    if (!fault) {
      const known = [...PROFILES, ...FAULTS]
      const close = nearestName(name, known)
      return {
        ok: false,
        problem: `there is no fault "${name}"${close ? `: did you mean "${close}"?` : `: there are ${known.join(', ')}`}`,
      }
    }
    if (!faults.includes(fault)) faults.push(fault)
  }
  return { ok: true, plan: { text: faults.join(','), faults, climate: LISTED, swarm: false } }
}

export function faultsOf(plan: FaultPlan, dice: Dice): ReadonlySet<Fault> {
  if (!plan.swarm) return new Set(plan.faults)
  return new Set(dice.shuffle(plan.faults).slice(0, Math.ceil(plan.faults.length / 2)))
}

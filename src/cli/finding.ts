/** One thing that `doctor` looked at. */
import { isOrchError } from '../core/error.ts'
import type { Connection } from './connection.ts'

export interface Finding {
  readonly check:
    | 'node'
    | 'git'
    | 'data'
    | 'disk'
    | 'identity'
    | 'lock'
    | 'endpoint'
    | 'journal'
    | 'board'
    | 'attempts'
  readonly state: 'ok' | 'warn' | 'fail'
  readonly message: string
  /** What to do, or what was done. */
  readonly advice?: string
}

export interface Examination {
  readonly dataDir: string
  readonly fix: boolean
  /** To the running node, if there is one. */
  readonly connect: () => Promise<Connection>
}

/** A fault that says what to do; anything else is a bug. */
export function failed(check: Finding['check'], error: unknown): Finding {
  if (!isOrchError(error)) throw error
  return { check, state: 'fail', message: error.message, advice: error.hint }
}

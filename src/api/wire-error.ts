/** Errors as they cross a process border: the code, what happened, what to do, and plain data; never a stack. */
import { ERRORS, type ErrorCode, isOrchError, OrchError } from '../core/error.ts'

export interface WireError {
  readonly code: ErrorCode
  readonly message: string
  readonly hint: string
  readonly context?: Readonly<Record<string, unknown>>
}

export function toWireError(error: unknown): WireError {
  if (!isOrchError(error)) {
    return {
      code: 'ORCH_BUG',
      message: error instanceof Error ? error.message : String(error),
      hint: ERRORS.ORCH_BUG.hint,
    }
  }
  const { code, message, hint, context } = error
  return Object.keys(context).length > 0 && isPlain(context)
    ? { code, message, hint, context }
    : { code, message, hint }
}

function isPlain(context: object): boolean {
  try {
    return JSON.stringify(context) !== undefined
  } catch {
    return false
  }
}

/** What a peer sent as an error. A code of a newer version becomes a failure that names it. */
export function fromWireError(wire: unknown): OrchError {
  const { code, message, hint, context } = (typeof wire === 'object' && wire !== null ? wire : {}) as Partial<
    Record<keyof WireError, unknown>
  >
  const text = typeof message === 'string' ? message : 'the node answered with an error that cannot be read'
  const known = typeof code === 'string' && Object.hasOwn(ERRORS, code)
  return new OrchError(
    known ? (code as ErrorCode) : 'ORCH_FAILED',
    known ? text : `${text} (${String(code)})`,
    {
      ...(typeof hint === 'string' && { hint }),
      ...(typeof context === 'object' && context !== null && { context: context as Record<string, unknown> }),
    },
  )
}

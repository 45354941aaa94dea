/** From whatever was thrown to an error of the catalogue, and from that to an exit code. */
import { toWireError, type WireError } from '../api/wire-error.ts'
import { ERRORS, isOrchError, OrchError } from '../core/error.ts'

/** 0 done, or what the catalogue's row says. */
export function exitOf(error: WireError): number {
  return ERRORS[error.code].exit
}

export function describe(error: unknown): {
  readonly error: WireError
  readonly why?: string
  readonly stack?: string
} {
  const cause = isOrchError(error) ? error.cause : undefined
  const why =
    cause instanceof Error && cause.message !== (error as Error).message
      ? cause.message.split('\n', 1)[0]
      : undefined
  const stack = error instanceof Error ? withCauses(error) : undefined
  return { error: toWireError(error), ...(why && { why }), ...(stack && { stack }) }
}

function withCauses(error: Error): string {
  const cause = error.cause instanceof Error ? `\ncaused by: ${withCauses(error.cause)}` : ''
  return `${error.stack ?? error.message}${cause}`
}

export function usage(message: string, hint?: string): OrchError {
  return new OrchError('ORCH_USAGE', message, hint === undefined ? {} : { hint })
}

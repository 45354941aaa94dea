/**
 * Who asks, and what he may ask. The node's token, which only its user can read, may do everything; the token of an attempt speaks of that
 * attempt alone, whatever else its request names.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { OrchError } from '../core/error.ts'
import { type AttemptId, readAttemptId } from '../core/id.ts'
import { METHODS, type MethodName } from './method.ts'

export type Caller = { readonly kind: 'owner' } | { readonly kind: 'attempt'; readonly attempt: AttemptId }

export interface AttemptTokens {
  verify(token: string): AttemptId | undefined
}

export function createToken(): string {
  return randomBytes(32).toString('base64url')
}

/** `undefined` for a token that is nobody's. */
export function createGate(
  ownToken: string,
  attempts: AttemptTokens,
): (token: string | undefined) => Caller | undefined {
  // Digests are compared: equal length, and no time that depends on the secret.
  const own = digest(ownToken)
  return (token) => {
    if (token === undefined || token === '') return undefined
    if (timingSafeEqual(digest(token), own)) return { kind: 'owner' }
    const attempt = attempts.verify(token)
    return attempt === undefined ? undefined : { kind: 'attempt', attempt }
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

/**
 * The request that a caller may make: for an attempt, with its own names filled in.
 *
 * @throws ORCH_DENIED for what an attempt may not do, or not about others
 */
export function authorize(caller: Caller, method: MethodName, request: unknown): unknown {
  if (caller.kind === 'owner') return request
  const right = METHODS[method].attempt
  const slot = readAttemptId(caller.attempt)
  if (right === 'no' || slot === undefined) {
    throw new OrchError('ORCH_DENIED', `the token of an attempt may not call ${method}`, {
      hint: 'an attempt reports of itself: progress, complete, fail, block, release; and reads task and ready',
    })
  }
  const { attempt, task, run } = request as { attempt?: string; task?: string; run?: string }
  const own = `${slot.run}/${slot.task}`
  const foreign =
    (attempt !== undefined && attempt !== caller.attempt) ||
    (task !== undefined && task !== own && task !== slot.task) ||
    (run !== undefined && run !== slot.run)
  if (foreign) {
    throw new OrchError('ORCH_DENIED', `this token is of ${own} only`, {
      hint: 'leave the id away: the token names the attempt',
    })
  }
  if (right === 'report') return { ...(request as object), attempt: caller.attempt, task: own }
  return right === 'task' ? { ...(request as object), task: own } : { ...(request as object), run: slot.run }
}

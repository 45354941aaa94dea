/** A `NodeFace` whose every method goes to another process. */
import type { OrchError } from '../core/error.ts'
import type { NodeFace } from '../node/face.ts'
import { METHODS, type MethodName } from './method.ts'

export interface Transport {
  call(method: MethodName, params: unknown, deadlineMs: number): Promise<unknown>
  stream(method: MethodName, params: unknown, signal: AbortSignal | undefined): AsyncIterable<unknown>
  /** Ends what is open. Idempotent. */
  close(): Promise<void>
  /** Resolves when the connection is over, with the last word of the node if it had one. Absent where each call has its own connection. */
  readonly ended?: Promise<OrchError>
}

export interface RemoteNode {
  readonly face: NodeFace
  readonly ended?: Promise<OrchError>
  close(): Promise<void>
}

export interface RemoteOptions {
  /** Replaces the deadline of every call. */
  readonly callMs?: number
}

export function createRemoteNode(transport: Transport, options: RemoteOptions = {}): RemoteNode {
  const face: Partial<Record<MethodName, unknown>> = {}
  for (const [name, { kind, deadlineMs }] of Object.entries(METHODS) as [
    MethodName,
    (typeof METHODS)[MethodName],
  ][]) {
    face[name] =
      kind === 'call'
        ? (params?: unknown) => transport.call(name, params ?? {}, options.callMs ?? deadlineMs)
        : (params: unknown, signal?: AbortSignal) => transport.stream(name, params, signal)
  }
  const { ended } = transport
  return { face: face as NodeFace, close: () => transport.close(), ...(ended && { ended }) }
}

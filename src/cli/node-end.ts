/** Waits until a node that was told to end is gone: it is gone when it answers no more, its connection ends with it. */
import { setTimeout as pause } from 'node:timers/promises'
import { METHODS } from '../api/method.ts'
import { isOrchError, OrchError } from '../core/error.ts'
import { LOCKED_LOOK_MS } from '../core/limit.ts'
import type { NodeFace } from '../node/face.ts'

/** @throws ORCH_NODE_TIMEOUT */
export async function untilGone(face: NodeFace, pid: number): Promise<void> {
  const deadline = performance.now() + METHODS.stop.deadlineMs
  for (;;) {
    try {
      await face.status()
    } catch (error) {
      if (isOrchError(error) && error.code === 'ORCH_NO_NODE') return
      throw error
    }
    if (performance.now() > deadline)
      throw new OrchError('ORCH_NODE_TIMEOUT', `the node (pid ${pid}) is still stopping`, {
        hint: '`orch-node stop --now` ends it at once',
      })
    await pause(LOCKED_LOOK_MS)
  }
}

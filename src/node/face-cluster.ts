/** The cluster as people see and change it. */

import type { JoinUpdate, NodeFace } from './face.ts'
import { FacePart } from './face-part.ts'
import { accepted } from './submit.ts'

export class FaceCluster extends FacePart {
  invite(request: Parameters<NodeFace['invite']>[0]): ReturnType<NodeFace['invite']> {
    return this.host.membership.invite(request)
  }

  join(request: { readonly to: string }, signal?: AbortSignal): AsyncIterable<JoinUpdate> {
    return this.host.membership.join(request.to, signal)
  }

  leave(): Promise<void> {
    return this.host.membership.leave()
  }

  async members(): ReturnType<NodeFace['members']> {
    return this.host.membership.list()
  }

  approve(request: Parameters<NodeFace['approve']>[0]): ReturnType<NodeFace['approve']> {
    return this.host.membership.approve(request)
  }

  removeMember(request: Parameters<NodeFace['removeMember']>[0]): ReturnType<NodeFace['removeMember']> {
    return this.host.membership.remove(request)
  }

  setRole(request: Parameters<NodeFace['setRole']>[0]): ReturnType<NodeFace['setRole']> {
    return this.host.membership.setRole(request)
  }

  revokeInvite(request: { readonly id: string }): Promise<void> {
    return this.host.membership.revoke(request.id)
  }

  async adopt(request: Parameters<NodeFace['adopt']>[0]): ReturnType<NodeFace['adopt']> {
    const run = this.runOf(request.run)
    const { reply, durable } = this.engine.loop.post({
      type: 'order',
      run: run.id,
      subject: '*',
      order: {
        verb: 'adopt',
        term: run.term + 1,
        cutoff: Number.MAX_SAFE_INTEGER,
        ...(request.reason ? { reason: request.reason } : {}),
      },
    })
    accepted(reply)
    await durable
    return { run: run.id, term: run.term, cutoff: run.terms.at(-2)?.until ?? 0 }
  }

  async drain(request: Parameters<NodeFace['drain']>[0]): Promise<void> {
    const { deadlineMs } = request
    const other = this.host.membership.other(request.node)
    if (other) await this.host.membership.ask(other, 'drain', deadlineMs === undefined ? {} : { deadlineMs })
    else await this.host.drain(deadlineMs)
  }

  async undrain(request: Parameters<NodeFace['undrain']>[0]): Promise<void> {
    const other = this.host.membership.other(request.node)
    if (other) await this.host.membership.ask(other, 'undrain', {})
    else await this.host.undrain()
  }
}

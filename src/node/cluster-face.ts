/** What a node says of its cluster: shapes of answers of `NodeFace`. */
import type { Role } from '../core/fact.ts'
import type { NodeId, WallMs } from '../core/id.ts'

export interface ClusterStatus {
  /** 32 hex digits. */
  readonly id: string
  readonly name: string
  readonly role: Role
  /** Where other machines reach this node; give one of them to `orch-node start --join`. */
  readonly addresses: readonly string[]
  readonly members: number
  /** Members heard of lately, this node included. */
  readonly live: number
  /** What arrived and is not explained: double talk of an author, a frame that proves nothing. Empty when all is well. */
  readonly alarms: readonly string[]
}

export interface MemberItem {
  readonly node: NodeId
  readonly name: string
  readonly role: Role
  /** `self` = this node; `silent` = not heard of since a moment; `dead` = its work was given to others; `never` = not heard of since this node started. */
  readonly state: 'self' | 'live' | 'silent' | 'dead' | 'never' | 'removed'
  readonly slots?: number
  readonly running: number
  readonly draining: boolean
  readonly capabilities?: readonly string[]
  readonly roundTripMs?: number
  readonly version?: string
  readonly addresses: readonly string[]
}

/** A machine that asked this node to be let in, without a token. */
export interface JoinRequestItem {
  readonly node: NodeId
  readonly name: string
  /** Six words, the same on both screens. */
  readonly words: string
  readonly askedAt: WallMs
}

export interface InviteItem {
  readonly id: string
  readonly role: Role
  readonly expiresAt: WallMs
  readonly uses: number
  readonly used: number
  readonly issuer: NodeId
  readonly revoked: boolean
}

export interface MembersAnswer {
  readonly cluster: string
  readonly members: readonly MemberItem[]
  readonly requests: readonly JoinRequestItem[]
  readonly invites: readonly InviteItem[]
}

/** The way into a cluster; the last item is `joined`. */
export type JoinUpdate =
  /** The other side waits for a person there: he sees the same six words. */
  | { readonly type: 'waiting'; readonly words: string; readonly at: string }
  | { readonly type: 'joined'; readonly cluster: string; readonly name: string; readonly role: Role }

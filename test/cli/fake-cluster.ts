/** What a fake face says of its cluster: three machines and one that asks to be let in. */
import type { ClusterStatus, MembersAnswer } from '../../src/node/face.ts'

export const NODE = '12D3KooWBXbLWeorNCunMdu3Cm9zDfWwSHSR7XANSE1Ptgi6VNY5'
export const AT = 1_700_000_000_000
export const TOKEN = 'orch1-0secret0secret0secret'
export const MAC = '12D3KooWMacMacMacMacMacMacMacMacMacMacMacMacMacMacMac1'
const NEW = '12D3KooWNewNewNewNewNewNewNewNewNewNewNewNewNewNewNew2'

/** What `status` says of the cluster, once there is one. */
export const CLUSTER: ClusterStatus = {
  id: 'c0ffee00c0ffee00c0ffee00c0ffee00',
  name: 'box',
  role: 'admin',
  addresses: [`/ip4/10.0.0.3/tcp/7946/p2p/${NODE}`],
  members: 3,
  live: 2,
  alarms: [],
}

export const MEMBERS: MembersAnswer = {
  cluster: CLUSTER.id,
  members: [
    {
      node: NODE,
      name: 'box',
      role: 'admin',
      state: 'self',
      slots: 5,
      running: 1,
      draining: false,
      version: '0.1.0',
      addresses: CLUSTER.addresses,
    },
    {
      node: MAC,
      name: 'mac-anna',
      role: 'worker',
      state: 'live',
      slots: 8,
      running: 3,
      draining: true,
      roundTripMs: 12.4,
      version: '0.1.0',
      addresses: [`/ip6/fd00::7/tcp/7946/p2p/${MAC}`],
    },
    {
      node: 'gone',
      name: 'old',
      role: 'worker',
      state: 'removed',
      running: 0,
      draining: false,
      addresses: [],
    },
  ],
  requests: [
    { node: NEW, name: 'new-box', words: 'abbey acorn agent album almond anchor', askedAt: AT + 48_000 },
  ],
  invites: [
    { id: 'a1', role: 'worker', expiresAt: AT + 3_660_000, uses: 2, used: 1, issuer: NODE, revoked: false },
    { id: 'b2', role: 'planner', expiresAt: AT + 3_660_000, uses: 1, used: 1, issuer: MAC, revoked: false },
    { id: 'c3', role: 'worker', expiresAt: AT, uses: 1, used: 0, issuer: NODE, revoked: false },
    { id: 'd4', role: 'worker', expiresAt: AT + 3_660_000, uses: 1, used: 0, issuer: 'x', revoked: true },
  ],
}

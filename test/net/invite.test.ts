/** Goal: an invitation is read exactly as it was made, and whatever else a person pastes is refused in words. Method: every byte and character of real tokens is damaged. */
import { createHash, randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ROLES } from '../../src/core/fact.ts'
import { CLOCK_TOLERANCE_MS, INVITE_MS_MAX } from '../../src/core/limit.ts'
import { identityFromSeed, nodeIdOf, verifySignature } from '../../src/net/identity.ts'
import { createInvite, type Invite, isLoopbackOnly, isName, readInvite } from '../../src/net/invite.ts'

const NOW = 1_800_000_000_000
const HOUR = 3_600_000
const YEAR = 365 * 24 * HOUR
const issuer = identityFromSeed(Buffer.alloc(32, 7))
const SEED = Buffer.alloc(32, 9)
const WISH = {
  cluster: '00112233445566778899aabbccddeeff',
  clusterName: 'lab',
  id: '0123456789abcdef',
  role: 'worker',
  issuedAt: NOW,
  expiresAt: NOW + HOUR,
  addresses: ['/ip4/192.168.1.10/tcp/7946', '/dns4/box.example/tcp/7946'],
} as const
const { token, invite } = createInvite(issuer, WISH, SEED)

const CHARS = '0123456789abcdefghjkmnpqrstvwxyz'
function bytesOf(text: string): Buffer {
  let bits = ''
  for (const char of text.slice(6)) bits += CHARS.indexOf(char).toString(2).padStart(5, '0')
  return Buffer.from((bits.match(/.{8}/g) ?? []).map((byte) => Number.parseInt(byte, 2)))
}
function textOf(bytes: Uint8Array): string {
  let bits = Array.from(bytes, (byte) => byte.toString(2).padStart(8, '0')).join('')
  bits = bits.padEnd(Math.ceil(bits.length / 5) * 5, '0')
  return `orch1-${(bits.match(/.{5}/g) ?? []).map((digit) => CHARS[Number.parseInt(digit, 2)]).join('')}`
}
/** As somebody would who alters it on purpose: the checksum fits. */
function forge(bytes: Buffer): string {
  const body = bytes.subarray(0, -4)
  return textOf(Buffer.concat([body, createHash('sha256').update(body).digest().subarray(0, 4)]))
}
function problemOf(text: string, now = NOW): string {
  const read = readInvite(text, now)
  return read.ok ? 'none' : `${read.code} ${read.problem}`
}

describe('an invitation', () => {
  it('[JO1] is read as it was made, with the issuer in every address', () => {
    const read = readInvite(token, NOW)
    if (!read.ok) throw new Error(read.problem)
    expect(read.invite).toEqual(invite)
    expect(read.invite).toMatchObject({ ...WISH, issuer: issuer.node, addresses: expect.any(Array) })
    expect(read.invite.addresses).toEqual(WISH.addresses.map((address) => `${address}/p2p/${issuer.node}`))
    const message = Buffer.from('hello')
    const holder = nodeIdOf(Buffer.from(read.invite.key, 'hex'))
    expect(verifySignature(holder, message, read.prove(message))).toBe(true)
  })

  it('[JO1] any name, role, span and addresses survive', () => {
    const address = fc.oneof(
      fc.tuple(fc.ipV4(), fc.nat(65_535)).map(([ip, port]) => `/ip4/${ip}/tcp/${port}`),
      fc.tuple(fc.ipV6(), fc.nat(65_535)).map(([ip, port]) => `/ip6/${ip}/tcp/${port}`),
      fc
        .domain()
        .map((name) => `/dns4/${name}/tcp/1`)
        .filter((text) => text.length < 256),
      fc.constantFrom('/ip4/1.2.3.4/udp/9/quic-v1', '/ip4/300.2.3.4/tcp/1', '/ip4/1.2.3.4/tcp/70000'),
    )
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }).filter(isName),
        fc.constantFrom(...ROLES),
        fc.integer({ min: 1, max: INVITE_MS_MAX }),
        fc.uniqueArray(address, { minLength: 1, maxLength: 9 }),
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        (clusterName, role, ms, addresses, seed) => {
          const wish = { ...WISH, clusterName, role, expiresAt: NOW + ms, addresses }
          const created = createInvite(issuer, wish, seed)
          const read = readInvite(created.token, NOW)
          expect(read).toMatchObject({ ok: true, invite: created.invite })
          expect(created.invite.addresses).toHaveLength(Math.min(6, addresses.length))
        },
      ),
      { numRuns: 300 },
    )
  })

  it('[JO1] its bytes are those of the protocol', () => {
    expect(createHash('sha256').update(token).digest('hex')).toBe(
      '76f9e579406d6bf76d7c2a3bddebc3548057ade3545ce6b6f87546340746adba',
    )
    expect(token).toMatch(/^orch1-[0-9a-hjkmnp-tv-z]{300,400}$/)
  })

  it('[JO1] white space, line breaks, hyphens, capitals and look-alikes do not matter', () => {
    const pasted = [
      token.toUpperCase(),
      ` ${token.slice(0, 80)}\r\n   ${token.slice(80)}\n`,
      token.replace(/(.{6})(.{8})(.{8})/, '$1$2-$3'),
      token.slice(0, 6) + token.slice(6).replaceAll('0', 'o').replaceAll('1', 'l'),
    ]
    for (const text of pasted) expect(readInvite(text, NOW).ok).toBe(true)
  })

  it('[JO2] every changed character is noticed', () => {
    for (let i = 6; i < token.length; i++) {
      for (const char of CHARS) {
        if (char === token[i]) continue
        expect(readInvite(token.slice(0, i) + char + token.slice(i + 1), NOW).ok).toBe(false)
      }
    }
  })

  it('[JO2] every flipped bit is noticed, also where the checksum was made to fit', () => {
    const bytes = bytesOf(token)
    for (let i = 0; i < bytes.length - 4; i++) {
      for (let bit = 0; bit < 8; bit++) {
        const altered = Buffer.from(bytes)
        altered[i]! ^= 1 << bit
        expect(readInvite(textOf(altered), NOW).ok).toBe(false)
        expect(readInvite(forge(altered), NOW).ok).toBe(false)
      }
    }
  })

  it('[JO2] a raised role does not fit the signature', () => {
    const bytes = bytesOf(token)
    const roleAt = 2 + 16 + 32 + 32 + 8
    expect(bytes[roleAt]).toBe(ROLES.indexOf('worker'))
    bytes[roleAt] = ROLES.indexOf('admin')
    expect(problemOf(forge(bytes))).toContain('not signed by the node that it names')
  })

  it('[JO2] a cut one is refused and says so, wherever it was cut', () => {
    for (let length = 0; length < token.length; length++) {
      const problem = problemOf(token.slice(0, length))
      expect(problem).toMatch(
        length < 6 ? /ORCH_INVITE_INVALID this is no invitation/ : /ORCH_INVITE_INVALID .*is cut/,
      )
    }
    expect(problemOf(`${token}00`)).toContain('more at its end')
  })

  it('[JO2] another version, another text, and a strange character are named', () => {
    expect(problemOf(token.replace('orch1', 'orch2'))).toContain(
      'another version (2; this orch-node reads 1)',
    )
    expect(problemOf('/ip4/10.0.0.1/tcp/7946')).toContain('no invitation')
    expect(problemOf('')).toContain('no invitation')
    expect(problemOf(`orch1-${'0'.repeat(100_000)}`)).toContain('no invitation')
    expect(problemOf(`${token.slice(0, 50)}é${token.slice(51)}`)).toContain('never occurs')
  })

  it('[JO3] an expired one is refused after the tolerance, and a far clock is named', () => {
    expect(readInvite(token, WISH.expiresAt + CLOCK_TOLERANCE_MS).ok).toBe(true)
    expect(problemOf(token, WISH.expiresAt + CLOCK_TOLERANCE_MS + 1)).toMatch(
      /^ORCH_INVITE_EXPIRED the invitation expired at .*; the clock of this machine says [-0-9T:.]+Z$/,
    )
    expect(problemOf(token, NOW + YEAR)).toMatch(/^ORCH_INVITE_EXPIRED .* may be wrong$/)
  })

  it('[JO3] one that is not valid yet is refused, with both times', () => {
    expect(readInvite(token, NOW - CLOCK_TOLERANCE_MS).ok).toBe(true)
    expect(problemOf(token, NOW - YEAR)).toMatch(
      /^ORCH_INVITE_INVALID .*not valid yet: .*2027-01-15.*2026-01-15.*clocks is wrong$/,
    )
  })

  it('[JO4] neither what was read nor a problem shows the secret', () => {
    const read = readInvite(token, NOW)
    const shown = inspect(read, { depth: 9, showHidden: true }) + JSON.stringify(read)
    expect(shown).not.toContain(SEED.toString('hex'))
    expect(shown).not.toContain(token.slice(30, 60))
    for (let i = 6; i < token.length; i += 5) {
      const altered = token.slice(0, i) + (token[i] === '0' ? '1' : '0') + token.slice(i + 1)
      expect(problemOf(altered)).not.toContain(token.slice(i + 1, i + 9))
    }
    expect(inspect(createInvite(issuer, WISH, SEED).invite)).not.toContain(SEED.toString('hex'))
  })

  it('[JO5] is not made without an address, for too long, or with a name that plays with the terminal', () => {
    const make = (change: Partial<Invite>) => () => createInvite(issuer, { ...WISH, ...change }, SEED)
    expect(make({ addresses: [] })).toThrow('listens on no address')
    expect(make({ expiresAt: NOW })).toThrow('lives up to 30 days')
    expect(make({ expiresAt: NOW + INVITE_MS_MAX + 1 })).toThrow('lives up to 30 days')
    for (const clusterName of ['', ' ', 'a\u001b[2J', 'a\u202eb', 'x'.repeat(65), 'a\nb', 'a\u2028'])
      expect(make({ clusterName })).toThrow('printable')
    expect(make({ addresses: [`/dns4/${'x'.repeat(300)}`] })).toThrow('up to 255 bytes')
  })

  it('[JO5] addresses of the machine itself are known as such', () => {
    expect(isLoopbackOnly(['/ip4/127.0.0.1/tcp/1', '/ip6/::1/tcp/1', '/dns4/localhost/tcp/1/p2p/x'])).toBe(
      true,
    )
    expect(isLoopbackOnly(['/ip4/127.0.0.1/tcp/1', '/ip4/10.0.0.1/tcp/1'])).toBe(false)
    expect(isLoopbackOnly(['/ip6/::12/tcp/1'])).toBe(false)
  })

  it('[JO2] 10,000 damaged texts and bytes never throw and never pass', () => {
    const bytes = bytesOf(token)
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 }),
        fc.nat(bytes.length),
        fc.boolean(),
        (changes, cut, fits) => {
          const altered = Buffer.from(bytes.subarray(0, bytes.length - (cut % 3 === 0 ? cut : 0)))
          for (const [at, value] of changes) if (at < altered.length) altered[at] = value
          if (fits && altered.length >= 2) altered.writeUInt16BE(altered.length)
          const text = fits ? forge(altered) : textOf(altered)
          expect(readInvite(text, NOW).ok).toBe(text === token)
        },
      ),
      { numRuns: 10_000 },
    )
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 600 }), (text) => {
        expect(readInvite(text, NOW).ok).toBe(false)
        expect(readInvite(`orch1-${text}`, NOW).ok).toBe(false)
      }),
      { numRuns: 2_000 },
    )
    expect(readInvite(textOf(randomBytes(400)), NOW).ok).toBe(false)
  })
})

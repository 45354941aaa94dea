/** Identity of a node: known answers of the specifications behind it, and a key file that is made once and never trusted blindly. */
import { execFileSync } from 'node:child_process'
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { decodeBase58, encodeBase58 } from '../../src/net/base58.ts'
import {
  createIncarnation,
  identityFromSeed,
  nodeIdOf,
  openIdentity,
  readNodeId,
  verifySignature,
} from '../../src/net/identity.ts'

function useDir(): string {
  const dir = mkdtempSync(join(tmpdir(), 'orch-node-test-'))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

const hex = (text: string) => Uint8Array.from(Buffer.from(text, 'hex'))

describe('base58', () => {
  it('gives the test vectors of the base58 draft and of bitcoin', () => {
    const vectors: [string, string][] = [
      [Buffer.from('Hello World!').toString('hex'), '2NEpo7TZRRrLZSi2U'],
      [
        Buffer.from('The quick brown fox jumps over the lazy dog.').toString('hex'),
        'USm3fpXnKG5EUBx2ndxBDMPVciP5hGey2Jh4NDv6gmeo1LkMeiKrLJUUBk6Z',
      ],
      ['0000287fb4cd', '11233QC4'],
      ['', ''],
      ['00', '1'],
      ['00000000000000000000', '1111111111'],
      ['61', '2g'],
      ['516b6fcd0f', 'ABnLTmg'],
    ]
    for (const [bytes, text] of vectors) {
      expect(encodeBase58(hex(bytes))).toBe(text)
      expect(decodeBase58(text)).toEqual(hex(bytes))
    }
    for (const text of ['0', 'O', 'I', 'l', 'a b', 'ü']) expect(decodeBase58(text)).toBeUndefined()
  })
})

describe('node id', () => {
  it('[ID1] is the libp2p peer id of the public key', () => {
    // Seed of zeros; RFC 8032 test 1; the Ed25519 key of the peer-ids specification. Ids computed apart from this code.
    const vectors: [seed: string, publicKey: string, node: string][] = [
      [
        '00'.repeat(32),
        '3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29',
        '12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN',
      ],
      [
        '9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60',
        'd75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a',
        '12D3KooWQK1wnefoLrcVHbbnf5tLzbopUd3K3bFAoJpA7YJgL5pV',
      ],
      [
        '7e0830617c4a7de83925dfb2694556b12936c477a0e1feb2e148ec9da60fee7d',
        '1ed1e8fae2c4a144b8be8fd4b47bf3d3b34b871c3cacf6010f0e42d474fce27e',
        '12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq',
      ],
    ]
    for (const [seed, publicKey, node] of vectors) {
      const identity = identityFromSeed(hex(seed))
      expect(identity.publicKey).toEqual(hex(publicKey))
      expect(identity.node).toBe(node)
      expect(readNodeId(node)).toEqual(hex(publicKey))
    }
  })

  it('[ID1] reads back every key, and nothing else', () => {
    for (let i = 0; i < 200; i++) {
      const key = new Uint8Array(randomBytes(32))
      const node = nodeIdOf(key)
      expect(node).toMatch(/^12D3KooW[1-9A-HJ-NP-Za-km-z]{44}$/)
      expect(readNodeId(node)).toEqual(key)
    }
    const good = nodeIdOf(new Uint8Array(32))
    const secp = encodeBase58(Uint8Array.of(0, 0x25, 8, 2, 0x12, 0x21, ...new Uint8Array(33)))
    for (const bad of [
      '',
      good.slice(1),
      `${good}1`,
      good.replace('K', '0'),
      good.replace('12D3', '13D3'),
      secp,
      'QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N',
    ]) {
      expect(readNodeId(bad)).toBeUndefined()
    }
  })
})

describe('signatures', () => {
  it('[ID2] are Ed25519 as in RFC 8032, and checked by the node id alone', () => {
    // Section 7.1, test 3.
    const identity = identityFromSeed(hex('c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7'))
    const message = hex('af82')
    const signature = identity.sign(message)
    expect(Buffer.from(signature).toString('hex')).toBe(
      '6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a',
    )
    expect(verifySignature(identity.node, message, signature)).toBe(true)
  })

  it('[ID2] of other bytes, by another node, changed or malformed are refused, never thrown', () => {
    const [a, b] = [identityFromSeed(randomBytes(32)), identityFromSeed(randomBytes(32))]
    const message = new Uint8Array([1, 2, 3])
    const signature = a.sign(message)
    expect(verifySignature(a.node, message, signature)).toBe(true)
    expect(verifySignature(b.node, message, signature)).toBe(false)
    expect(verifySignature(a.node, new Uint8Array([1, 2, 4]), signature)).toBe(false)
    expect(verifySignature('nobody', message, signature)).toBe(false)
    expect(verifySignature(a.node, message, signature.slice(1))).toBe(false)
    expect(verifySignature(a.node, message, new Uint8Array(64))).toBe(false)
    for (const at of [0, 31, 32, 63]) {
      const changed = signature.slice()
      changed[at]! ^= 1
      expect(verifySignature(a.node, message, changed)).toBe(false)
    }
  })
})

describe('identity.key', () => {
  it('[ID3] is made at the first start, for its owner only, and is the same ever after', () => {
    const dir = join(useDir(), 'data')
    const first = openIdentity(dir)
    expect(readdirSync(dir)).toEqual(['identity.key'])
    expect(statSync(join(dir, 'identity.key')).mode & 0o777).toBe(0o600)
    expect(statSync(dir).mode & 0o777).toBe(0o700)
    expect(readFileSync(join(dir, 'identity.key'), 'utf8')).toMatch(/^-----BEGIN PRIVATE KEY-----\n/)
    const second = openIdentity(dir)
    expect(second.node).toBe(first.node)
    expect(verifySignature(first.node, first.publicKey, second.sign(first.publicKey))).toBe(true)
    expect(openIdentity(useDir()).node).not.toBe(first.node)
  })

  it('[ID3] is one key for all of several processes that start at once', async () => {
    const dir = useDir()
    const script = `import { openIdentity } from ${JSON.stringify(fileURLToPath(new URL('../../src/net/identity.ts', import.meta.url)))}
      import { existsSync } from 'node:fs'
      while (!existsSync(${JSON.stringify(join(dir, 'go'))}));
      console.log(openIdentity(${JSON.stringify(join(dir, 'data'))}).node)`
    const { execFile } = await import('node:child_process')
    const all = Array.from(
      { length: 4 },
      () =>
        new Promise<string>((resolve, reject) => {
          execFile(
            process.execPath,
            ['--import', 'tsx', '--input-type=module', '-e', script],
            (error, stdout) => (error ? reject(error) : resolve(stdout)),
          )
        }),
    )
    writeFileSync(join(dir, 'go'), '')
    expect(new Set(await Promise.all(all)).size).toBe(1)
    expect(readdirSync(join(dir, 'data'))).toEqual(['identity.key'])
  })

  it('[ID4] is refused when others may read it, with the command that mends it', () => {
    for (const mode of [0o644, 0o640, 0o604, 0o620]) {
      const dir = useDir()
      openIdentity(dir)
      const path = join(dir, 'identity.key')
      chmodSync(path, mode)
      expect(() => openIdentity(dir)).toThrow(
        expect.objectContaining({
          code: 'ORCH_IDENTITY',
          message: expect.stringContaining(`0${mode.toString(8)}`),
          hint: expect.stringContaining(`chmod 600 ${path}`),
        }),
      )
      chmodSync(path, 0o600)
      openIdentity(dir)
    }
  })

  it('[ID4] is refused when it holds no Ed25519 key, and never replaced', () => {
    const rsa = generateKeyPairSync('rsa', { modulusLength: 1_024 }).privateKey.export({
      format: 'pem',
      type: 'pkcs8',
    })
    const x25519 = generateKeyPairSync('x25519').privateKey.export({ format: 'pem', type: 'pkcs8' })
    const publicOnly = generateKeyPairSync('ed25519').publicKey.export({ format: 'pem', type: 'spki' })
    const locked = generateKeyPairSync('ed25519').privateKey.export({
      format: 'pem',
      type: 'pkcs8',
      cipher: 'aes-256-cbc',
      passphrase: 'x',
    })
    for (const content of ['', 'hello', rsa, x25519, publicOnly, locked, 'x'.repeat(10_000)]) {
      const dir = useDir()
      const path = join(dir, 'identity.key')
      writeFileSync(path, content, { mode: 0o600 })
      expect(() => openIdentity(dir)).toThrow(
        expect.objectContaining({ code: 'ORCH_IDENTITY', message: expect.stringContaining(path) }),
      )
      expect(readFileSync(path, 'utf8')).toBe(content)
    }
  })

  it('[ID4] a place where it cannot be read or made is named', () => {
    const dir = useDir()
    mkdirSync(join(dir, 'identity.key'), { mode: 0o700 })
    expect(() => openIdentity(dir)).toThrow(
      expect.objectContaining({ code: 'ORCH_DATA_DIR', message: expect.stringContaining('identity.key') }),
    )
    writeFileSync(join(dir, 'file'), '')
    expect(() => openIdentity(join(dir, 'file'))).toThrow(expect.objectContaining({ code: 'ORCH_DATA_DIR' }))
    expect(existsSync(join(dir, 'file'))).toBe(true)
  })

  it.skipIf(!hasOpenssl())('[ID3] is readable by openssl', () => {
    const dir = useDir()
    const { publicKey } = openIdentity(dir)
    const der = execFileSync('openssl', [
      'pkey',
      '-in',
      join(dir, 'identity.key'),
      '-pubout',
      '-outform',
      'DER',
    ])
    expect(new Uint8Array(der.subarray(-32))).toEqual(publicKey)
  })
})

function hasOpenssl(): boolean {
  try {
    return execFileSync('openssl', ['version'], { encoding: 'utf8' }).startsWith('OpenSSL')
  } catch {
    return false
  }
}

describe('incarnation', () => {
  it('[ID5] is a ULID: time first, then randomness', () => {
    const zero = () => new Uint8Array(10)
    const full = () => new Uint8Array(10).fill(255)
    expect(createIncarnation(0, zero)).toBe('0'.repeat(26))
    expect(createIncarnation(2 ** 48 - 1, full)).toBe(`7${'Z'.repeat(25)}`)
    // The example of the ULID specification.
    expect(createIncarnation(1_469_918_176_385, zero).slice(0, 10)).toBe('01ARYZ6S41')
    expect(createIncarnation(0, () => Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 33)).slice(10)).toBe(
      '0000000000000011',
    )
  })

  it('[ID5] sorts by start time and does not repeat', () => {
    const times = [0, 1, 31, 32, 1_000, 1_732_156_800_000, 1_732_156_800_001, 2 ** 48 - 1]
    const made = times.map((time) => createIncarnation(time, randomBytes))
    expect(made.toSorted()).toEqual(made)
    expect(new Set(Array.from({ length: 1_000 }, () => createIncarnation(5, randomBytes))).size).toBe(1_000)
    for (const incarnation of made) expect(incarnation).toMatch(/^[0-9A-HJKMNP-TV-Z]{26}$/)
  })
})

/** The codec of frames: golden bytes of LAYOUT.md, one spelling only, and that nothing a stranger sends throws. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { DOC_BYTES_MAX, FRAME_BYTES_MAX, FRAME_FACTS_MAX } from '../../src/core/limit.ts'
import { createPrng } from '../../src/core/prng.ts'
import { identityFromSeed, verifySignature } from '../../src/net/identity.ts'
import { createFrame, type Frame, hashFrame, isSigned, NO_HASH, readFrame } from '../../src/store/frame.ts'
import { createItems, createUpdate } from '../../src/store/update.ts'
import { CLUSTER, fakeVerify, Scribe } from './board.ts'
import { mutate } from './mutate.ts'

function again(frame: Frame): Uint8Array {
  const signature = frame.bytes.subarray(-64)
  return createFrame(frame, frame.body, { node: frame.node, sign: () => signature }).bytes
}

function problemOf(bytes: Uint8Array): string {
  const reading = readFrame(bytes)
  return reading.ok ? 'none' : reading.problem
}

describe('frames', () => {
  it('[FR1] a frame has the golden bytes of LAYOUT.md', () => {
    const layout = readFileSync(new URL('../../src/store/LAYOUT.md', import.meta.url), 'utf8')
    const golden = /```frame\n([\s\S]*?)```/.exec(layout)?.[1]?.replace(/\s/g, '')
    const identity = identityFromSeed(new Uint8Array(32).fill(7))
    const by = { node: identity.node, incarnation: '01JD4ZQ3N8C5V0K7R2M9X4T6WB' }
    const items = createItems(
      [
        { doc: 'demo-7f2a', collection: 'specs', key: 'math', body: { kind: 'shell', run: 'npm test' } },
        { doc: 'demo-7f2a', collection: 'claims', key: 'math/1/1', body: {} },
      ],
      by,
    )
    const frame = createFrame(
      {
        cluster: CLUSTER,
        doc: 'demo-7f2a',
        ...by,
        n: 1,
        prev: NO_HASH,
        commits: [{ n: 3, at: 1_732_156_800_250, facts: 2 }],
      },
      createUpdate(items, by, 0),
      identity,
    )
    expect(Buffer.from(frame.bytes).toString('hex')).toBe(golden)
    const reading = readFrame(frame.bytes)
    expect(reading.ok && reading.frame).toEqual(frame)
    expect(isSigned(frame, verifySignature)).toBe(true)
    expect(hashFrame(frame.bytes)).toBe('163c16d85aed40238e26ec2169d1466a77e2ae53c10f6b9002769609565b7dd1')
  })

  it('[FR1] whatever decodes encodes to the same bytes', () => {
    const prng = createPrng(5)
    const scribe = new Scribe()
    for (const key of ['a/1', 'b/1', 'ключ/1']) scribe.write(key)
    let read = 0
    for (let i = 0; i < 20_000; i++) {
      const bytes = mutate(scribe.frames[i % 3]!.bytes, prng)
      const reading = readFrame(bytes)
      if (!reading.ok) continue
      read++
      expect(Buffer.compare(again(reading.frame), bytes)).toBe(0)
    }
    expect(read).toBeGreaterThan(1_000)
  })

  it('[FR2] a signature covers every byte before it and the name of the purpose', () => {
    const { bytes } = new Scribe().write('a/1')
    for (let i = 0; i < bytes.length; i++) {
      const changed = bytes.slice()
      changed[i]! ^= 1
      const reading = readFrame(changed)
      if (reading.ok) expect(isSigned(reading.frame, fakeVerify)).toBe(false)
    }
    const seen: string[] = []
    createFrame(new Scribe().draft('a/1'), new Uint8Array(1), {
      node: 'node-a',
      sign: (signed) => {
        seen.push(Buffer.from(signed).toString('latin1', 0, 13))
        return new Uint8Array(64)
      },
    })
    expect(seen).toEqual(['orch/frame/1\n'])
  })

  it('[FR3] every cut of a frame, and every byte behind it, is refused as a value', () => {
    const { bytes } = new Scribe().write('a/1')
    for (let end = 0; end < bytes.length; end++) expect(problemOf(bytes.subarray(0, end))).not.toBe('none')
    expect(problemOf(Buffer.concat([bytes, Buffer.of(0)]))).not.toBe('none')
  })

  const scribe = new Scribe({ node: 'node-a', incarnation: '01JD4ZQ3N8C5V0K7R2M9X4T6WB' })
  const sound = scribe.draft('a/1')
  const bad: [string, Uint8Array][] = [
    ['number 0', scribe.draft('a/1', { n: 0 }).bytes],
    ['a number above 32 bits', scribe.draft('a/1', { n: 2 ** 32, prev: 'ab'.repeat(32) }).bytes],
    ['a number beyond the integers', replaceAt(sound, 'n', '80808080808080808001')],
    ['a number spelled too long', replaceAt(sound, 'n', '8100')],
    ['a first frame with a previous hash', scribe.draft('a/1', { prev: 'ab'.repeat(32) }).bytes],
    ['a second frame without one', scribe.draft('a/1', { n: 2 }).bytes],
    ['no document', scribe.draft('a/1', { doc: '' }).bytes],
    ['a long document', scribe.draft('a/1', { doc: 'x'.repeat(DOC_BYTES_MAX + 1) }).bytes],
    ['a node with a slash', scribe.draft('a/1', { node: 'a/b' }).bytes],
    ['an incarnation in small letters', scribe.draft('a/1', { incarnation: 'a'.repeat(26) }).bytes],
    ['no commit', scribe.draft('a/1', { commits: [] }).bytes],
    ['commit 0', scribe.draft('a/1', { commits: [{ n: 0, at: 1, facts: 1 }] }).bytes],
    ['a commit without facts', scribe.draft('a/1', { commits: [{ n: 1, at: 1, facts: 0 }] }).bytes],
    [
      'commits that do not rise',
      scribe.draft('a/1', { commits: [2, 2].map((n) => ({ n, at: 1, facts: 1 })) }).bytes,
    ],
    [
      'too many facts',
      scribe.draft('a/1', { commits: [1, 2].map((n) => ({ n, at: 1, facts: FRAME_FACTS_MAX })) }).bytes,
    ],
    ['more bytes than a frame has', new Uint8Array(FRAME_BYTES_MAX + 1)],
    ['version 0', replaceAt(sound, 'version', '00')],
    [
      'a document that is no UTF-8',
      Buffer.from(hex(sound).replace(`05${utf8Hex('run-1')}`, '05ff756e2d31'), 'hex'),
    ],
  ]
  it.each(bad)('[FR3] %s is refused', (_, bytes) => {
    expect(problemOf(bytes)).not.toBe('none')
  })

  it('[FR4] a frame of a later protocol is nobody’s fault', () => {
    const reading = readFrame(replaceAt(sound, 'version', '02'))
    expect(reading).toMatchObject({ ok: false, newer: true })
  })
})

function hex({ bytes }: Frame): string {
  return Buffer.from(bytes).toString('hex')
}

function utf8Hex(text: string): string {
  return Buffer.from(text).toString('hex')
}

/** The frame with other bytes for its version, or for its number 1. */
function replaceAt(frame: Frame, what: 'version' | 'n', bytes: string): Uint8Array {
  const text = hex(frame)
  const at = what === 'version' ? 0 : text.indexOf(utf8Hex(frame.incarnation)) + 52
  return Buffer.from(text.slice(0, at) + bytes + text.slice(at + 2), 'hex')
}

/** Goal: messages survive any cut of the byte stream, and oversize ones do not. Method: property over random messages and cuts. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createFrameReader, encodeFrame } from '../../src/api/frame.ts'

describe('frames', () => {
  it('[AP4] messages arrive whole and in order, however the bytes are cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.jsonValue(), { maxLength: 8 }),
        fc.array(fc.nat(40), { minLength: 1, maxLength: 30 }),
        (messages, cuts) => {
          const bytes = Buffer.concat(messages.map((message) => encodeFrame(message)))
          const found: unknown[] = []
          const read = createFrameReader(1_000_000, (message) => found.push(message))
          for (let at = 0, k = 0; at < bytes.length; k++) {
            const end = at + 1 + cuts[k % cuts.length]!
            read(bytes.subarray(at, end))
            at = end
          }
          expect(found).toEqual(messages.map((message) => JSON.parse(JSON.stringify(message))))
        },
      ),
      { numRuns: 300 },
    )
  })

  it('[AP9] a frame above the bound is refused by its head alone, on both sides', () => {
    const read = createFrameReader(100, () => expect.unreachable())
    const head = Buffer.alloc(4)
    head.writeUInt32BE(101)
    expect(() => read(head)).toThrow(/larger than the 100/)
    expect(() => encodeFrame('x'.repeat(99), 100)).toThrow(/larger than the 100/)
    expect(encodeFrame('x'.repeat(98), 100).length).toBe(104)
  })

  it('[AP2] what is no JSON is refused', () => {
    const read = createFrameReader(100, () => expect.unreachable())
    expect(() => read(Buffer.from([0, 0, 0, 1, 0x7b]))).toThrow(/not JSON/)
  })
})

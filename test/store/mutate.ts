/** Seeded damage: the kinds of change that a broken or hostile sender makes. */
import type { Prng } from '../../src/core/prng.ts'

export function mutate(source: Uint8Array, prng: Prng): Uint8Array {
  const below = (count: number): number => Math.floor(prng.next() * count)
  let bytes = Buffer.from(source)
  const rounds = 1 + below(3)
  for (let round = 0; round < rounds; round++) {
    const at = below(bytes.length + 1)
    const to = Math.min(bytes.length, at + 1 + below(40))
    switch (below(7)) {
      case 0:
        if (at < bytes.length) bytes[at]! ^= 1 << below(8)
        break
      case 1:
        if (at < bytes.length) bytes[at] = below(256)
        break
      case 2:
        bytes = bytes.subarray(0, at)
        break
      case 3:
        bytes = Buffer.concat([bytes.subarray(0, at), Buffer.of(below(256)), bytes.subarray(at)])
        break
      case 4:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(to)])
        break
      case 5:
        bytes = Buffer.concat([bytes.subarray(0, to), bytes.subarray(at)])
        break
      default:
        // A number that declares far more than there is.
        bytes = Buffer.concat([
          bytes.subarray(0, at),
          Buffer.from(['ff7f', 'ffffffff0f', 'ffffffffffffff0f', '8080808080808080'][below(4)]!, 'hex'),
          bytes.subarray(to),
        ])
    }
    if (bytes.length === 0) break
  }
  return new Uint8Array(bytes)
}

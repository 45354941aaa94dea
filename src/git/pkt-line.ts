/** Packets of git's wire protocol: four hex digits of length, then the content. `gitprotocol-common(5)`, `gitprotocol-v2(5)`. */
import { OrchError } from '../core/error.ts'

/** A packet with its digits. */
const PACKET_BYTES_MAX = 65_520

export type Packet = Buffer | 'flush' | 'delim' | 'end'

export function packet(text: string): Buffer {
  return Buffer.from(`${(Buffer.byteLength(text) + 4).toString(16).padStart(4, '0')}${text}`)
}

export const FLUSH = Buffer.from('0000')
export const DELIM = Buffer.from('0001')

/**
 * Cuts a stream into packets; its end between two packets ends the iteration.
 *
 * @throws ORCH_PEER_GONE when it ends inside of one, ORCH_PROTOCOL when it is something else
 */
export async function* readPackets(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Packet, void> {
  let held: Uint8Array[] = []
  let bytes = 0
  let need = 4
  for await (const piece of pieces) {
    held.push(piece)
    bytes += piece.length
    if (bytes < need) continue
    const data = Buffer.concat(held)
    let at = 0
    for (;;) {
      need = 4
      if (data.length - at < 4) break
      const digits = data.toString('latin1', at, at + 4)
      const length = /^[0-9a-f]{4}$/i.test(digits) ? Number.parseInt(digits, 16) : -1
      if (length < 0 || length === 3 || length > PACKET_BYTES_MAX) throw notGit(data.subarray(at))
      if (length < 4) {
        at += 4
        yield length === 0 ? 'flush' : length === 1 ? 'delim' : 'end'
        continue
      }
      need = length
      if (data.length - at < length) break
      yield data.subarray(at + 4, at + length)
      at += length
    }
    held = at < data.length ? [data.subarray(at)] : []
    bytes = data.length - at
  }
  if (bytes > 0) throw new OrchError('ORCH_PEER_GONE', 'the peer stopped in the middle of a packet')
}

function notGit(bytes: Buffer): OrchError {
  const start = JSON.stringify(bytes.toString('latin1', 0, 20))
  return new OrchError('ORCH_PROTOCOL', `the peer does not speak git's protocol: ${start}`)
}

/** Frames of the local socket: four bytes of length (big endian), then so many bytes of JSON. */
import { OrchError } from '../core/error.ts'

const HEAD = 4

export function encodeFrame(message: unknown, bytesMax?: number): Buffer {
  return frameOf(JSON.stringify(message), bytesMax)
}

/** The same for a message that is JSON already. */
export function frameOf(json: string, bytesMax = Number.MAX_SAFE_INTEGER): Buffer {
  const bytes = Buffer.byteLength(json)
  if (bytes > bytesMax) throw tooLarge(bytes, bytesMax)
  const frame = Buffer.allocUnsafe(HEAD + bytes)
  frame.writeUInt32BE(bytes, 0)
  frame.write(json, HEAD)
  return frame
}

/** What the other side's reader will count for a frame. */
export function bytesIn(frame: Buffer): number {
  return frame.length - HEAD
}

function tooLarge(bytes: number, bytesMax: number): OrchError {
  return new OrchError(
    'ORCH_USAGE',
    `a message of ${bytes} bytes is larger than the ${bytesMax} that are taken`,
    {
      context: { bytes, bytesMax },
      hint: 'ask for less at once, or split the plan into several runs',
    },
  )
}

/**
 * Cuts a byte stream into messages. Holds at most one unfinished frame.
 *
 * @param bytesMax a longer frame throws ORCH_USAGE; the stream cannot be read further
 */
export function createFrameReader(
  bytesMax: number,
  onMessage: (message: unknown, bytes: number) => void,
): (chunk: Buffer) => void {
  let held: Buffer[] = []
  let bytes = 0
  let wanted = HEAD

  return (chunk) => {
    held.push(chunk)
    bytes += chunk.length
    if (bytes < wanted) return
    let buffer = held.length === 1 ? chunk : Buffer.concat(held, bytes)
    let at = 0
    for (;;) {
      if (buffer.length - at < HEAD) {
        wanted = HEAD
        break
      }
      const length = buffer.readUInt32BE(at)
      if (length > bytesMax) throw tooLarge(length, bytesMax)
      if (buffer.length - at < HEAD + length) {
        wanted = HEAD + length
        break
      }
      const start = at + HEAD
      at = start + length
      onMessage(parse(buffer.toString('utf8', start, at)), length)
    }
    buffer = at === 0 ? buffer : buffer.subarray(at)
    held = buffer.length > 0 ? [buffer] : []
    bytes = buffer.length
  }
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch (cause) {
    throw new OrchError('ORCH_USAGE', 'a message is not JSON', {
      cause,
      hint: 'is the other side orch-node, of this version?',
    })
  }
}

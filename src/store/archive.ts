/**
 * A document of the board as one stream of bytes, for the archive of a finished run: every frame as it was signed, so that it can be put back and checked like any other.
 *
 *     archive = "orch-node archive 1\n", records, end      record = kind (1 frame, 2 proof, 0 end), length u32, CRC-32C u32, content
 */
import { OrchError } from '../core/error.ts'
import type { Batch } from '../core/fact.ts'
import type { DocId } from '../core/id.ts'
import { FRAME_BYTES_MAX, PEER_MESSAGE_BYTES_MAX } from '../core/limit.ts'
import { crc32c } from './crc32c.ts'
import { type ChainId, readFrame } from './frame.ts'
import { readBatches } from './guard.ts'
import type { FrameReplica } from './replica.ts'
import type { FrameVerdict } from './verdict.ts'

const MAGIC = 'orch-node archive 1\n'
const HEAD_BYTES = 9
const CONTENT_BYTES_MAX = 2 * FRAME_BYTES_MAX + 4
const END = 0
const FRAME = 1
const PROOF = 2

/** All that is known of a document at the time of the call. */
export async function* bundleDoc(replica: FrameReplica, doc: DocId): AsyncGenerator<Uint8Array> {
  const digest = replica.docs().find((extent) => extent.doc === doc)?.digest ?? ''
  const heads = replica.heads(doc)
  const proofs = replica.proofs().filter(([bytes]) => docOf(bytes) === doc)
  yield Buffer.from(MAGIC)
  for (const head of heads)
    for await (const frame of replica.range(head, 1, head.n)) yield record(FRAME, frame)
  for (const [a, b] of proofs) {
    const length = Buffer.alloc(4)
    length.writeUInt32BE(a.length)
    yield record(PROOF, Buffer.concat([length, a, b]))
  }
  yield record(END, Buffer.from(digest))
}

/**
 * Puts the frames of an archive back; those that are there are left as they are. The document must be wanted.
 *
 * @returns how many frames it holds
 * @throws ORCH_STORE_CORRUPT it is damaged or cut off, or a frame of it is refused; what came before it is kept
 */
export async function restoreDoc(replica: FrameReplica, source: AsyncIterable<Uint8Array>): Promise<number> {
  let count = 0
  let chain: ChainId | undefined
  let piece: Uint8Array[] = []
  let bytes = 0
  const flush = async (): Promise<void> => {
    if (chain && piece.length > 0) check(await replica.ingestRange(chain, piece))
    count += piece.length
    piece = []
    bytes = 0
  }
  for await (const { kind, content } of records(source)) {
    if (kind === PROOF) {
      await flush()
      const split = 4 + content.readUInt32BE(0)
      if (!(await replica.ingestProof([content.subarray(4, split), content.subarray(split)])))
        throw damaged('a proof proves nothing')
      continue
    }
    const reading = readFrame(content)
    if (!reading.ok) throw damaged(`a frame ${reading.problem}`)
    const { doc, node, incarnation } = reading.frame
    const isSame = chain?.node === node && chain.incarnation === incarnation && chain.doc === doc
    if (!isSame || bytes + content.length > PEER_MESSAGE_BYTES_MAX) await flush()
    chain = { doc, node, incarnation }
    piece.push(content)
    bytes += content.length
  }
  await flush()
  return count
}

/**
 * What an archive says: commits by their chains, in order. Frames are read as they are; that each was signed was checked when it came to the board.
 *
 * @throws ORCH_STORE_CORRUPT it is damaged or cut off
 */
export async function* readArchive(source: AsyncIterable<Uint8Array>): AsyncGenerator<Batch> {
  for await (const { kind, content } of records(source)) {
    if (kind !== FRAME) continue
    const reading = readFrame(content)
    if (!reading.ok) throw damaged(`a frame ${reading.problem}`)
    yield* readBatches(reading.frame)
  }
}

function check(verdict: FrameVerdict): void {
  if (verdict.type === 'taken' || verdict.type === 'known') return
  throw damaged('reason' in verdict ? `a frame ${verdict.reason}` : 'frames are missing')
}

function record(kind: number, content: Uint8Array): Uint8Array {
  const head = Buffer.alloc(HEAD_BYTES)
  head[0] = kind
  head.writeUInt32BE(content.length, 1)
  head.writeUInt32BE(crc32c(content), 5)
  return Buffer.concat([head, content])
}

/** Records up to the end, which must be there. */
async function* records(
  source: AsyncIterable<Uint8Array>,
): AsyncGenerator<{ readonly kind: number; readonly content: Buffer }> {
  let rest = Buffer.alloc(0)
  let isOpen = false
  for await (const bytes of source) {
    rest = Buffer.concat([rest, bytes])
    let at = 0
    if (!isOpen) {
      if (rest.length < MAGIC.length) continue
      if (rest.toString('latin1', 0, MAGIC.length) !== MAGIC) throw damaged('it does not begin as one')
      isOpen = true
      at = MAGIC.length
    }
    while (rest.length - at >= HEAD_BYTES) {
      const kind = rest[at]!
      const length = rest.readUInt32BE(at + 1)
      if (kind > PROOF || length > CONTENT_BYTES_MAX)
        throw damaged(`a record of kind ${kind} and ${length} bytes`)
      const start = at + HEAD_BYTES
      if (rest.length - start < length) break
      const content = Buffer.from(rest.subarray(start, start + length))
      if (crc32c(content) !== rest.readUInt32BE(at + 5)) throw damaged('a checksum is wrong')
      if (kind === END) return
      yield { kind, content }
      at = start + length
    }
    rest = rest.subarray(at)
  }
  throw damaged('it is cut off')
}

function docOf(bytes: Uint8Array): DocId | undefined {
  const reading = readFrame(bytes)
  return reading.ok ? reading.frame.doc : undefined
}

function damaged(why: string): OrchError {
  return new OrchError('ORCH_STORE_CORRUPT', `the archive is damaged: ${why}`, {
    hint: 'another member of the cluster has an archive of the same run',
  })
}

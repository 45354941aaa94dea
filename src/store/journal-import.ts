/**
 * From one machine to a cluster: the commits of a journal become frames of the same incarnations, numbers and times, signed by this node. Ed25519 and the encoding are
 * deterministic, so a second run makes the same frames: after a crash in the middle it is simply done again. The journal stays as it is.
 */
import { assert, OrchError } from '../core/error.ts'
import type { Batch, Fact } from '../core/fact.ts'
import { type Author, authorKey, type DocId } from '../core/id.ts'
import { DOC_BYTES_MAX, JOURNAL_READ_BYTES } from '../core/limit.ts'
import { Malformed } from './byte-reader.ts'
import { idOf, loadChains, type ReplicaReport } from './chain.ts'
import { ChainWriter, type SealedFrame } from './chain-writer.ts'
import { type ChainId, factsOf, isFrameAuthor, type Signer } from './frame.ts'
import type { DiskChange, FrameDisk } from './frame-disk.ts'
import { createItems, isWellFormed } from './update.ts'

export interface JournalImportOptions {
  readonly disk: FrameDisk
  readonly cluster: string
  readonly signer: Signer
  /** `facts()` of a file store: every author is an incarnation of the signer's node. */
  readonly batches: AsyncIterable<Batch>
  readonly onReport?: (report: ReplicaReport) => void
}

export interface JournalImport {
  /** Frames of the journal, and how many of them were not on the disk yet. */
  readonly frames: number
  readonly written: number
  readonly facts: number
  /** Facts that no board takes (malformed key, too large), with the reason; they meant nothing before either. */
  readonly skipped: readonly string[]
}

/** @throws ORCH_STORE_CORRUPT the disk holds other frames of these incarnations; what the disk throws */
export async function importJournal(options: JournalImportOptions): Promise<JournalImport> {
  const { disk, cluster, signer } = options
  const { chains: stored } = await loadChains(disk, cluster, signer.node, options.onReport ?? (() => {}))
  const writers = new Map<string, ChainWriter>()
  const writerOf = (author: Author, doc: DocId): ChainWriter => {
    const key = `${authorKey(author)}/${doc}`
    let writer = writers.get(key)
    if (!writer) {
      writer = new ChainWriter({ author, cluster, doc, signer })
      writers.set(key, writer)
    }
    return writer
  }
  let [frames, written, facts] = [0, 0, 0]
  const skipped: string[] = []
  let changes: DiskChange[] = []
  let bytes = 0
  const flush = async (): Promise<void> => {
    if (changes.length > 0) await disk.write(changes, { sync: true })
    written += changes.length
    changes = []
    bytes = 0
  }
  const take = async (sealed: SealedFrame | undefined): Promise<void> => {
    if (!sealed) return
    const { frame, head } = sealed
    const chain = idOf(frame)
    frames++
    facts += factsOf(frame)
    const known = stored.find(chain)
    if (known && frame.n <= known.n) {
      if (frame.n === known.n && head !== known.head) throw differs(chain)
      return
    }
    changes.push({ type: 'frame', chain, n: frame.n, frame: frame.bytes })
    bytes += frame.bytes.length
    if (bytes > JOURNAL_READ_BYTES) await flush()
  }
  for await (const { author, n, at, facts: list } of options.batches) {
    assert(author.node === signer.node && isFrameAuthor(author), `${authorKey(author)} is of this node`)
    for (const [doc, sound] of byDoc(list, author, skipped))
      for (const items of createItems(sound, author))
        await take(writerOf(author, doc).add(n, Math.max(0, Math.trunc(at)), items))
  }
  for (const writer of writers.values()) await take(writer.end())
  await flush()
  return { frames, written, facts, skipped }
}

/** Facts by document, in order, without those that no board takes. */
function byDoc(facts: readonly Fact[], author: Author, skipped: string[]): Map<DocId, Fact[]> {
  const docs = new Map<DocId, Fact[]>()
  for (const fact of facts) {
    const why = unfit(fact, author)
    if (why !== undefined) {
      skipped.push(why)
      continue
    }
    const list = docs.get(fact.doc)
    if (list) list.push(fact)
    else docs.set(fact.doc, [fact])
  }
  return docs
}

function unfit(fact: Fact, author: Author): string | undefined {
  if (fact.doc === '' || !isWellFormed(fact.doc) || Buffer.byteLength(fact.doc) > DOC_BYTES_MAX)
    return `${JSON.stringify(fact.doc.slice(0, 300))} is no name of a document`
  try {
    createItems([fact], author)
    return undefined
  } catch (error) {
    if (error instanceof Malformed) return error.message
    throw error
  }
}

function differs(chain: ChainId): OrchError {
  return new OrchError(
    'ORCH_STORE_CORRUPT',
    `the board holds other facts of ${authorKey(chain)} in ${chain.doc} than the journal`,
    {
      context: { ...chain },
      hint: 'this data directory was made of two: restore the journal and the board of one backup',
    },
  )
}

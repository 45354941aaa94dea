/**
 * The guard: every attack by hand that Yjs was seen to fall for, as a named case, then seeded damage of frames and of signed updates: nothing throws, nothing that is refused
 * leaves a trace, and what is let in means the same to Yjs. `ORCH_FUZZ=1000000` looks further by hand.
 */
import { describe, expect, it } from 'vitest'
import * as Y from 'yjs'
import type { Fact } from '../../src/core/fact.ts'
import { FACT_BYTES_MAX, FACT_DEPTH_MAX, FACT_KEY_BYTES_MAX } from '../../src/core/limit.ts'
import { createPrng } from '../../src/core/prng.ts'
import { ByteWriter } from '../../src/store/byte-writer.ts'
import { ChainKeys } from '../../src/store/fact-key.ts'
import { type Frame, readFrame } from '../../src/store/frame.ts'
import { guard, readFacts } from '../../src/store/guard.ts'
import { clientOf, createItems, createUpdate } from '../../src/store/update.ts'
import { openBoard, Scribe, view } from './board.ts'
import { author, collect, kv } from './contract.ts'
import { mutate } from './mutate.ts'

const scribe = new Scribe({ node: 'node-a' })
const suffix = `/${scribe.id.node}/${scribe.id.incarnation}`
const client = clientOf(scribe.id)
const victim = clientOf(author('node-v'))

function check(body: Uint8Array, facts = 1, clock = 0): string {
  const verdict = guard(
    scribe.draft('x/1', { body, commits: [{ n: 1, at: 1, facts }] }),
    clock,
    new ChainKeys(),
  )
  return verdict.ok ? 'let in' : verdict.reason
}

/** What Yjs makes of a change of a document, as the client of the author. */
function byYjs(change: (doc: Y.Doc) => void, clientId = client): Uint8Array {
  const doc = new Y.Doc()
  doc.clientID = clientId
  doc.transact(() => change(doc))
  return Y.encodeStateAsUpdate(doc)
}

interface ItemParts {
  info?: number
  root?: string
  key?: string
  value?: Uint8Array
  parent?: number
}

/** An update written byte by byte. */
function byHand(
  items: readonly ItemParts[],
  change: {
    clients?: number
    count?: number
    client?: number
    clock?: number
    deletes?: string
    tail?: string
  } = {},
): Uint8Array {
  const out = new ByteWriter()
  out.varuint(change.clients ?? 1)
  out.varuint(change.count ?? items.length)
  out.varuint(change.client ?? client)
  out.varuint(change.clock ?? 0)
  for (const {
    info = 0x23,
    parent = 1,
    root = 'kv',
    key = `a/1${suffix}`,
    value = Buffer.from('1'),
  } of items) {
    out.byte(info)
    out.varuint(parent)
    out.text(root)
    out.text(key)
    out.varuint(value.length)
    out.raw(value)
  }
  out.raw(Buffer.from(change.deletes ?? '00', 'hex'))
  out.raw(Buffer.from(change.tail ?? '', 'hex'))
  return out.bytes()
}

const value = (text: string): Uint8Array => new Uint8Array(Buffer.from(text))
const set = (doc: Y.Doc, key: string, body: unknown = value('1')) => doc.getMap('kv').set(key + suffix, body)

describe('the guard', () => {
  it('[GD1] lets in what Yjs itself writes for new keys of one client, byte for byte what we write', () => {
    const facts: Fact[] = [
      kv('a/1', { b: [1, 'ü'] }),
      { doc: 'run-1', collection: 'specs', key: 'task-1', body: { kind: 'shell', run: 'true' } },
      kv('ключ/2', null),
    ]
    const yjs = byYjs((doc) => {
      for (const { collection, key, body } of facts)
        doc.getMap(collection).set(key + suffix, value(JSON.stringify(body)))
    })
    const own = createUpdate(createItems(facts, scribe.id), scribe.id, 0)
    expect(Buffer.from(own).toString('hex')).toBe(Buffer.from(yjs).toString('hex'))
    expect(check(yjs, 3)).toBe('let in')
    const frame = scribe.draft('x/1', { body: yjs, commits: [{ n: 1, at: 1, facts: 3 }] })
    expect(readFacts(frame)).toEqual(facts)
  })

  const twice = byYjs((doc) => {
    set(doc, 'a/1')
    set(doc, 'a/1', value('2'))
  })
  const attacks: [string, Uint8Array, (number | undefined)?][] = [
    ['8 bytes that declare 30,000,000 structs', Buffer.from('0180cea70e0100', 'hex')],
    ['as many items as a frame may hold, declared and not there', byHand([{}], { count: 20_000 })],
    ['a collected gap of 2^50 under the client of a victim', byHand([{ info: 0 }], { client: victim })],
    ['a collected gap under the own client', byHand([{ info: 0 }])],
    ['a skipped gap', byHand([{ info: 10 }])],
    ['a delete set for a victim', byYjsDelete(victim)],
    ['a delete set and no item', byHand([], { count: 0, deletes: '0101000a' })],
    ['a delete set over clocks to come', byHand([{}], { deletes: '01ffff030064' })],
    ['an update that skips clocks', byHand([{}], { clock: 7 })],
    ['a far-future clock', byHand([{}], { clock: 2 ** 52 })],
    ['a foreign client', byYjs((doc) => set(doc, 'a/1'), victim)],
    [
      'a merged snapshot of two clients',
      Y.mergeUpdates([byYjs((doc) => set(doc, 'a/1')), byYjs((doc) => set(doc, 'b/1'), victim)]),
      2,
    ],
    ['no client', byHand([], { clients: 0 })],
    ['an overwrite of the own key', twice, 2],
    ['an item with an origin', byHand([{ info: 0xa3 }])],
    ['an item with a right origin', byHand([{ info: 0x63 }])],
    ['an item inside another one', byHand([{ parent: 0 }])],
    ['an item without a key: an array', byYjs((doc) => doc.getArray('kv').insert(0, [value('1')]))],
    ['a nested map', byYjs((doc) => set(doc, 'a/1', new Y.Map()))],
    ['a subdocument', byYjs((doc) => set(doc, 'a/1', new Y.Doc()))],
    ['a plain value instead of bytes', byYjs((doc) => set(doc, 'a/1', { a: 1 }))],
    ['text', byYjs((doc) => doc.getText('kv').insert(0, 'abc'))],
    ['deleted content', byHand([{ info: 0x21 }])],
    [
      'a root that is no collection',
      byYjs((doc) => doc.getMap('no collection').set(`a/1${suffix}`, value('1'))),
    ],
    ['a root named __proto__', byHand([{ root: '__proto__' }])],
    ['a root with a long name', byHand([{ root: 'x'.repeat(33) }])],
    ['the key of another author', byHand([{ key: `a/1/node-v/${scribe.id.incarnation}` }])],
    ['the key of another life of the author', byHand([{ key: `a/1/node-a/${'0'.repeat(26)}` }])],
    ['a key that is only its author', byHand([{ key: suffix }])],
    ['a claim without an epoch', byHand([{ root: 'claims', key: `t/1${suffix}`, value: value('{}') }])],
    ['a claim of epoch 0', byHand([{ root: 'claims', key: `t/1/0${suffix}`, value: value('{}') }])],
    ['a spec whose task climbs out', byHand([{ root: 'specs', key: `../x${suffix}`, value: value('{}') }])],
    ['a key of a megabyte', byHand([{ key: 'x'.repeat(FACT_KEY_BYTES_MAX) + suffix }])],
    ['a key that is no UTF-8', replaced(byHand([{ key: `a\u00fc/1${suffix}` }]), 'c3bc', 'c328')],
    ['one key twice', byHand([{}, {}]), 2],
    ['fewer facts than the header says', byHand([{}]), 2],
    ['more facts than the header says', byHand([{}, { key: `b/1${suffix}` }])],
    ['bytes behind the end', byHand([{}], { tail: '00' })],
    ['a value nested 20,000 deep', byHand([{ value: value('['.repeat(20_000) + ']'.repeat(20_000)) }])],
    [
      'a value one level too deep',
      byHand([{ value: value('['.repeat(FACT_DEPTH_MAX + 1) + ']'.repeat(FACT_DEPTH_MAX + 1)) }]),
    ],
    ['a value that is too long', byHand([{ value: value(`"${'x'.repeat(FACT_BYTES_MAX - 1)}"`) }])],
    ['a value that is no JSON', byHand([{ value: value('{a:1}') }])],
    ['an empty value', byHand([{ value: value('') }])],
    ['a value with blanks', byHand([{ value: value('{"a": 1}') }])],
    ['a value with a key twice', byHand([{ value: value('{"a":1,"a":2}') }])],
    ['a number beyond a double', byHand([{ value: value('1e999') }])],
    ['a value that is no UTF-8', byHand([{ value: Buffer.from('22ff22', 'hex') }])],
    ['a length spelled too long', replaced(byHand([{}]), '026b76', '82006b76')],
    ['nothing at all', new Uint8Array(0)],
  ]
  it.each(attacks)('[GD2] refuses %s', (_, body, facts = 1) => {
    expect(check(body, facts)).not.toBe('let in')
  })

  it('[GD2] refuses 50,000 root names, before they are anywhere', () => {
    const items = Array.from({ length: 15_000 }, (_, i) => ({ root: `r${i}`, key: `a/1${suffix}` }))
    expect(check(byHand(items), 15_000)).toBe('let in')
    expect(
      readFacts(scribe.draft('x/1', { body: byHand(items), commits: [{ n: 1, at: 1, facts: 15_000 }] })),
    ).toEqual([])
    expect(check(byHand(items.concat(items, items, items)), 60_000)).not.toBe('let in')
  })

  it('[GD3] a key is written once in a chain, and a refused body takes none', () => {
    const keys = new ChainKeys()
    const one = scribe.draft('x/1', { body: byHand([{}]) })
    const bad = scribe.draft('x/1', {
      body: byHand([{ key: `b/1${suffix}` }, { key: `c/1${suffix}`, value: value('?') }]),
      commits: [{ n: 1, at: 1, facts: 2 }],
    })
    const good = scribe.draft('x/1', { body: byHand([{ key: `b/1${suffix}` }]) })
    expect(guard(one, 0, keys).ok).toBe(true)
    expect(guard(one, 0, keys)).toMatchObject({ ok: false })
    expect(guard(bad, 0, keys).ok).toBe(false)
    expect(guard(good, 0, keys).ok).toBe(true)
  })

  it('[GD4] a value with a key __proto__ stays plain data', () => {
    const text = '{"__proto__":{"admin":true},"constructor":1}'
    const frame = scribe.draft('x/1', { body: byHand([{ value: value(text) }]) })
    expect(guard(frame, 0, new ChainKeys()).ok).toBe(true)
    const body = readFacts(frame)[0]!.body as { admin?: boolean }
    expect(body.admin).toBeUndefined()
    expect(Object.getPrototypeOf(body)).toBe(Object.prototype)
    expect(JSON.stringify(body)).toBe(text)
  })

  it('[GD5] facts of a collection that only a newer version knows are let in, kept and not shown', async () => {
    const writer = new Scribe()
    const body = createUpdate(createItems([kv('a/1')], writer.id), writer.id, 0)
    const changed = Buffer.from(
      Buffer.from(body).toString('latin1').replace('\u0002kv', '\u0004pins'),
      'latin1',
    )
    const { store, replica } = await openBoard()
    expect(await replica.ingest(writer.write('a/1', { body: new Uint8Array(changed) }).bytes)).toEqual({
      type: 'taken',
    })
    writer.write('b/1')
    expect(await replica.ingest(writer.bytes[1]!)).toEqual({ type: 'taken' })
    expect(replica.heads('run-1')[0]?.n).toBe(2)
    expect(
      (await collect(store.facts())).map((batch) => [batch.n, batch.facts.map((fact) => fact.key)]),
    ).toEqual([[2, ['b/1']]])
  })

  it('[GD6] [RP4] damaged frames and signed nonsense never throw, and leave no trace when refused', async () => {
    const trials = Number(process.env.ORCH_FUZZ ?? 24_000)
    const prng = createPrng(11)
    const board = await openBoard()
    const told: Frame[] = []
    board.replica.onFrame((frame) => told.push(frame))
    const traces: string[] = []
    let [taken, lastView] = [0, await view(board)]
    for (let i = 0; i < trials; i++) {
      const writer = new Scribe({ node: `node-${i % 40}`, doc: `run-${i % 97}` })
      const sound = writer.draft(`task-${i}/1`)
      const bytes =
        i % 2 === 0
          ? mutate(sound.bytes, prng)
          : writer.draft('x/1', { body: mutate(sound.body, prng) }).bytes
      const digest = board.replica.digest()
      const verdict = await board.replica.ingest(bytes)
      if (verdict.type === 'taken') {
        taken++
        const reading = readFrame(bytes)
        expect(reading.ok).toBe(true)
        if (reading.ok) expectSameToYjs(reading.frame)
      } else if (board.replica.digest() !== digest) traces.push(`trial ${i} changed the digest`)
      if (told.length !== taken) traces.push(`trial ${i} was told`)
      if (i % 4_000 === 0) {
        const now = await view(board)
        if (taken === 0) expect(now).toBe(lastView)
        lastView = now
      }
    }
    expect(traces).toEqual([])
    // Some only change what a value says.
    expect(taken).toBeGreaterThan(trials / 1_000)
    expect(taken).toBeLessThan(trials / 2)
    expect((await collect(board.store.facts())).flatMap(({ facts }) => facts)).toEqual(
      [...told]
        .sort((a, b) =>
          `${a.doc} ${a.node}/${a.incarnation}` < `${b.doc} ${b.node}/${b.incarnation}` ? -1 : 1,
        )
        .flatMap((frame) => readFacts(frame)),
    )
    expect(board.reports).toEqual([])
  })
})

/** Yjs reads the same facts out of a body, whole, without anything pending. */
function expectSameToYjs(frame: Frame): void {
  const doc = new Y.Doc()
  Y.applyUpdate(doc, frame.body)
  expect(doc.store.pendingStructs).toBeNull()
  const end = `/${frame.node}/${frame.incarnation}`
  const facts = [...doc.share.keys()].flatMap((collection) =>
    [...doc.getMap<Uint8Array>(collection).entries()].map(([key, bytes]) => ({
      doc: frame.doc,
      collection,
      key: key.slice(0, -end.length),
      body: JSON.parse(Buffer.from(bytes).toString()),
    })),
  )
  const known = readFacts(frame)
  expect(facts.filter(({ collection }) => known.length > 0 || collection === 'kv')).toEqual(known)
}

function byYjsDelete(clientId: number): Uint8Array {
  const doc = new Y.Doc()
  doc.clientID = clientId
  doc.getMap('kv').set('a', 1)
  const before = Y.encodeStateVector(doc)
  doc.getMap('kv').delete('a')
  return Y.encodeStateAsUpdate(doc, before)
}

function replaced(bytes: Uint8Array, from: string, to: string): Uint8Array {
  const text = Buffer.from(bytes).toString('hex')
  expect(text).toContain(from)
  return Buffer.from(text.replace(from, to), 'hex')
}

/** A member that lies: it hands on broken and old bytes, signs in the name of others, floods, and tells two stories. Whatever it says must change nothing. */
import type { Fact } from '../core/fact.ts'
import type { Author, NodeId, TaskId } from '../core/id.ts'
import { BOARD_TOPIC } from '../net/gossip.ts'
import { encodeFrame } from '../net/gossip-message.ts'
import { createFrame, hashFrame, NO_HASH } from '../store/frame.ts'
import { createItems, createUpdate } from '../store/update.ts'
import type { SimCluster } from './cluster.ts'
import { BASE } from './commit.ts'
import type { Dice } from './dice.ts'
import { signerOf } from './signature.ts'
import type { SimNet } from './sim-net.ts'
import { RUN } from './workload.ts'

const HEARD_MAX = 200
const FLOOD_MESSAGES = 200

export class Impostor {
  readonly #cluster: SimCluster
  readonly #dice: Dice
  readonly #heard: Uint8Array[] = []
  #net: SimNet | undefined
  #lives = 0

  constructor(cluster: SimCluster, dice: Dice) {
    this.#cluster = cluster
    this.#dice = dice
  }

  flip(): void {
    const bytes = this.#old()
    if (!bytes) return
    const broken = Uint8Array.from(bytes)
    for (let i = 1 + this.#dice.int(4); i > 0; i--)
      broken[this.#dice.int(broken.length)]! ^= 1 << this.#dice.int(8)
    this.#say(broken)
  }

  replay(): void {
    const bytes = this.#old()
    if (bytes) this.#say(bytes)
  }

  /** Speaks for somebody else: his next frame under the wrong signature, or his facts in a frame of its own. */
  forge(): void {
    const victims = this.#cluster.ready()
    const net = this.#net
    if (!net || victims.length === 0) return this.#arrive()
    const { author, store } = this.#dice.pick(victims)
    const head = store.replica.heads(RUN).find(({ incarnation }) => incarnation === author.incarnation)
    const update = createUpdate(
      createItems([voidOf(this.#dice.pick(this.#cluster.workload.tasks)[0])], author),
      author,
      0,
    )
    const next = { ...author, n: (head?.n ?? 0) + 1, prev: head?.head ?? NO_HASH }
    const place = this.#dice.chance(0.5) ? next : { ...this.#life(net), n: 1, prev: NO_HASH }
    this.#say(encodeFrame(this.#frame(net, place, update)))
  }

  /** Signs, as the worker that it is, what only an integrator may say. */
  overreach(): void {
    const net = this.#net
    if (!net) return this.#arrive()
    const author = this.#life(net)
    const task = this.#dice.pick(this.#cluster.workload.tasks)[0]
    const fact = this.#dice.chance(0.5) ? acceptOf(task, net.node) : ADOPT
    const update = createUpdate(createItems([fact], author), author, 0)
    this.#say(encodeFrame(this.#frame(net, { ...author, n: 1, prev: NO_HASH }, update)))
  }

  flood(): void {
    for (let i = 0; i < FLOOD_MESSAGES; i++)
      this.#say(Uint8Array.from({ length: 50 + this.#dice.int(100) }, () => this.#dice.int(256)))
  }

  /** One story to these, another to those, and to some the beginning of one with the end of the other; in a chain of its own each time. */
  equivocate(): void {
    const net = this.#net
    if (!net) return this.#arrive()
    const author = this.#life(net)
    const stories = [1, 2].map((story) => {
      const task = this.#dice.pick(this.#cluster.workload.tasks)[0]
      const [one, two] = [voidOf(task), noteOf(`end of ${story}`, 2)]
      const first = this.#frame(
        net,
        { ...author, n: 1, prev: NO_HASH },
        createUpdate(createItems([one], author), author, 0),
      )
      const place = { ...author, n: 2, prev: hashFrame(first) }
      return [first, this.#frame(net, place, createUpdate(createItems([two], author), author, 1))] as const
    })
    const mixes = this.#dice.chance(0.5)
    for (const peer of net.peers()) {
      const story = this.#dice.pick(stories)
      const end = mixes ? this.#dice.pick(stories) : story
      for (const part of [story[0], end[1]]) net.whisper(peer, BOARD_TOPIC, encodeFrame(part))
    }
  }

  #life({ node }: SimNet): Author {
    return { node, incarnation: `01J${String(++this.#lives).padStart(23, '0')}` }
  }

  #frame(
    net: SimNet,
    place: Author & { readonly n: number; readonly prev: string },
    update: Uint8Array,
  ): Uint8Array {
    const commits = [{ n: place.n, at: 0, facts: 1 }]
    return createFrame(
      { cluster: this.#cluster.cluster, doc: RUN, ...place, commits },
      update,
      signerOf(net.node),
    ).bytes
  }

  #old(): Uint8Array | undefined {
    if (!this.#net) this.#arrive()
    return this.#heard.length === 0 ? undefined : this.#dice.pick(this.#heard)
  }

  #say(bytes: Uint8Array): void {
    if (!this.#net) return this.#arrive()
    void this.#net.publish(BOARD_TOPIC, bytes)
  }

  /** It was let in as anybody else. */
  #arrive(): void {
    const admin = this.#cluster.ready().find(({ state }) => state.may('admin'))
    if (this.#net || !admin) return
    const machine = this.#cluster.addMachine()
    machine.isLost = true
    this.#cluster.liars.add(machine.node)
    this.#cluster.note(machine.node, 'joins, and lies')
    this.#cluster.admit(admin, machine, 'worker')
    const net = this.#cluster.connect(machine)
    net.admit(() => 'member')
    net.subscribe(BOARD_TOPIC, (bytes) => {
      this.#heard.push(bytes)
      if (this.#heard.length > HEARD_MAX) this.#heard.shift()
    })
    this.#net = net
  }
}

function voidOf(task: TaskId): Fact {
  return { doc: RUN, collection: 'voids', key: `${task}/1/1`, body: { why: 'lost' } }
}

function acceptOf(task: TaskId, by: NodeId): Fact {
  return {
    doc: RUN,
    collection: 'accepts',
    key: `${task}/1/1`,
    body: { epoch: 1, by, position: 1, commit: BASE },
  }
}

const ADOPT: Fact = {
  doc: RUN,
  collection: 'orders',
  key: '*/1',
  body: { verb: 'adopt', term: 2, cutoff: 0, reason: 'I want it' },
}

function noteOf(text: string, n: number): Fact {
  return { doc: RUN, collection: 'kv', key: `note/${n}`, body: text }
}

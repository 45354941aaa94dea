import { describe, expect, it } from 'vitest'
import { ADOPT_GRACE_MS, SUSPECT_ALONE_MS, SUSPECT_MS } from '../../src/core/limit.ts'
import { type Beat, Presence } from '../../src/core/presence.ts'
import { simulateField } from './presence-field.ts'

const beatOf = (node: string, counter: number, more: Partial<Beat> = {}): Beat => ({
  node,
  incarnation: '1',
  counter,
  suspects: [],
  slots: 5,
  free: 5,
  protocol: [1, 1],
  ...more,
})

/** Observer `me` and what it hears; time passes in periods. */
class Observer {
  readonly presence = new Presence({ me: 'me' })
  readonly deaths: string[] = []
  now = 0
  #counter = 0

  constructor(...others: string[]) {
    this.presence.watch(['me', ...others], 0)
    this.hear(...others)
  }

  hear(...nodes: string[]): this {
    for (const node of nodes) this.beat(node)
    return this
  }

  beat(node: string, more: Partial<Beat> = {}): boolean {
    const taken = this.presence.beat(beatOf(node, ++this.#counter, more), this.now)
    this.tick()
    return taken
  }

  tick(): void {
    for (const d of this.presence.tick(this.now).deaths)
      this.deaths.push(`${d.node}/${d.incarnation ?? '?'} ${d.what} at ${this.now}`)
  }

  /** Lets time pass until `at`; each of `heard` beats every second. */
  until(at: number, heard: readonly string[] = [], more: Partial<Beat> = {}): this {
    while (this.now < at) {
      this.now = Math.min(this.now + 1_000, at)
      for (const node of heard) this.beat(node, more)
      this.tick()
    }
    return this
  }
}

describe('silence', () => {
  it('[PR1] is a suspicion first, and a death when a second live member shares it', () => {
    const o = new Observer('a', 'b', 'c')
    o.until(SUSPECT_MS - 1, ['b', 'c'])
    expect(o.presence.suspects).toEqual([])
    o.until(SUSPECT_MS, ['b', 'c'])
    expect(o.presence.suspects).toEqual(['a'])
    expect(o.presence.live).toEqual(['a', 'b', 'c', 'me'])
    o.until(SUSPECT_MS + 3_000, ['b', 'c'])
    expect(o.deaths).toEqual([])
    o.beat('b', { suspects: ['a'] })
    expect(o.deaths).toEqual([`a/1 all at ${SUSPECT_MS + 3_000}`])
    expect(o.presence.live).toEqual(['b', 'c', 'me'])
    // Told on, so that others have a second who suspects; not for ever.
    expect(o.presence.suspects).toEqual(['a'])
    o.until(60_000, ['b', 'c'])
    expect(o.presence.suspects).toEqual([])
  })

  it('[PR1] alone it takes three times as long', () => {
    const o = new Observer('a', 'b', 'c').until(SUSPECT_ALONE_MS - 1, ['b', 'c'])
    expect(o.deaths).toEqual([])
    o.until(SUSPECT_ALONE_MS, ['b', 'c'])
    expect(o.deaths).toEqual([`a/1 all at ${SUSPECT_ALONE_MS}`])
  })

  it('[PR1] of two nodes there is no second: only the longer span', () => {
    const o = new Observer('a').until(SUSPECT_ALONE_MS - 1)
    expect([o.presence.suspects, o.deaths]).toEqual([['a'], []])
    o.until(SUSPECT_ALONE_MS)
    expect(o.deaths).toEqual([`a/1 all at ${SUSPECT_ALONE_MS}`])
  })

  it('[PR1] the suspicion of one who is himself not heard does not count', () => {
    const o = new Observer('a', 'b', 'c', 'd', 'e')
    o.beat('b', { suspects: ['a'] })
    o.until(SUSPECT_MS + 4_000, ['c', 'd', 'e'])
    expect(o.presence.suspects).toEqual(['a', 'b'])
    expect(o.deaths).toEqual([])
  })

  it('[PR1] suspicions of others alone kill nobody who is heard here', () => {
    const o = new Observer('a', 'b', 'c')
    o.until(60_000, ['a', 'b', 'c'], { suspects: ['a'] })
    expect(o.deaths).toEqual([])
    expect(o.presence.live).toEqual(['a', 'b', 'c', 'me'])
  })

  it('[PR1] who was never heard is not live, and is dead after the same spans', () => {
    const o = new Observer('b', 'c')
    o.presence.watch(['me', 'b', 'c', 'd'], 0)
    o.until(SUSPECT_ALONE_MS - 1, ['b', 'c'])
    expect(o.presence.live).toEqual(['b', 'c', 'me'])
    o.until(SUSPECT_ALONE_MS, ['b', 'c'])
    expect(o.deaths).toEqual([`d/? all at ${SUSPECT_ALONE_MS}`])
  })

  it('[PR2] frames of the same life count as beats, of another or of the dead they do not', () => {
    const o = new Observer('a', 'b', 'c')
    for (let s = 1; s <= 60; s++) {
      o.until(s * 1_000, ['b', 'c'])
      o.presence.frame('a', '1', o.now)
    }
    expect([o.presence.suspects, o.deaths]).toEqual([[], []])
    for (let s = 61; s <= 90; s++) {
      o.until(s * 1_000, ['b', 'c'])
      o.presence.frame('a', '0', o.now)
    }
    expect(o.deaths).toEqual([`a/1 all at ${60_000 + SUSPECT_ALONE_MS}`])
    o.presence.frame('a', '1', o.now)
    o.until(100_000, ['b', 'c'])
    expect(o.presence.live).toEqual(['b', 'c', 'me'])
  })

  it('[PR2] a beat that was heard, of an earlier life, or of no member is void; a fresh one brings back', () => {
    const o = new Observer('a', 'b', 'c').until(SUSPECT_ALONE_MS, ['b', 'c'])
    expect(o.presence.live).not.toContain('a')
    expect(o.presence.beat(beatOf('a', 1), o.now)).toBe(false)
    expect(o.presence.beat(beatOf('a', 500, { incarnation: '0' }), o.now)).toBe(false)
    expect(o.presence.beat(beatOf('stranger', 500), o.now)).toBe(false)
    o.tick()
    expect(o.presence.live).not.toContain('a')
    expect(o.beat('a')).toBe(true)
    expect(o.presence.live).toContain('a')
    o.presence.watch(['me', 'b'], o.now)
    o.tick()
    expect(o.presence.live).toEqual(['b', 'me'])
  })
})

describe('doubts about oneself', () => {
  it('[PR3] after a stall or a sleep all have a fresh span, and each stall makes the observer slower for a while', () => {
    const o = new Observer('a', 'b', 'c')
    o.until(7_000, ['b', 'c'])
    o.now += 60_000
    o.presence.tickLate(60_000, o.now)
    o.tick()
    expect([o.presence.suspects, o.deaths]).toEqual([[], []])
    const woken = o.now
    o.until(woken + SUSPECT_MS, ['b', 'c'])
    expect(o.presence.suspects).toEqual([])
    // Ten seconds later the doubt is gone.
    o.until(woken + 10_000, ['b', 'c'])
    expect(o.presence.suspects).toEqual(['a'])
  })

  it('[PR3] a late tick of some periods is no stall', () => {
    const o = new Observer('a', 'b', 'c').until(SUSPECT_MS - 1_000, ['b', 'c'])
    o.now += 1_000
    o.presence.tickLate(4_000, o.now)
    o.hear('b', 'c')
    expect(o.presence.suspects).toEqual(['a'])
  })

  it('[PR3] stalls add up to eight and no more', () => {
    const o = new Observer('a', 'b', 'c')
    for (let i = 0; i < 20; i++) o.presence.tickLate(6_000, 0)
    // One less each ten seconds: 24 s * (1 + 1) have passed then, 24 s * (1 + 2) not before.
    o.until(100_000, ['b', 'c'])
    expect(o.deaths).toEqual(['a/1 all at 70000'])
  })

  it('[PR4] who hears nothing of half of the others doubts himself, five times as long', () => {
    const o = new Observer('a', 'b', 'c', 'd').until(SUSPECT_ALONE_MS + 10_000, ['c', 'd'])
    expect(o.deaths).toEqual([])
    o.until(SUSPECT_ALONE_MS * 5, ['c', 'd'])
    expect(o.deaths).toHaveLength(2)
    // One of two says nothing of oneself.
    const p = new Observer('a', 'b').until(SUSPECT_ALONE_MS, ['b'])
    expect(p.deaths).toHaveLength(1)
  })

  it('[PR5] in a large cluster beats and spans are longer', () => {
    const names = Array.from({ length: 400 }, (_, i) => `n${i}`)
    const presence = new Presence({ me: 'n0' })
    presence.watch(names, 0)
    expect(presence.periodMs).toBe(4_000)
    for (const name of names.slice(1)) presence.beat(beatOf(name, 1), 0)
    presence.tick(0)
    expect(presence.wakeAt).toBe(SUSPECT_MS * 4)
  })
})

describe('the fast path', () => {
  it('[PR6] closed and refused: of two nodes dead at once for in-process work, after the grace for the rest', () => {
    const o = new Observer('a').until(5_000, ['a'])
    o.presence.refused('a', '1', o.now)
    expect(o.presence.wakeAt).toBe(o.now)
    o.tick()
    expect(o.deaths).toEqual(['a/1 in-process at 5000'])
    expect(o.presence.live).toEqual(['me'])
    expect(o.presence.wakeAt).toBe(5_000 + ADOPT_GRACE_MS)
    o.until(5_000 + ADOPT_GRACE_MS)
    expect(o.deaths.slice(1)).toEqual([`a/1 all at ${5_000 + ADOPT_GRACE_MS}`])
  })

  it('[PR6] where others could hear it, only when no beat came by way of them', () => {
    const o = new Observer('a', 'b').until(5_000, ['a', 'b'])
    o.presence.refused('a', '1', o.now)
    o.until(6_000, ['b'])
    expect(o.deaths).toEqual([])
    o.until(7_000, ['b'])
    expect(o.deaths).toEqual(['a/1 in-process at 7000'])
    const p = new Observer('a', 'b').until(5_000, ['a', 'b'])
    p.presence.refused('a', '1', p.now)
    p.until(60_000, ['a', 'b'])
    expect(p.deaths).toEqual([])
    expect(p.presence.live).toEqual(['a', 'b', 'me'])
  })

  it('[PR6] two who were refused are enough, whoever was first', () => {
    const o = new Observer('a', 'b', 'c').until(5_000, ['a', 'b', 'c'])
    expect(o.presence.refused('a', '1', o.now)).toBe(true)
    expect(o.presence.refused('a', '1', o.now)).toBe(false)
    o.tick()
    expect([o.presence.refusers, o.deaths]).toEqual([['a'], []])
    o.beat('b', { refused: ['a'] })
    expect(o.deaths).toEqual(['a/1 in-process at 5000'])
    // Still told: a third one needs a second.
    expect(o.presence.refusers).toEqual(['a'])
    const p = new Observer('a', 'b', 'c').until(5_000, ['a', 'b', 'c'])
    p.beat('c', { refused: ['a'] })
    expect([p.presence.refusers, p.deaths]).toEqual([[], []])
    p.presence.refused('a', '1', p.now)
    p.tick()
    expect(p.deaths).toEqual(['a/1 in-process at 5000'])
  })

  it('[PR6] what others were refused by counts for nothing where this node was not, or from the dead, or when it is over', () => {
    const o = new Observer('a', 'b', 'c')
    o.until(60_000, ['a', 'b', 'c'], { refused: ['a'] })
    expect(o.deaths).toEqual([])
    // b says it no longer.
    o.hear('b', 'c')
    o.presence.refused('a', '1', o.now)
    o.tick()
    expect(o.deaths).toEqual([])
    const p = new Observer('a', 'b', 'c', 'd').until(5_000, ['a', 'b', 'c', 'd'])
    p.beat('b', { refused: ['a'], leaving: 'stop' })
    p.presence.refused('a', '1', p.now)
    p.tick()
    expect(p.deaths).toEqual(['b/1 all at 5000'])
    p.beat('a')
    p.beat('a')
    expect(p.presence.refusers).toEqual([])
  })

  it('[PR6] a refusal says nothing of another life, and a next life in time adopts', () => {
    const o = new Observer('a').until(5_000, ['a'])
    o.presence.refused('a', '0', o.now)
    o.tick()
    expect(o.deaths).toEqual([])
    o.presence.refused('a', '1', o.now)
    o.tick()
    o.until(9_000)
    o.presence.beat(beatOf('a', 1, { incarnation: '2' }), o.now)
    o.tick()
    expect(o.presence.live).toEqual(['a', 'me'])
    for (let i = 2; o.now < 40_000; i++) {
      o.now += 1_000
      o.presence.beat(beatOf('a', i, { incarnation: '2' }), o.now)
      o.tick()
    }
    expect(o.deaths).toEqual(['a/1 in-process at 5000'])
  })

  it("[PR7] a beat of a newer life: the older is dead, its process attempts are the new one's", () => {
    const o = new Observer('a', 'b').until(3_000, ['a', 'b'])
    expect(o.presence.beat(beatOf('a', 1, { incarnation: '2' }), o.now)).toBe(true)
    o.tick()
    expect(o.deaths).toEqual(['a/1 in-process at 3000'])
    expect(o.presence.live).toEqual(['a', 'b', 'me'])
    expect(o.presence.beat(beatOf('a', 900), o.now)).toBe(false)
  })

  it('[PR7] whoever hears of a death hears who is there, too: the dead may live again by then', () => {
    const o = new Observer('a', 'b').until(3_000, ['a', 'b'])
    o.presence.beat(beatOf('a', 1, { incarnation: '2' }), o.now)
    expect(o.presence.tick(o.now)).toEqual({
      live: ['a', 'b', 'me'],
      deaths: [{ node: 'a', incarnation: '1', what: 'in-process' }],
    })
  })

  it('[PR8] who says that it stops is gone at once; for an upgrade its processes have the grace', () => {
    const o = new Observer('a', 'b', 'c').until(2_000, ['a', 'b', 'c'])
    o.beat('a', { leaving: 'stop' })
    o.beat('a', { leaving: 'stop' })
    o.beat('b', { leaving: 'upgrade' })
    o.beat('b', { leaving: 'upgrade' })
    expect(o.deaths).toEqual(['a/1 all at 2000', 'b/1 in-process at 2000'])
    expect(o.presence.live).toEqual(['c', 'me'])
    o.until(2_000 + ADOPT_GRACE_MS, ['c'])
    expect(o.deaths.slice(2)).toEqual([`b/1 all at ${2_000 + ADOPT_GRACE_MS}`])
    // It thought better of it.
    o.beat('b')
    expect(o.presence.live).toEqual(['b', 'c', 'me'])
  })
})

describe('a field of twenty', () => {
  const NAIVE = { suspectMs: 3_000, aloneMs: 3_000 }

  it('[PR9] no false death at 5 % and at 20 % loss, nor with sleeping laptops', () => {
    for (const seed of [1, 2]) {
      expect(simulateField({ seed, minutes: 20, loss: 0.05 }).falseDeaths).toBe(0)
      expect(simulateField({ seed, minutes: 20, loss: 0.2 }).falseDeaths).toBe(0)
      expect(simulateField({ seed, minutes: 20, loss: 0.01, sleepers: 6 }).falseDeaths).toBe(0)
    }
  })

  it('[PR9] one suspecter at three seconds, or a sleeper that does not notice, kills the living', () => {
    expect(simulateField({ seed: 1, minutes: 5, loss: 0.05, detector: NAIVE }).falseDeaths).toBeGreaterThan(3)
    expect(simulateField({ seed: 1, minutes: 5, loss: 0.2, detector: NAIVE }).falseDeaths).toBeGreaterThan(
      100,
    )
    const unaware = simulateField({ seed: 1, minutes: 20, loss: 0.01, sleepers: 6, unaware: true })
    expect(unaware.falseDeaths).toBeGreaterThan(0)
  })

  it('[PR9] who is killed is noticed by the second live member that misses it', () => {
    const { kills, detections, falseDeaths } = simulateField({
      seed: 3,
      minutes: 15,
      loss: 0.05,
      kills: true,
    })
    expect([kills >= 10, detections.length === kills, falseDeaths]).toEqual([true, true, 0])
    expect(detections.at(-1)).toBeLessThan(SUSPECT_MS + 4_000)
  })

  // By hand: PRESENCE_HOURS=4 npx vitest run --config test/vitest.config.ts test/core/presence.test.ts
  it.runIf(process.env.PRESENCE_HOURS)('[PR9] figures', { timeout: 3_600_000 }, () => {
    const hours = Number(process.env.PRESENCE_HOURS)
    const rows = [{ loss: 0.05 }, { loss: 0.2 }, { loss: 0.01, sleepers: 6 }].flatMap((world) =>
      [undefined, NAIVE].map((detector) => {
        const common = { seed: 1, minutes: hours * 60, ...world, ...(detector ? { detector } : {}) }
        const quiet = simulateField(common)
        const { detections } = simulateField({ ...common, kills: true })
        const at = (q: number): number =>
          Math.round(detections[Math.floor((detections.length - 1) * q)]! / 100) / 10
        return {
          ...world,
          detector: detector ? '3 s, one' : '8/24 s, two',
          'false/h': quiet.falseDeaths / hours,
          p50: at(0.5),
          p99: at(0.99),
        }
      }),
    )
    console.table(rows)
  })
})

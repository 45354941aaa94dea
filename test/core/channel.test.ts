/** A follower's queue: order, bound, end. */
import { describe, expect, it } from 'vitest'
import { bindSignal, Channel } from '../../src/node/channel.ts'

async function all<T>(channel: Channel<T>, into: T[] = []): Promise<T[]> {
  for await (const item of channel) into.push(item)
  return into
}

describe('channel', () => {
  it('[ND6] gives what was pushed, in order, also to a reader that waits', async () => {
    const channel = new Channel<number>(10, () => {})
    channel.push(1)
    const read = all(channel)
    await Promise.resolve()
    channel.push(2)
    channel.push(3)
    await Promise.resolve()
    channel.close()
    channel.push(4)
    expect(await read).toEqual([1, 2, 3])
  })

  it('[ND6] a reader that is too far behind gets what was queued, then the error; its place is freed at once', async () => {
    let freed = 0
    const channel = new Channel<number>(3, () => void freed++)
    for (let i = 0; i < 10; i++) channel.push(i)
    expect(freed).toBe(1)
    const got: number[] = []
    await expect(all(channel, got)).rejects.toMatchObject({ code: 'ORCH_BACKPRESSURE' })
    expect(got).toEqual([0, 1, 2])
    expect(freed).toBe(1)
  })

  it('[ND6] it ends when the reader leaves, or its signal says so', async () => {
    let freed = 0
    const left = new Channel<number>(3, () => void freed++)
    left.push(1)
    for await (const _ of left) break
    const stop = new AbortController()
    const bound = new Channel<number>(3, () => void freed++)
    bindSignal(bound, stop.signal)
    const read = all(bound)
    stop.abort()
    expect(await read).toEqual([])
    const late = new Channel<number>(3, () => void freed++)
    bindSignal(late, stop.signal)
    bindSignal(late, undefined)
    expect(await all(late)).toEqual([])
    expect(freed).toBe(3)
  })
})

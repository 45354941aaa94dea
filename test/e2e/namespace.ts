/**
 * A small network inside the kernel, for tests of partitions: each node lives in a network namespace of its own, with one cable to a switch; cables are pulled and put back. The
 * machine's own network is not touched. Needs Linux, root and `ip`.
 */
import { execFileSync, spawnSync } from 'node:child_process'

/** Why there is none here, in words; `undefined` when there is. */
export function whyNoNamespaces(): string | undefined {
  if (process.platform !== 'linux') return `network namespaces are of Linux, this is ${process.platform}`
  if (process.getuid?.() !== 0) return 'network namespaces need root'
  const probe = `orch${process.pid}probe`
  const made = spawnSync('ip', ['netns', 'add', probe], { encoding: 'utf8' })
  if (made.error) return 'there is no `ip` (package iproute2)'
  if (made.status !== 0) return `the kernel gives no network namespace: ${made.stderr.trim()}`
  try {
    const bridged = spawnSync('ip', ['-n', probe, 'link', 'add', 'name', 'b0', 'type', 'bridge'], {
      encoding: 'utf8',
    })
    return bridged.status === 0 ? undefined : `the kernel has no bridge: ${bridged.stderr.trim()}`
  } finally {
    spawnSync('ip', ['netns', 'del', probe])
  }
}

let made = 0

export class TestNetwork {
  readonly #prefix = `orch${process.pid}x${++made}`
  readonly #switch = `${this.#prefix}s`
  readonly #spaces: string[] = []
  readonly #muffled = new Set<number>()
  #bridges = 1

  constructor() {
    process.once('exit', this.close)
    ip('netns', 'add', this.#switch)
    this.#inSwitch('link add name b0 type bridge', 'link set b0 up')
  }

  /** A namespace with an address; what runs in it is started through `command`. */
  add(): {
    readonly place: number
    readonly address: string
    readonly command: readonly [string, ...string[]]
  } {
    const place = this.#spaces.length
    const space = `${this.#prefix}n${place}`
    const address = addressOf(place)
    ip('netns', 'add', space)
    this.#spaces.push(space)
    this.#inSwitch(
      `link add name p${place} type veth peer name eth0 netns ${space}`,
      `link set p${place} master b0`,
      `link set p${place} up`,
    )
    batch(space, ['link set lo up', `addr add ${address}/24 dev eth0`, 'link set eth0 up'])
    return { place, address, command: ['ip', 'netns', 'exec', space] }
  }

  /** Each group hears itself and nobody else; whoever is named in none hears nobody. Nothing is refused: packets are lost. */
  split(groups: readonly (readonly number[])[]): void {
    const fresh: string[] = []
    for (; this.#bridges < groups.length; this.#bridges++)
      fresh.push(`link add name b${this.#bridges} type bridge`, `link set b${this.#bridges} up`)
    this.#inSwitch(
      ...fresh,
      ...this.#spaces.map((_, place) => {
        const group = groups.findIndex((g) => g.includes(place))
        return group < 0 ? `link set p${place} nomaster` : `link set p${place} master b${group}`
      }),
    )
  }

  /** One node alone, all others together. */
  isolate(place: number): void {
    this.split([this.#spaces.map((_, k) => k).filter((k) => k !== place)])
  }

  /** What it says is lost; what others say it still hears. */
  muffle(place: number): void {
    if (this.#muffled.has(place)) return
    this.#muffled.add(place)
    batch(this.#spaces[place]!, ['route add blackhole 10.86.0.0/25', 'route add blackhole 10.86.0.128/25'])
  }

  /** All cables are in, everybody hears everybody. */
  heal(): void {
    this.split([this.#spaces.map((_, place) => place)])
    for (const place of this.#muffled)
      batch(this.#spaces[place]!, ['route del blackhole 10.86.0.0/25', 'route del blackhole 10.86.0.128/25'])
    this.#muffled.clear()
  }

  readonly close = (): void => {
    process.off('exit', this.close)
    for (const space of [...this.#spaces, this.#switch]) spawnSync('ip', ['netns', 'del', space])
  }

  #inSwitch(...commands: readonly string[]): void {
    batch(this.#switch, commands)
  }
}

function addressOf(place: number): string {
  return `10.86.0.${place + 1}`
}

function ip(...args: readonly string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] })
}

function batch(space: string, commands: readonly string[]): void {
  execFileSync('ip', ['-n', space, '-batch', '-'], {
    input: `${commands.join('\n')}\n`,
    stdio: ['pipe', 'ignore', 'pipe'],
  })
}

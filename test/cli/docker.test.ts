/** Goal: the files for containers name only what is there. Method: they are read and compared with the repository and the program; no engine runs. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { createProgram } from '../../src/cli/program.ts'
import { readSettings } from '../../src/cli/settings.ts'
import { FakeFace } from './fake-face.ts'
import { FakeWorld } from './fake-world.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')
/** Instructions with their continuation lines, without comments. */
const instructions = read('docker/Dockerfile')
  .replace(/^#.*\n/gm, '')
  .replace(/\\\n/g, ' ')
  .split('\n')
  .filter((line) => line.trim() !== '')
const manifest = JSON.parse(read('package.json')) as {
  readonly engines: { readonly node: string }
  readonly scripts: Readonly<Record<string, string>>
  readonly bin: Readonly<Record<string, string>>
}
const commands = new Map(
  createProgram(new FakeWorld(new FakeFace())).commands.map((each) => [each.name(), each]),
)

describe('Dockerfile', () => {
  const copies = instructions
    .filter((line) => line.startsWith('COPY '))
    .map((line) => line.split(/\s+/).slice(1))
  const local = copies.filter(([first]) => !first!.startsWith('--')).flatMap((words) => words.slice(0, -1))

  it('[CL30] copies what exists, and its ignore file lets that through and nothing else', () => {
    expect(local.length).toBeGreaterThan(5)
    for (const source of local) expect(existsSync(join(ROOT, source)), source).toBe(true)
    const ignore = read('docker/Dockerfile.dockerignore')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
    expect(ignore[0]).toBe('*')
    const letThrough = ignore.slice(1).map((line) => line.replace(/^!/, ''))
    expect(letThrough.toSorted()).toEqual(
      [...new Set(local.map((path) => path.replace(/^\.\//, '')))].toSorted(),
    )
  })

  it('[CL30] takes from the build stage what the build makes, and links what package.json calls the program', () => {
    const stage = /^FROM (node:\d+-slim) AS (\w+)/.exec(instructions[0]!)!
    const built = copies
      .filter(([first]) => first!.startsWith('--from='))
      .map(([from, source]) => [from, source])
    expect(built).toEqual([
      [`--from=${stage[2]}`, '/app/node_modules'],
      [`--from=${stage[2]}`, '/app/dist'],
    ])
    expect(manifest.scripts.build).toBeDefined()
    expect(instructions.find((line) => line.startsWith('RUN npm run'))).toContain('npm run -s build')
    const links = instructions.find((line) => line.includes('ln -s'))!
    for (const [name, path] of Object.entries(manifest.bin))
      expect(links).toContain(`ln -s /app/${path.replace(/^\.\//, '')} /usr/local/bin/${name}`)
    const oldest = Number(/\d+/.exec(manifest.engines.node)![0])
    for (const line of instructions.filter((each) => each.startsWith('FROM ')))
      expect(Number(/node:(\d+)/.exec(line)![1])).toBeGreaterThanOrEqual(oldest)
  })

  it('[CL30] runs as a user of its own, on a directory that is his alone, with commands that exist', () => {
    const user = instructions.indexOf('USER node')
    const directory = instructions.findIndex((line) => /install --directory --mode=0700 .*\/data/.test(line))
    expect(directory).toBeGreaterThan(0)
    expect(user).toBeGreaterThan(directory)
    const words = (name: string) =>
      JSON.parse(/\[.*\]/.exec(instructions.find((line) => line.startsWith(name))!)![0]) as string[]
    expect(words('ENTRYPOINT')).toEqual(['orch-node'])
    expect(commands.has(words('CMD')[0]!)).toBe(true)
    const [program, health] = words('HEALTHCHECK')
    expect(program).toBe('orch-node')
    expect(commands.has(health!)).toBe(true)
    const { value } = readSettings({}, new FakeWorld(new FakeFace())).listen
    expect(instructions).toContain(`EXPOSE ${value[0]!.split('/').at(-1)}`)
  })
})

interface Service {
  readonly build: { readonly context: string; readonly dockerfile: string }
  readonly init: boolean
  readonly hostname: string
  readonly command: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  readonly volumes: readonly string[]
  readonly depends_on?: object
}

describe('compose.yaml', () => {
  const compose = parse(read('docker/compose.yaml'), { merge: true }) as {
    readonly services: Readonly<Record<string, Service>>
    readonly volumes: object
  }
  const services = Object.entries(compose.services)

  it.each(services)(
    '[CL30] %s is built from what is there and started with options that exist',
    (name, service) => {
      const { build, command, volumes, hostname, init, environment } = service
      expect(existsSync(join(ROOT, 'docker', build.context, build.dockerfile))).toBe(true)
      expect(volumes).toEqual([`${name}:/data`])
      expect(compose.volumes).toHaveProperty(name)
      expect(hostname).toBe(name)
      expect(init).toBe(true)
      const [verb, ...args] = command
      const options = commands.get(verb!)!.options.map(({ long }) => long)
      for (const arg of args.filter((each) => each.startsWith('--'))) expect(options).toContain(arg)
      const way = environment?.ORCH_JOIN?.replace(/^\$\{ORCH_JOIN:-(.*)\}$/, '$1')
      if (name === 'a') expect(way).toBeUndefined()
      else
        expect(
          readSettings({}, Object.assign(new FakeWorld(new FakeFace()), { env: { ORCH_JOIN: way } })).join
            .value,
        ).toEqual(['/dns/a/tcp/7946'])
    },
  )

  it('[CL30] is a trio of which the first founds the cluster', () => {
    expect(services.map(([name]) => name)).toEqual(['a', 'b', 'c'])
    expect(compose.services.a!.command.join(' ')).toContain('--backend crdt')
  })
})

it('[CL30] the commands of its page exist', () => {
  const used = [...read('docker/README.md').matchAll(/exec (?:-T )?(?:a|orch) orch-node (\w+)/g)].map(
    ([, name]) => name!,
  )
  expect(used.length).toBeGreaterThan(3)
  for (const name of used) expect([...commands.keys()]).toContain(name)
})

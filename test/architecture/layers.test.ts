/**
 * Arrows go one way: faces → node → core ← edges (DESIGN 9). Reads the import lines of `src` and names what goes the wrong way. The rules are tried on planted
 * imports too, so that an empty answer means something.
 */
import { describe, expect, it } from 'vitest'
import { folderOf, readImports, type SourceFile, sourceFiles } from './source.ts'

const EDGES = ['store', 'net', 'git', 'executor', 'planner', 'log', 'config', 'observe'] as const
const FACES = ['api', 'cli', 'mcp', 'dashboard', 'sim'] as const

/** Folders of our own that a folder may import from, besides itself. `version.ts` is a constant. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  core: [],
  ...Object.fromEntries(EDGES.map((edge) => [edge, ['core']])),
  node: ['core', ...EDGES, 'version.ts'],
  ...Object.fromEntries(FACES.map((face) => [face, ['core', 'node', 'config', 'version.ts']])),
  // A whole cluster in one process: the real core over the real store and network protocols, without a node.
  sim: ['core', 'store', 'net', 'node'],
  // The command line talks to a node over the faces' own protocol.
  cli: ['core', 'node', 'config', 'api', 'sim', 'version.ts'],
  // A library user starts a node in his process and registers functions as workers.
  'library.ts': ['core', 'node', 'config', 'executor', 'api'],
  'index.ts': ['core', 'node', 'config', 'executor', 'library.ts', 'version.ts'],
  'version.ts': [],
}

/** Works where no node does, on the data directory itself: what is there, is it sound, who holds it. */
const WITHOUT_A_NODE = /^cli\/doctor(-\w+)*\.ts$/

/** One door per package. */
const DOORS: Readonly<Record<string, readonly string[]>> = {
  yaml: ['config'],
  zod: ['config', 'api'],
  hono: ['api'],
  '@hono/node-server': ['api'],
  commander: ['cli'],
  picocolors: ['cli'],
  pino: ['observe', 'cli'],
  yjs: ['store'],
  level: ['store'],
  msgpackr: ['store'],
  lib0: ['store', 'api'],
  libp2p: ['net'],
  '@libp2p/crypto': ['net'],
  '@libp2p/gossipsub': ['net'],
  '@libp2p/identify': ['net'],
  '@libp2p/interface': ['net'],
  '@libp2p/noise': ['net'],
  '@libp2p/peer-id': ['net'],
  '@libp2p/ping': ['net'],
  '@libp2p/tcp': ['net'],
  '@libp2p/yamux': ['net'],
  '@multiformats/multiaddr': ['net'],
  ws: ['api'],
  'y-protocols': ['api'],
}

const FORBIDDEN_NAMES = /(^|[-/.])(utils?|helpers?|types|common|misc|managers?|services?|handlers?)([-/.]|$)/
const LINES_MAX = 400

function wrongImports(files: readonly SourceFile[]): string[] {
  return files.flatMap((file) =>
    file.imports.flatMap(({ to, isLocal, line }) => {
      const why = wrong(file, to, isLocal)
      return why ? [`src/${file.path}:${line} imports ${to}: ${why}`] : []
    }),
  )
}

function wrong({ path, folder }: SourceFile, to: string, isLocal: boolean): string | undefined {
  if (isLocal) {
    const target = folderOf(to)
    if (target === folder) return undefined
    if (WITHOUT_A_NODE.test(path) && (EDGES as readonly string[]).includes(target)) return undefined
    return MAY_IMPORT[folder]?.includes(target)
      ? undefined
      : `${folder} may import ${MAY_IMPORT[folder]?.join(', ') || 'nothing'}`
  }
  if (folder === 'core') return 'the core imports only the core'
  if (to.startsWith('node:')) return undefined
  const name = to.startsWith('@') ? to.split('/').slice(0, 2).join('/') : to.split('/')[0]!
  return DOORS[name]?.includes(folder)
    ? undefined
    : `the door of ${name} is ${DOORS[name]?.join(', ') ?? 'nowhere'}`
}

const files = sourceFiles()

function planted(path: string, text: string): SourceFile {
  return { path, folder: folderOf(path), text, lines: 1, imports: readImports(path, text) }
}

describe('layers', () => {
  it('[AR1] every import goes the allowed way', () => {
    expect(files.length).toBeGreaterThan(100)
    expect(files.flatMap((f) => f.imports).length).toBeGreaterThan(500)
    expect(
      wrongImports(files).filter(
        (text) => !text.includes('the door of') && !text.includes('the core imports only'),
      ),
    ).toEqual([])
  })

  it('[AR2] the core imports only the core', () => {
    expect(wrongImports(files).filter((text) => text.includes('the core imports only'))).toEqual([])
  })

  it('[AR3] every package enters by its door', () => {
    expect(wrongImports(files).filter((text) => text.includes('the door of'))).toEqual([])
  })

  it('[AR1] every folder of src has a row in the table', () => {
    expect([...new Set(files.map((f) => f.folder))].filter((folder) => !(folder in MAY_IMPORT))).toEqual([])
  })

  const bad: [string, string][] = [
    ['core/board.ts', "import { readFile } from 'node:fs/promises'"],
    ['core/board.ts', "import type { CoordStore } from '../store/store.ts'"],
    ['core/board.ts', "import { z } from 'zod'"],
    ['git/git.ts', "import {\n  a,\n  b,\n} from '../executor/process.ts'"],
    ['store/file.ts', "export { x } from '../node/engine.ts'"],
    ['net/net.ts', "const x = await import('../git/git.ts')"],
    ['cli/table.ts', "import '../store/file.ts'"],
    ['node/engine.ts', "import { parse } from 'yaml'"],
    ['api/frame.ts', "import { command } from 'commander'"],
    ['executor/process.ts', "import { execa } from 'execa'"],
    ['new/thing.ts', "import { x } from '../core/board.ts'"],
  ]
  it.each(bad)('[AR1] names a planted import of %s', (path, text) => {
    expect(wrongImports([planted(path, text)])).toEqual([expect.stringContaining(`src/${path}:`)])
  })

  it('[AR1] allows what is right', () => {
    const right: [string, string][] = [
      ['core/board.ts', "import { derive } from './derive.ts'"],
      ['git/git.ts', "import { join } from 'node:path'\nimport { OrchError } from '../core/error.ts'"],
      ['node/engine.ts', "import { openFileStore } from '../store/file.ts'"],
      ['cli/command/run.ts', "import type { NodeFace } from '../../node/face.ts'"],
    ]
    expect(wrongImports(right.map(([path, text]) => planted(path, text)))).toEqual([])
  })
})

describe('the core', () => {
  const BANNED =
    /\b(Date\.now|new Date|setTimeout|setInterval|setImmediate|queueMicrotask|Math\.random|performance\.|process\.|new Promise|Promise\.|async |await )/
  const code = (text: string): string =>
    text.replace(/\/\/.*|^\s*\*.*|\/\*.*?\*\//g, '').replace(/'[^']*'|`[^`]*`/g, "''")

  it('[AR4] the core asks for no clock, timer, promise or randomness', () => {
    const wrong = files
      .filter((f) => f.folder === 'core')
      .flatMap((f) =>
        f.text
          .split('\n')
          .flatMap((line, i) => (BANNED.test(code(line)) ? [`src/${f.path}:${i + 1} ${line.trim()}`] : [])),
      )
    expect(wrong).toEqual([])
    expect(
      ['const t = Date.now()', 'await x', 'Math.random()'].every((line) => BANNED.test(code(line))),
    ).toBe(true)
    expect(BANNED.test(code('/** await the end of the process. */'))).toBe(false)
  })
})

describe('files', () => {
  it('[AR5] no file of src has more lines than one can keep in the head', () => {
    expect(files.filter((f) => f.lines > LINES_MAX).map((f) => `src/${f.path}: ${f.lines} lines`)).toEqual([])
  })

  it('[AR5] no name that says nothing, and names are kebab-case', () => {
    expect(files.filter((f) => FORBIDDEN_NAMES.test(f.path)).map((f) => f.path)).toEqual([])
    expect(
      files
        .filter((f) => !/^([a-z0-9]+(-[a-z0-9]+)*\/)*[a-z0-9]+(-[a-z0-9]+)*(\.d)?\.ts$/.test(f.path))
        .map((f) => f.path),
    ).toEqual([])
    for (const name of ['core/utils.ts', 'node/task-manager.ts', 'git/types.ts', 'helpers/x.ts'])
      expect(name).toMatch(FORBIDDEN_NAMES)
  })
})

/** The source as text: files, their folders and what they import. */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..')

export interface Import {
  /** Path from `src`, or the name of a package. */
  readonly to: string
  readonly isLocal: boolean
  readonly line: number
}

export interface SourceFile {
  /** From `src`, with slashes: `core/board.ts`. */
  readonly path: string
  /** `core`; the file itself where it lies in `src`. */
  readonly folder: string
  readonly text: string
  readonly lines: number
  readonly imports: readonly Import[]
}

export function filesIn(dir: string, ends: string): string[] {
  return readdirSync(join(ROOT, dir), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(ends))
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .sort()
}

const IMPORT =
  /(?:^|\n)[ \t]*(?:import|export)\b[^'";]*?\bfrom\s+'([^']+)'|(?:^|\n)[ \t]*import\s+'([^']+)'|\bimport\(\s*'([^']+)'/g

export function readImports(path: string, text: string): Import[] {
  const found: Import[] = []
  for (const match of text.matchAll(IMPORT)) {
    const name = (match[1] ?? match[2] ?? match[3])!
    const line = text.slice(0, match.index + match[0].length).split('\n').length
    const isLocal = name.startsWith('.')
    found.push({
      to: isLocal
        ? normalize(join(dirname(path), name))
            .split(sep)
            .join('/')
        : name,
      isLocal,
      line,
    })
  }
  return found
}

export function sourceFiles(): SourceFile[] {
  return filesIn('src', '.ts').map((file) => {
    const path = file.slice('src/'.length)
    const text = readFileSync(join(ROOT, file), 'utf8')
    return {
      path,
      folder: folderOf(path),
      text,
      lines: text.split('\n').length - 1,
      imports: readImports(path, text),
    }
  })
}

export function folderOf(path: string): string {
  return path.split('/')[0]!
}

/** How our own small programs are started: as built, or from the sources while this runs from the sources. */
import { readdirSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath, pathToFileURL } from 'node:url'

export type Program = 'shim' | 'scripted-player'

const here = fileURLToPath(new URL('.', import.meta.url))
const known = new Map<Program, readonly string[]>()

/**
 * Arguments for `process.execPath`. From the sources: the build when none of its sources is newer (it starts 4 times as fast), else the source
 * under tsx.
 */
export function programArguments(program: Program): readonly string[] {
  const found = known.get(program) ?? locate(program)
  known.set(program, found)
  return found
}

function locate(program: Program): readonly string[] {
  if (import.meta.url.endsWith('.js')) return [`${here}${program}.js`]
  const built = fileURLToPath(new URL('../../dist/', import.meta.url))
  if (isFresh(built)) return [`${built}executor/${program}.js`]
  const loader = createRequire(import.meta.url).resolve('tsx')
  return ['--import', pathToFileURL(loader).href, `${here}${program}.ts`]
}

function isFresh(built: string): boolean {
  const sources = readdirSync(here)
    .filter((name) => name.endsWith('.ts'))
    .map((name) => `executor/${name}`)
  try {
    return [...sources, 'core/limit.ts'].every(
      (name) =>
        statSync(`${built}${name.replace(/ts$/, 'js')}`).mtimeMs >= statSync(`${here}../${name}`).mtimeMs,
    )
  } catch {
    return false
  }
}

/** Rules and tests name each other: every rule of `src/core/SPEC*.md` is cited by the title of a test, every rule that a test or the source cites exists. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { filesIn, ROOT } from './source.ts'

const RULE = /^- \[([A-Z]{2}\d+)\] \S/gm
/** What a test is called: the text that begins with rules, right after a parenthesis. Tables of `it.each` may stand before it. */
const TITLE = /\(\s*['"`]((?:\[[A-Z]{2}\d+\] ?)+)/g
const CITED = /\[([A-Z]{2}\d+)\]/g
/** In comments of the source: `SPEC BD1`, `SPEC MQ1-MQ6`. */
const MENTIONED = /\bSPEC ([A-Z]{2}\d+)(?:-([A-Z]{2}\d+))?/g

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8')
const specs = filesIn('src/core', '.md').filter((path) => /\/SPEC[^/]*\.md$/.test(path))

function rulesOf(texts: readonly (readonly [string, string])[]): Map<string, string[]> {
  const rules = new Map<string, string[]>()
  for (const [path, text] of texts) {
    for (const [, rule] of text.matchAll(RULE)) rules.set(rule!, [...(rules.get(rule!) ?? []), path])
  }
  return rules
}

function citationsOf(text: string): string[] {
  return [...text.matchAll(TITLE)].flatMap(([, title]) =>
    [...title!.matchAll(CITED)].map(([, rule]) => rule!),
  )
}

function mentionsOf(text: string): string[] {
  return [...text.matchAll(MENTIONED)].flatMap(([, from, to]) => (to ? [from!, to] : [from!]))
}

const rules = rulesOf(specs.map((path) => [path, read(path)]))
const cited = new Map<string, string>()
for (const path of filesIn('test', '.ts')) for (const rule of citationsOf(read(path))) cited.set(rule, path)

describe('rules', () => {
  it('[AR8] every rule has a number of its own', () => {
    expect(rules.size).toBeGreaterThan(200)
    expect(
      [...rules]
        .filter(([, paths]) => paths.length > 1)
        .map(([rule, paths]) => `${rule}: ${paths.join(', ')}`),
    ).toEqual([])
  })

  it('[AR6] every rule is cited by the title of a test', () => {
    expect(
      [...rules].filter(([rule]) => !cited.has(rule)).map(([rule, [path]]) => `${rule} of ${path}`),
    ).toEqual([])
  })

  it('[AR7] every rule that the title of a test cites exists', () => {
    expect(
      [...cited].filter(([rule]) => !rules.has(rule)).map(([rule, path]) => `${rule} in ${path}`),
    ).toEqual([])
  })

  it('[AR7] every rule that a comment of the source cites exists', () => {
    const wrong = filesIn('src', '.ts').flatMap((path) =>
      mentionsOf(read(path))
        .filter((rule) => !rules.has(rule))
        .map((rule) => `${rule} in ${path}`),
    )
    expect(wrong).toEqual([])
  })

  it('[AR9] the readers see what they should: rules, titles of every form, mentions', () => {
    expect([...rulesOf([['a.md', '- [AB1] One.\n- [AB2] Two.\ntext [AB3]\n- [AB1] Again.']])]).toEqual([
      ['AB1', ['a.md', 'a.md']],
      ['AB2', ['a.md']],
    ])
    const cites = (n: number): string => `[AB${n}]`
    const titles = [
      `it('${cites(1)} x', () => {})`,
      `it("${cites(2)} it's", () => {})`,
      `it(\`${cites(3)} \${x}\`, () => {})`,
      `it.each(table)('${cites(4)} %s', () => {})`,
      `it.each([\n  ['a', "(b)"],\n])('${cites(5)} %i', () => {})`,
      `describe('${cites(6)}', () => {})`,
      `it(\n  '${cites(7)} ${cites(8)} x',\n  () => {},\n)`,
      `const text = '${cites(9)} is no title'`,
    ]
    expect(titles.map(citationsOf)).toEqual([
      ['AB1'],
      ['AB2'],
      ['AB3'],
      ['AB4'],
      ['AB5'],
      ['AB6'],
      ['AB7', 'AB8'],
      [],
    ])
    expect(mentionsOf('see SPEC AB1, (SPEC AB2-AB5) and AB9')).toEqual(['AB1', 'AB2', 'AB5'])
  })
})

// The manual and the published schema are held against the code: examples are read, every key is described, the JSON schema is current.
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { formatProblems, parsePlan } from '../../src/config/plan-file.ts'
import { planJsonSchema, planSchema } from '../../src/config/plan-schema.ts'

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
const manual = read('docs/plan.md')

interface Schema {
  readonly description?: string
  readonly properties?: Record<string, Schema>
  readonly additionalProperties?: Schema | boolean
  readonly anyOf?: readonly Schema[]
}

/** Keys of the file as `retry.attempts`, without the plan's own parts in front of those of a task. */
function keysOf(schema: Schema, path = ''): { key: string; description: string | undefined }[] {
  const own = Object.entries(schema.properties ?? {}).flatMap(([key, inner]) => {
    const inside = key === 'tasks' || key === 'defaults' ? '' : path === '' ? key : `${path}.${key}`
    return [
      { key: path === '' ? key : `${path}.${key}`, description: inner.description },
      ...keysOf(inner, inside),
    ]
  })
  const map =
    typeof schema.additionalProperties === 'object' && path === '' ? keysOf(schema.additionalProperties) : []
  return [...own, ...map, ...(schema.anyOf ?? []).flatMap((each) => keysOf(each, path))]
}

describe('manual of the plan file', () => {
  const blocks = Array.from(manual.matchAll(/^```yaml\n([\s\S]*?)^```$/gm), (match) => match[1]!)

  it('[PL40] has an example for each of its parts', () => {
    expect(blocks.length).toBeGreaterThanOrEqual(11)
  })

  it.each(blocks.map((text, k) => [k + 1, text] as const))('[PL40] example %i is a good plan', (_, text) => {
    const { plan, problems } = parsePlan(text, {
      fileName: 'manual.yaml',
      knownKinds: ['shell', 'scripted', 'outside', 'claude', 'thumbnails'],
    })
    expect(formatProblems('manual.yaml', problems)).toBe('')
    expect(plan).toBeDefined()
  })

  const keys = keysOf(z.toJSONSchema(planSchema, { io: 'input' }) as Schema)

  it('[PL41] the schema has the keys that are promised', () => {
    for (const key of [
      'tasks',
      'needs',
      'if',
      'matrix',
      'retry.attempts',
      'resources.quota',
      'merge.land',
      'group.concurrency',
      'scope.write',
      'stall',
    ]) {
      expect(keys.map((each) => each.key)).toContain(key)
    }
  })

  it.each([...new Set(keys.map((each) => each.key))])(
    '[PL41] the key %s is in a table of the manual',
    (key) => {
      expect(manual).toMatch(
        new RegExp(key === 'matrix' ? '`matrix` makes' : `^\\| \`${key.replaceAll('.', '\\.')}\` \\|`, 'm'),
      )
    },
  )

  it('[PL42] every key has a description for editors', () => {
    expect(keys.filter((each) => each.description === undefined).map((each) => each.key)).toEqual([])
  })

  it('[PL42] plan.schema.json is current: write it anew with tools/plan-schema.ts', () => {
    expect(JSON.parse(read('plan.schema.json'))).toEqual(JSON.parse(JSON.stringify(planJsonSchema())))
  })
})

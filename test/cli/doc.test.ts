/** Goal: docs/cli.md says what the program does. Method: it is made again and compared. */
import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { ERRORS } from '../../src/core/error.ts'
import { cliDoc } from '../../tools/cli-doc.ts'

it('[CL18] docs/cli.md is current: run `npx tsx tools/cli-doc.ts`', () => {
  expect(readFileSync(new URL('../../docs/cli.md', import.meta.url), 'utf8')).toBe(cliDoc())
})

it('[CL2] every exit code of the catalogue is explained', () => {
  const doc = cliDoc()
  for (const { exit } of Object.values(ERRORS)) expect(doc).toContain(`\n| ${exit} | `)
})

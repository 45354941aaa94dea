// Writes plan.schema.json from the schema that reads plan files: run with tsx after a change of src/config/plan-schema.ts.
import { writeFileSync } from 'node:fs'
import { planJsonSchema } from '../src/config/plan-schema.ts'

writeFileSync(
  new URL('../plan.schema.json', import.meta.url),
  `${JSON.stringify(planJsonSchema(), null, 2)}\n`,
)

// A node in a process of its own, to be killed by its parent. Arguments: directory of the build, data directory, file with what to submit.
// Submits when the board is empty, follows every run to its end, closes, and says so on standard output, one JSON value for each line.
import { readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'

const [built, dataDir, submission] = process.argv.slice(2)
const { openNode } = await import(pathToFileURL(`${built}/node/node.js`).href)

const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`)
const node = await openNode({
  dataDir,
  slots: 6,
  log: (level, message) => say({ said: `${level}: ${message}` }),
})
say({ up: node.node, recovery: (await node.face.status()).recovery })
if ((await node.face.runs()).length === 0)
  await node.face.submit(JSON.parse(readFileSync(submission, 'utf8')))
for (const { id } of await node.face.runs()) {
  for await (const update of node.face.followRun({ run: id })) {
    if (update.type === 'end') say({ run: id, status: update.run.status })
  }
}
await node.close()
say({ closed: true })

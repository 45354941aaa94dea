/**
 * A node inside your own program, with workers that are functions: `npm run build && node examples/worker/main.mjs [DIR]`.
 *
 * Looks for broken links in the Markdown files under DIR (default: this project). For each file one task collects its links and the next one
 * follows them; a last task waits for all of them and sums up. Exits with 1 when a link leads nowhere.
 */
import { readdir, readFile, stat } from 'node:fs/promises'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createNode, defineWorker } from 'orch-node'

const root = process.argv[2] ? resolve(process.argv[2]) : fileURLToPath(new URL('../..', import.meta.url))
const files = await findMarkdown(root)

const collect = defineWorker({
  kind: 'collect-links',
  concurrency: 8,
  async run({ payload }) {
    const text = await readFile(join(root, payload.file), 'utf8')
    // Code may hold brackets that are no links.
    const prose = text.replace(/^```[\s\S]*?^```/gm, '').replace(/`[^`\n]*`/g, '')
    const targets = [...prose.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target]) => target)
    return targets.filter((target) => !/^(https?:|mailto:|#)/.test(target))
  },
})

const follow = defineWorker({
  kind: 'follow-links',
  concurrency: 8,
  async run(task) {
    const { payload } = task
    const links = await returnOf(payload.links)
    const broken = []
    for (const [index, target] of links.entries()) {
      task.step(index + 1, target)
      const path = join(root, dirname(payload.file), decodeURI(target.replace(/#.*$/, '')))
      const found = await stat(path).catch(() => undefined)
      if (!found) broken.push(target)
    }
    return { file: payload.file, links: links.length, broken }
  },
})

const sumUp = defineWorker({
  kind: 'sum-up',
  run: async ({ payload }) => Promise.all(payload.results.map(returnOf)),
})

// With `dataDir` the board is a journal on disk, and runs survive a crash. Without, it lives and ends with this process.
const node = await createNode({ workers: [collect, follow, sumUp] })
node.on('task.failed', ({ event }) => console.error(`failed    ${event.task}: ${event.error}`))
node.on('task.completed', ({ event }) => console.log(`completed ${event.task}`))
node.on('run.finished', ({ run, outcome }) => console.log(`finished  ${run}: ${outcome}`))

/** A promise, because the first tasks may run before `submit` has answered. */
const submitted = node.submit({
  name: 'links',
  tasks: [
    ...files.flatMap((file, n) => [
      { id: `links-${n}`, title: `Links of ${file}`, kind: 'collect-links', payload: { file } },
      {
        id: `targets-${n}`,
        title: `Targets of ${file}`,
        kind: 'follow-links',
        payload: { file, links: `links-${n}` },
        needs: [`links-${n}`],
        retry: { strategy: 'fixed', attempts: 2, delayMs: 100 },
      },
    ]),
    {
      id: 'report',
      kind: 'sum-up',
      payload: { results: files.map((_, n) => `targets-${n}`) },
      needs: files.map((_, n) => `targets-${n}`),
    },
  ],
})

const run = await submitted
const { outcome } = await run.done
const results = await run.value('report')
await node.close()

process.exitCode = 1
if (outcome === 'complete') {
  const broken = results.flatMap((result) => result.broken.map((target) => `${result.file}: ${target}`))
  const links = results.reduce((sum, result) => sum + result.links, 0)
  console.log(`${files.length} files, ${links} links, ${broken.length} broken`)
  for (const line of broken) console.log(`  ${line}`)
  if (broken.length === 0) process.exitCode = 0
}

/** What an earlier task returned. */
async function returnOf(task) {
  return (await submitted).value(task)
}

async function findMarkdown(dir, found = []) {
  for (const entry of await readdir(dir, { withFileTypes: true })) {
    if (entry.name === 'node_modules' || entry.name.startsWith('.')) continue
    const path = join(dir, entry.name)
    if (entry.isDirectory()) await findMarkdown(path, found)
    else if (entry.name.endsWith('.md')) found.push(relative(root, path).replaceAll('\\', '/'))
  }
  return found.sort()
}

/** Watches the board of a run with an ordinary Yjs client: `node examples/yjs-client/watch.mjs RUN [DATA_DIR]`. Ctrl-C ends it; the run goes on. */
import { readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import WebSocket from 'ws'
import { WebsocketProvider } from 'y-websocket'
import * as Y from 'yjs'

const { ORCH_DATA_DIR = join(homedir(), '.local/share/orch-node') } = process.env
const [run = 'cluster', dataDir = ORCH_DATA_DIR] = process.argv.slice(2)
const { url, token } = JSON.parse(readFileSync(join(dataDir, 'endpoint.json'), 'utf8'))

/** The token in a header; the option `params: { token }` would put it into the URL. */
class NodeSocket extends WebSocket {
  constructor(address) {
    super(address, { headers: { authorization: `Bearer ${token}` } })
  }
}

const doc = new Y.Doc()
for (const name of ['specs', 'claims', 'results', 'accepts', 'nodes', 'members']) {
  const facts = doc.getMap(name)
  facts.observe(({ keysChanged }) => {
    for (const key of keysChanged) {
      const [, about, author] = /^(.*)\/([^/]+)\/[^/]+$/.exec(key)
      console.log(`${name} ${about} by ${author.slice(-8)}: ${new TextDecoder().decode(facts.get(key))}`)
    }
  })
}

const options = { WebSocketPolyfill: NodeSocket, disableBc: true }
const board = new WebsocketProvider(`${url.replace('http', 'ws')}/board`, run, doc, options)
board.on('sync', (isSynced) => console.log(isSynced ? `-- in step with ${run}` : '-- connection lost'))
board.on('connection-error', ({ message }) => console.error(`-- ${message}`))
board.on('closed', ({ reason }) => process.exit(console.error(`-- ${reason}`) ?? 1))

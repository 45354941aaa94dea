/** Connects the streams of `/orch/git/1` with the git edge: members may read every repository that this node has. */
import { setMaxListeners } from 'node:events'
import { isOrchError } from '../core/error.ts'
import { shortNode } from '../core/id.ts'
import type { Git } from '../git/git.ts'
import { type GitServeOptions, serveGitStreams } from '../net/git.ts'
import type { Net } from '../net/net.ts'

export interface ObjectsServeOptions extends GitServeOptions {
  readonly net: Net
  readonly git: Pick<Git, 'has' | 'serve'>
  readonly say: (level: 'info' | 'warn' | 'error', message: string) => void
}

/** Returns the end of it: no new streams, and those under way are aborted. */
export function serveObjects(options: ObjectsServeOptions): () => void {
  const { net, git, say } = options
  const close = new AbortController()
  // Every stream listens to it.
  setMaxListeners(0, close.signal)
  const undo = serveGitStreams(
    net,
    async (repository, peer) => {
      if (!(await git.has(repository)))
        return { ok: false, code: 'ORCH_NOT_FOUND', message: 'this node does not have that repository' }
      return {
        ok: true,
        async serve(stream) {
          try {
            await git.serve(repository, stream, { signal: close.signal })
          } catch (error) {
            if (!close.signal.aborted && !(isOrchError(error) && error.code === 'ORCH_PEER_GONE'))
              say(
                'warn',
                `git objects for ${shortNode(peer)}: ${error instanceof Error ? error.message : String(error)}`,
              )
            stream.abort('failed')
          }
        },
      }
    },
    options,
  )
  return () => {
    undo()
    close.abort()
  }
}

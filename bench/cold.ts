/** One W1 in a process that has run nothing before: what a short program gets. */
import { endToEndOnce } from './w1.ts'

process.send?.({ rate: await endToEndOnce(10_000) })
process.disconnect()

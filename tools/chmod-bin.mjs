// tsc does not set the executable bit, and npm's bin links need it when the checkout itself is used.
import { chmodSync } from 'node:fs'

chmodSync(new URL('../dist/cli/main.js', import.meta.url), 0o755)

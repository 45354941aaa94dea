/** Node profile: a YAML file with the settings of a node. `nodes/` holds ready ones; a name without a path means one of those. */
import { existsSync, readFileSync, statSync } from 'node:fs'
import { isAbsolute, resolve } from 'node:path'
import { parse } from 'yaml'
import { z } from 'zod'
import { OrchError } from '../core/error.ts'
import { NODE_ADDRESSES_MAX, SLOTS_MAX } from '../core/limit.ts'
import { readDuration, readSize } from '../core/quantity.ts'

/** A profile is a page of text; anything larger is another file. */
const PROFILE_BYTES_MAX = 64 * 1024

const amount = z.number().min(0)
const addresses = z.array(z.string().min(1)).max(NODE_ADDRESSES_MAX)
const schema = z
  .strictObject({
    name: z.string().min(1).max(64),
    slots: z.int().min(1).max(SLOTS_MAX),
    http: z.int().min(0).max(65_535),
    backend: z.enum(['file', 'crdt', 'memory']),
    listen: addresses.min(1),
    join: addresses,
    capabilities: z.array(z.string().min(1).max(64)).max(100),
    capacity: z
      .strictObject({
        cpu: amount,
        memory: z.union([z.string(), amount]),
        gpu: amount,
        quota: z.record(z.string(), amount),
      })
      .partial(),
    stall: z.string(),
    pending: z.int().min(1),
    environment: z.array(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/)).max(200),
  })
  .partial()

/** Settings that a profile may give; what is absent keeps its default. */
export interface Profile {
  readonly name?: string
  readonly slots?: number
  /** Port; 0 = any free one. */
  readonly http?: number
  readonly backend?: 'file' | 'crdt' | 'memory'
  /** As written: `host:port`, or multiaddrs. */
  readonly listen?: readonly string[]
  /** As written: addresses of members. */
  readonly join?: readonly string[]
  readonly capabilities?: readonly string[]
  readonly capacity?: {
    readonly cpu?: number
    readonly memoryBytes?: number
    readonly gpu?: number
    readonly quota?: Readonly<Record<string, number>>
  }
  readonly stallMs?: number
  readonly pendingTasksMax?: number
  readonly keepEnv?: readonly string[]
}

/**
 * @param named a path, or the name of a profile that comes with the package
 * @throws ORCH_USAGE with every problem of the file
 */
export function readProfile(named: string, cwd: string): Profile {
  const path = profilePath(named, cwd)
  if (statSync(path).size > PROFILE_BYTES_MAX) throw wrong(path, [`larger than ${PROFILE_BYTES_MAX} bytes`])
  let value: unknown
  try {
    value = parse(readFileSync(path, 'utf8')) ?? {}
  } catch (error) {
    throw wrong(path, [error instanceof Error ? error.message : String(error)])
  }
  const read = schema.safeParse(value)
  if (!read.success)
    throw wrong(
      path,
      read.error.issues.map((issue) => `${issue.path.join('.') || 'the file'}: ${issue.message}`),
    )
  return toProfile(read.data, path)
}

function profilePath(named: string, cwd: string): string {
  const own = isAbsolute(named) ? named : resolve(cwd, named)
  if (existsSync(own) && statSync(own).isFile()) return own
  if (/^[a-z][a-z0-9-]*(?:\/[a-z][a-z0-9-]*)?$/.test(named)) {
    const shipped = new URL(`../../nodes/${named}.yaml`, import.meta.url)
    if (existsSync(shipped)) return shipped.pathname
  }
  throw new OrchError(
    'ORCH_USAGE',
    `there is no profile ${JSON.stringify(named)}: neither a file nor one of the package's`,
    {
      hint: 'name a YAML file, or `solo`, `peer`, `worker`, `observer`',
    },
  )
}

function toProfile(data: z.infer<typeof schema>, path: string): Profile {
  const { name, slots, http, backend, listen, join } = data
  const { capabilities, capacity, stall, pending, environment } = data
  const problems: string[] = []
  const stallMs = stall === undefined ? undefined : readDuration(stall)
  if (stall !== undefined && stallMs === undefined)
    problems.push(`stall: not a duration: ${JSON.stringify(stall)} (60s, 5m)`)
  const memory = capacity?.memory
  const memoryBytes = typeof memory === 'string' ? readSize(memory) : memory
  if (memory !== undefined && memoryBytes === undefined)
    problems.push(`capacity.memory: not a size: ${JSON.stringify(memory)} (8GiB)`)
  if (problems.length > 0) throw wrong(path, problems)
  return {
    ...(name === undefined ? {} : { name }),
    ...(slots === undefined ? {} : { slots }),
    ...(http === undefined ? {} : { http }),
    ...(backend === undefined ? {} : { backend }),
    ...(listen === undefined ? {} : { listen }),
    ...(join === undefined ? {} : { join }),
    ...(capabilities === undefined ? {} : { capabilities }),
    ...(capacity === undefined
      ? {}
      : {
          capacity: {
            ...(capacity.cpu === undefined ? {} : { cpu: capacity.cpu }),
            ...(memoryBytes === undefined ? {} : { memoryBytes }),
            ...(capacity.gpu === undefined ? {} : { gpu: capacity.gpu }),
            ...(capacity.quota === undefined ? {} : { quota: capacity.quota }),
          },
        }),
    ...(stallMs === undefined ? {} : { stallMs }),
    ...(pending === undefined ? {} : { pendingTasksMax: pending }),
    ...(environment === undefined ? {} : { keepEnv: environment }),
  }
}

function wrong(path: string, problems: readonly string[]): OrchError {
  return new OrchError('ORCH_USAGE', `profile ${path}: ${problems.join('; ')}`, {
    hint: 'nodes/solo.yaml shows every key',
    context: { path, problems },
  })
}

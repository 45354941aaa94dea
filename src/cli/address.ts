/** Addresses of nodes: people write and read `host:port`, nodes speak of multiaddrs. */

const HOST_PORT = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)):(\d{1,5})$/
const IPV4 = /^\d{1,3}(?:\.\d{1,3}){3}$/
const MULTIADDR = /^\/(ip4|ip6|dns|dns4|dns6)\/([^/\s]+)\/tcp\/(\d{1,5})(?:\/[^\s/]+)*$/
const PORT_MAX = 65_535

/** `undefined` = it is none. */
export function readAddress(text: string): string | undefined {
  const multiaddr = MULTIADDR.exec(text)
  if (multiaddr) return Number(multiaddr[3]) <= PORT_MAX ? text : undefined
  const [, six, host, port] = HOST_PORT.exec(text) ?? []
  if (port === undefined || Number(port) > PORT_MAX) return undefined
  if (six !== undefined) return `/ip6/${six}/tcp/${port}`
  if (host === 'localhost') return `/ip4/127.0.0.1/tcp/${port}`
  return IPV4.test(host!) ? `/ip4/${host}/tcp/${port}` : `/dns/${host}/tcp/${port}`
}

/** `host:port` of a multiaddr, without the node that it names; anything else as it is. */
export function showAddress(address: string): string {
  const [, kind, host, port] = MULTIADDR.exec(address) ?? []
  if (host === undefined) return address
  return kind === 'ip6' ? `[${host}]:${port}` : `${host}:${port}`
}

/** True for addresses of the machine itself: no other one comes in by them. */
export function isLoopback(address: string): boolean {
  const host = MULTIADDR.exec(address)?.[2]
  return host !== undefined && (host.startsWith('127.') || host === '::1' || host === 'localhost')
}

/**
 * Signatures that cost next to nothing and that nobody in the simulation forges: a checksum of the bytes that begins with the name of who signs. Real ones would take most of the
 * time, and are tested where they are made.
 */
import type { NodeId } from '../core/id.ts'
import type { Signer, Verify } from '../store/frame.ts'

/** Of Ed25519. */
const SIGNATURE_BYTES = 64

function checksum(node: NodeId, bytes: Uint8Array): readonly [number, number] {
  let a = 0x811c9dc5
  let b = 0x9e3779b9
  for (let i = 0; i < node.length; i++) a = Math.imul(a ^ node.charCodeAt(i), 0x01000193)
  for (const byte of bytes) {
    a = Math.imul(a ^ byte, 0x01000193)
    b = (Math.imul(b, 31) + a) | 0
  }
  return [a, b]
}

export function signerOf(node: NodeId): Signer {
  return {
    node,
    sign(bytes) {
      const signature = new Uint8Array(SIGNATURE_BYTES)
      new Int32Array(signature.buffer).set(checksum(node, bytes))
      return signature
    },
  }
}

export const verifySignature: Verify = (node, bytes, signature) => {
  const view = new DataView(signature.buffer, signature.byteOffset, signature.byteLength)
  const [a, b] = checksum(node, bytes)
  return (
    view.getInt32(0, true) === a &&
    view.getInt32(4, true) === b &&
    signature.subarray(8).every((byte) => byte === 0)
  )
}

// The binary frames of a live call: 4 bytes of header, u32 big-endian size, payload.

const REQUEST = 0x10, VOICE = 0x20, EVENT = 0x90, SOUND = 0xb0;
const JSON_SAYS = 0x10;

function framed(type, says, body) {
  const frame = new Uint8Array(8 + body.byteLength);
  frame.set([0x11, type, says, 0]);
  new DataView(frame.buffer).setUint32(4, body.byteLength);
  frame.set(new Uint8Array(body.buffer, body.byteOffset, body.byteLength), 8);
  return frame;
}

export function request(event, payload = {}) {
  return framed(REQUEST, JSON_SAYS, new TextEncoder().encode(JSON.stringify({ event, payload })));
}

// s16le mono 16 kHz.
export function voice(samples) { return framed(VOICE, JSON_SAYS, samples); }

// {event, payload}, or {pcm: Int16Array}; null for what this page does not know.
export function parse(data) {
  if (!(data instanceof ArrayBuffer) || data.byteLength < 8) return null;
  const view = new DataView(data), size = view.getUint32(4);
  if (view.getUint8(0) !== 0x11 || size !== data.byteLength - 8) return null;
  if (view.getUint8(1) === SOUND) return { pcm: new Int16Array(data.slice(8, 8 + size - (size % 2))) };
  if (view.getUint8(1) !== EVENT) return null;
  const { event, payload = {} } = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 8)));
  return { event, payload };
}

// Files to save: WAV, and the container that `codax decode` reads (docs/container.md).

// A 16-bit WAV file of one channel.
export function wavFile(samples, rate) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const text = (at, word) => [...word].forEach((letter, i) => view.setUint8(at + i, letter.charCodeAt(0)));
  text(0, 'RIFF');
  view.setUint32(4, 36 + 2 * samples.length, true);
  text(8, 'WAVEfmt ');
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); // integers
  view.setUint16(22, 1, true); // channels
  view.setUint32(24, rate, true);
  view.setUint32(28, 2 * rate, true);
  view.setUint16(32, 2, true);
  view.setUint16(34, 16, true);
  text(36, 'data');
  view.setUint32(40, 2 * samples.length, true);
  samples.forEach((x, i) => view.setInt16(44 + 2 * i, Math.max(-32768, Math.min(32767, Math.round(32768 * x))), true));
  return new Uint8Array(view.buffer);
}

// A .codax file of `samples` samples: header, packed codes, and a checksum of each.
export function codaxFile({ codes, frames, quantizers }, samples, facts, bits) {
  const name = nameOf(facts.model), header = new Uint8Array(31 + name.length), view = new DataView(header.buffer);
  header.set([0xc0, 0xda, 0x78, 1, 0]); // magic, version, flags
  header.set(facts.hash.match(/../g).map(pair => parseInt(pair, 16)), 5);
  integer(header, 13, 3, facts.sample_rate);
  integer(header, 16, 5, samples);
  header.set([1, 1, quantizers], 21); // channels, streams
  view.setUint16(24, facts.codebook_size - 1, true);
  view.setUint32(26, frames, true);
  header[30] = name.length;
  header.set(name, 31);
  const payload = packed(codes, bits);
  return new Blob([header, checksum(header), payload, checksum(payload)]);
}

// The model's name in at most 25 bytes of UTF-8, cut between characters.
function nameOf(text) {
  let name = [];
  for (const letter of text) {
    const bytes = new TextEncoder().encode(letter);
    if (name.length + bytes.length > 25) break;
    name = [...name, ...bytes];
  }
  return Uint8Array.from(name);
}

function integer(bytes, at, count, value) {
  for (let i = 0; i < count; i++) bytes[at + i] = Math.floor(value / 256 ** i) % 256;
}

// `bits` bits for each code, the least significant first.
function packed(codes, bits) {
  const bytes = new Uint8Array(Math.ceil((codes.length * bits) / 8));
  for (let i = 0, at = 0; i < codes.length; i++) {
    for (let b = 0; b < bits; b++, at++) bytes[at >> 3] |= ((codes[i] >> b) & 1) << (at & 7);
  }
  return bytes;
}

// CRC-32 as in zlib.
const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

function checksum(bytes) {
  const crc = bytes.reduce((sum, byte) => TABLE[(sum ^ byte) & 255] ^ (sum >>> 8), 0xffffffff);
  const out = new Uint8Array(4);
  integer(out, 0, 4, (crc ^ 0xffffffff) >>> 0);
  return out;
}

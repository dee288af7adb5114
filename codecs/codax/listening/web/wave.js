// Audio of the page: 16-bit WAV files in base64, inside of the page or in scripts beside it.

const arrived = new Map(); // blind id -> function that takes the base64 text

// Called by the files in audio/.
function codaxAudio(id, text) {
  arrived.get(id)?.(text);
}

function textOf(id) {
  const element = document.getElementById(`audio-${id}`);
  if (element) return Promise.resolve(element.textContent);
  return new Promise((resolve, reject) => {
    const script = document.createElement('script');
    const done = () => { arrived.delete(id); script.remove(); };
    arrived.set(id, text => { done(); resolve(text); });
    script.onerror = () => { done(); reject(new Error(`audio/${id}.js cannot be loaded`)); };
    script.src = `audio/${id}.js`;
    document.head.append(script);
  });
}

// Gives the rate in Hz and one Float32Array for each channel. A sample is its integer / 32768.
function decodeWave(text) {
  const binary = atob(text), bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  const view = new DataView(bytes.buffer);
  const name = at => String.fromCharCode(...bytes.subarray(at, at + 4));
  let rate = 0, count = 0;
  for (let at = 12; at + 8 <= bytes.length;) {
    const kind = name(at), size = view.getUint32(at + 4, true), body = at + 8;
    if (kind === 'fmt ') {
      count = view.getUint16(body + 2, true);
      rate = view.getUint32(body + 4, true);
    } else if (kind === 'data') {
      const frames = Math.floor(size / 2 / count);
      const channels = Array.from({ length: count }, () => new Float32Array(frames));
      for (let i = 0, from = body; i < frames; i++) {
        for (const channel of channels) { channel[i] = view.getInt16(from, true) / 32768; from += 2; }
      }
      return { rate, channels };
    }
    at = body + size + (size % 2);
  }
  throw new Error('not a WAV file');
}

async function loadSignals(ids) {
  const texts = await Promise.all(ids.map(textOf));
  return new Map(ids.map((id, i) => [id, decodeWave(texts[i])]));
}

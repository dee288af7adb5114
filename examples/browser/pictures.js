// Spectrograms and codes on a canvas.

const SIZE = 512, RANGE = 80; // samples of a window; dB below the loudest that are shown
const hann = Float64Array.from({ length: SIZE }, (_, i) => 0.5 - 0.5 * Math.cos(2 * Math.PI * i / SIZE));

// Powers of the frequencies 0 to SIZE / 2 of a window: a radix-2 transform.
function powers(window) {
  const re = new Float64Array(SIZE), im = new Float64Array(SIZE), bits = Math.log2(SIZE);
  for (let i = 0; i < SIZE; i++) {
    let j = 0;
    for (let b = 0; b < bits; b++) j |= ((i >> b) & 1) << (bits - 1 - b);
    re[j] = window[i];
  }
  for (let half = 1; half < SIZE; half *= 2) {
    for (let k = 0; k < half; k++) {
      const c = Math.cos(Math.PI * k / half), s = -Math.sin(Math.PI * k / half);
      for (let i = k; i < SIZE; i += 2 * half) {
        const j = i + half, x = re[j] * c - im[j] * s, y = re[j] * s + im[j] * c;
        re[j] = re[i] - x; im[j] = im[i] - y;
        re[i] += x; im[i] += y;
      }
    }
  }
  return Float64Array.from({ length: SIZE / 2 + 1 }, (_, i) => re[i] ** 2 + im[i] ** 2);
}

// Columns of levels in dB, lowest frequency first, `count` of them over the signal.
export function spectrum(samples, count) {
  const columns = [], padded = new Float32Array(Math.max(samples.length, SIZE));
  padded.set(samples);
  for (let i = 0; i < count; i++) {
    const start = Math.round(i * (padded.length - SIZE) / Math.max(1, count - 1));
    columns.push(powers(hann.map((w, k) => w * padded[start + k])).map(p => 10 * Math.log10(p + 1e-12)));
  }
  return columns;
}

// Dark blue over red to pale yellow.
function colour(x) {
  const t = Math.min(1, Math.max(0, x));
  return [255 * Math.min(1, 2 * t), 255 * Math.max(0, 1.6 * t - 0.6), 255 * (t < 0.35 ? t : Math.max(0.15 * t, 3 * t - 2.1))];
}

function paint(canvas, width, height, value) {
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext('2d'), image = context.createImageData(width, height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) image.data.set([...colour(value(x, y)), 255], 4 * (y * width + x));
  }
  context.putImageData(image, 0, 0);
}

// Both on one scale: 0 dB is the loudest place of `reference`.
export function drawSpectrogram(canvas, samples, reference) {
  const width = Math.max(64, Math.min(900, Math.floor(samples.length / 64)));
  const columns = spectrum(samples, width), scale = reference === samples ? columns : spectrum(reference, width);
  const top = scale.reduce((most, column) => column.reduce((a, b) => Math.max(a, b), most), -200);
  paint(canvas, width, SIZE / 2, (x, y) => 1 + (columns[x][SIZE / 2 - y] - top) / RANGE);
}

export function drawCodes(canvas, { codes, frames, quantizers }, entries) {
  paint(canvas, frames, quantizers, (x, y) => (codes[x * quantizers + y] + 1) / entries);
}

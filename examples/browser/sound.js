// Sound as a Float32Array of one channel at the codec's rate: from files and from the microphone.

// What the browser decodes: it resamples to the rate.
export async function fromFile(bytes, rate) {
  const buffer = await new OfflineAudioContext(1, 1, rate).decodeAudioData(bytes);
  return mixed(buffer);
}

function mixed(buffer) {
  const sum = new Float32Array(buffer.length);
  for (let c = 0; c < buffer.numberOfChannels; c++) {
    const channel = buffer.getChannelData(c);
    for (let i = 0; i < sum.length; i++) sum[i] += channel[i];
  }
  return buffer.numberOfChannels === 1 ? sum : sum.map(x => x / buffer.numberOfChannels);
}

const TAP = `registerProcessor('tap', class extends AudioWorkletProcessor {
  process([input]) { if (input[0]) this.port.postMessage(input[0].slice()); return true; }
});`;

// Raw: changes that browsers make to voices would be heard as the codec's.
export function openMicrophone() {
  if (!navigator.mediaDevices) throw new Error('browsers allow the microphone only on pages from https: or this machine');
  const raw = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
  return navigator.mediaDevices.getUserMedia({ audio: raw });
}

// Records until `stop`, which gives the samples.
export class Recorder {
  async start() {
    this.stream = await openMicrophone();
    this.context = new AudioContext();
    const module = URL.createObjectURL(new Blob([TAP], { type: 'text/javascript' }));
    await this.context.audioWorklet.addModule(module);
    URL.revokeObjectURL(module);
    this.pieces = [];
    const tap = new AudioWorkletNode(this.context, 'tap', { numberOfOutputs: 0 });
    tap.port.onmessage = ({ data }) => this.pieces.push(data);
    this.context.createMediaStreamSource(this.stream).connect(tap);
    await this.context.resume();
  }

  async stop(rate) {
    this.stream.getTracks().forEach(track => track.stop());
    const length = this.pieces.reduce((sum, piece) => sum + piece.length, 0), { sampleRate } = this.context;
    await this.context.close();
    if (!length) throw new Error('the microphone gave no sound');
    const buffer = new AudioBuffer({ length, sampleRate, numberOfChannels: 1 });
    let at = 0;
    for (const piece of this.pieces) { buffer.copyToChannel(piece, 0, at); at += piece.length; }
    const offline = new OfflineAudioContext(1, Math.max(1, Math.round(length * rate / sampleRate)), rate);
    const source = new AudioBufferSourceNode(offline, { buffer });
    source.connect(offline.destination);
    source.start();
    return mixed(await offline.startRendering());
  }
}

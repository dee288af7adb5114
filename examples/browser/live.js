// The live loop: microphone, encoder, decoder, loudspeaker, frame by frame.

import { openMicrophone } from './sound.js';

const LONGEST = 0.5; // s of sound that may wait, before or after the codec; more is dropped

export class LiveLoop {
  // `count()` gives the number of quantizers now; `report({ delay, gaps })` is called four times a second, and `report({ error })` if it ends.
  constructor(codec, count, report) {
    Object.assign(this, { codec, count, report });
    this.captured = []; // times of the frames that are in the codec, in samples of the audio clock
    this.waiting = [];
    this.dropped = 0;
  }

  async start() {
    const { sample_rate: sampleRate, hop } = this.codec.facts;
    this.encoder = await this.codec.stream('encoder');
    this.decoder = await this.codec.stream('decoder');
    this.microphone = await openMicrophone();
    // At the model's own rate the browser resamples the microphone and the result.
    this.context = new AudioContext({ sampleRate, latencyHint: 'interactive' });
    await this.context.audioWorklet.addModule(new URL('loop-worklet.js', import.meta.url));
    const processorOptions = { hop, longest: LONGEST * sampleRate };
    this.node = new AudioWorkletNode(this.context, 'loop', { processorOptions, outputChannelCount: [1] });
    this.node.port.onmessage = ({ data }) => (data.samples ? this.take(data) : this.tell(data));
    this.context.createMediaStreamSource(this.microphone).connect(this.node).connect(this.context.destination);
    await this.context.resume();
  }

  async stop() {
    this.stopped = true;
    this.microphone?.getTracks().forEach(track => track.stop());
    await this.context?.close();
  }

  tell({ delay, gaps }) {
    this.delay = delay;
    this.report({ delay, gaps: gaps + this.dropped, device: this.context.outputLatency || this.context.baseLatency });
  }

  // One frame after the other: a stream has a state.
  async take(piece) {
    this.waiting.push(piece);
    const { sample_rate: rate, hop } = this.codec.facts;
    if (this.waiting.length * hop > LONGEST * rate) { // this computer is too slow
      this.waiting.shift();
      this.dropped++;
    }
    if (this.busy) return;
    this.busy = true;
    try {
      while (this.waiting.length && !this.stopped) await this.code(this.waiting.shift());
    } catch (error) {
      this.stopped = true;
      this.report({ error });
    }
    this.busy = false;
  }

  async code({ samples, captured }) {
    this.captured.push(captured);
    const { hop } = this.codec.facts;
    for (const codes of frames(await this.encoder.push(samples), this.codec.facts.quantizers)) {
      const audio = await this.decoder.push(codes.subarray(0, this.count()));
      for (const part of frames(audio, hop)) this.node.port.postMessage({ samples: part, captured: this.captured.shift() });
    }
  }
}

function frames(values, size) {
  return Array.from({ length: values.length / size }, (_, i) => values.slice(i * size, (i + 1) * size));
}

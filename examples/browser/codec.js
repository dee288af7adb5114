// An exported codec in onnxruntime-web: the folder that `codax export MODEL FOLDER --format onnx` writes.

import * as ort from './node_modules/onnxruntime-web/dist/ort.wasm.min.mjs';

// Threads need a page that is isolated from other origins (headers COOP and COEP of its server).
if (!self.crossOriginIsolated) ort.env.wasm.numThreads = 1;
ort.env.wasm.proxy = true; // in a worker, so that the page answers while it computes

const tensors = {
  length: n => new ort.Tensor('int32', Int32Array.of(n), []),
  denoise: () => new ort.Tensor('float32', Float32Array.of(0), []),
};

export class Codec {
  // `read` gives the bytes of a file of the folder, as a promise of an ArrayBuffer.
  static async load(read) {
    const facts = JSON.parse(new TextDecoder().decode(await read('codec.json')));
    if (facts.codax !== 1) throw new Error('codec.json is not that of an exported codec');
    if (facts.segment || facts.normalize || facts.channels !== 1) {
      throw new Error(`model ${facts.model} works in segments or on several channels, which this page does not do`);
    }
    const codec = new Codec(facts, read);
    await codec.load('encoder', 'decoder');
    return codec;
  }

  constructor(facts, read) {
    this.facts = facts;
    this.read = read;
    this.sessions = {};
    this.bits = Math.max(1, Math.ceil(Math.log2(facts.codebook_size))); // of a code
  }

  // A Float32Array at facts.sample_rate to { codes, frames, quantizers }: codes are an Int32Array, frame by frame.
  async encode(samples) {
    const { hop, quantizers, least_frames: least } = this.facts;
    const frames = Math.ceil(samples.length / hop), padded = new Float32Array(Math.max(frames, least) * hop);
    padded.set(samples);
    const feeds = { audio: new ort.Tensor('float32', padded, [1, padded.length, 1]) };
    const { codes } = await this.run('encoder', feeds, samples.length);
    return { codes: codes.data.slice(0, frames * quantizers), frames, quantizers };
  }

  // The first so many quantizers of each frame.
  first({ codes, frames, quantizers }, count) {
    const kept = new Int32Array(frames * count);
    for (let i = 0; i < frames; i++) kept.set(codes.subarray(i * quantizers, i * quantizers + count), i * count);
    return { codes: kept, frames, quantizers: count };
  }

  // Codes to a Float32Array of frames * hop samples.
  async decode({ codes, frames, quantizers }) {
    const least = Math.max(frames, this.facts.least_frames), padded = new Int32Array(least * quantizers);
    padded.set(codes);
    const feeds = { codes: new ort.Tensor('int32', padded, [1, least, quantizers]) };
    const { audio } = await this.run('decoder', feeds, 0);
    return audio.data.slice(0, frames * this.facts.hop);
  }

  // Loads programs, those that the model has and that are not loaded yet.
  async load(...names) {
    for (const name of names.filter(key => key in this.facts.programs && !(key in this.sessions))) {
      const { file } = this.facts.programs[name];
      if (!file.endsWith('.onnx')) throw new Error(`${file} is not an ONNX model`);
      this.sessions[name] = await ort.InferenceSession.create(new Uint8Array(await this.read(file)));
    }
  }

  get streams() {
    return 'encoder_step' in this.facts.programs;
  }

  // Opens a stream of one side, 'encoder' or 'decoder'.
  async stream(side) {
    await this.load(`${side}_start`, `${side}_step`);
    return new Stream(this, side);
  }

  run(program, feeds, length) {
    for (const { name } of this.facts.programs[program].inputs) feeds[name] ??= tensors[name](length);
    return this.sessions[program].run(feeds);
  }
}

// One side of a stream. Its state passes from call to call, and a start program, if there is one, takes the first frames.
class Stream {
  constructor(codec, side) {
    Object.assign(this, { codec, side, collected: [], state: null });
    const { [`${side}_start`]: start, [`${side}_step`]: step } = codec.facts.programs;
    this.frames = (start ?? step).frames;
    if (start) return;
    const names = new Set(step.states.map(({ input }) => input));
    this.state = Object.fromEntries(step.inputs.filter(({ name }) => names.has(name)).map(({ name, dtype, shape }) => {
      const sizes = shape.map(size => (typeof size === 'number' ? size : 1)), count = sizes.reduce((a, b) => a * b, 1);
      const data = { float32: Float32Array, int32: Int32Array, bool: Uint8Array }[dtype];
      return [name, new ort.Tensor(dtype, new data(count), sizes)];
    }));
  }

  // The next frame: a Float32Array of facts.hop samples, or an Int32Array of the codes of the first quantizers. Gives
  // the codes or the samples that are complete, which are none until a start program has its frames.
  async push(frame) {
    this.collected.push(frame);
    if (this.collected.length < this.frames) return new frame.constructor(0);
    const { side, codec, frames } = this, program = `${side}_${this.state ? 'step' : 'start'}`;
    const width = Math.min(...this.collected.map(({ length }) => length)), data = new frame.constructor(frames * width);
    this.collected.forEach((values, i) => data.set(values.subarray(0, width), i * width));
    const feeds = side === 'encoder' ? { audio: new ort.Tensor('float32', data, [1, data.length, 1]) }
      : { codes: new ort.Tensor('int32', data, [1, frames, width]) };
    const results = await codec.run(program, { ...feeds, ...this.state }, frames * codec.facts.hop);
    const { states } = codec.facts.programs[program];
    this.state = Object.fromEntries(states.map(({ input, output }) => [input, results[output]]));
    this.collected = [];
    this.frames = codec.facts.programs[`${side}_step`].frames;
    return results[side === 'encoder' ? 'codes' : 'audio'].data;
  }
}

// An exported codec in onnxruntime-web: the folder that `codax export MODEL FOLDER --format onnx` writes.

import * as ort from './node_modules/onnxruntime-web/dist/ort.wasm.min.mjs';

// Threads need a page that is isolated from other origins (headers COOP and COEP of its server).
if (!self.crossOriginIsolated) ort.env.wasm.numThreads = 1;

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
    const sessions = {};
    for (const name of ['encoder', 'decoder']) {
      const { file } = facts.programs[name];
      if (!file.endsWith('.onnx')) throw new Error(`${file} is not an ONNX model`);
      sessions[name] = await ort.InferenceSession.create(new Uint8Array(await read(file)));
    }
    return new Codec(facts, sessions);
  }

  constructor(facts, sessions) {
    this.facts = facts;
    this.sessions = sessions;
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

  run(program, feeds, length) {
    for (const { name } of this.facts.programs[program].inputs) feeds[name] ??= tensors[name](length);
    return this.sessions[program].run(feeds);
  }
}

// Two signals on one clock: what is heard is chosen by their gains alone, so that switching keeps the position.

const FADE = 0.005, AHEAD = 0.02; // s of a fade; s between a command and its effect

export class Player {
  constructor(changed) {
    this.changed = changed;
    this.chosen = 'coded';
    this.playing = false;
    this.offset = 0; // s into the signals, while nothing plays
    this.signals = {};
    this.sources = {};
  }

  // Takes { original, coded }, Float32Arrays of one length, at a rate in Hz; stops what plays.
  load(signals, rate) {
    this.pause();
    this.offset = 0;
    this.signals = { ...signals };
    if (!this.context || this.context.sampleRate !== rate) {
      this.context?.close();
      this.context = new AudioContext({ sampleRate: rate });
      this.gains = {};
      for (const name of Object.keys(signals)) {
        this.gains[name] = this.context.createGain();
        this.gains[name].gain.value = name === this.chosen ? 1 : 0;
        this.gains[name].connect(this.context.destination);
      }
    }
    this.duration = signals.original.length / rate;
    this.changed();
  }

  // Another version of a signal, which is heard from the same position.
  replace(name, samples) {
    this.signals[name] = samples;
    if (!this.playing) return;
    const old = this.sources[name], when = this.soon();
    this.fade(old.gain, 0, when);
    old.source.stop(when + FADE);
    this.startSource(name, when, (when - this.began) % this.duration);
    this.fade(this.sources[name].gain, 1, when, 0);
  }

  choose(name) {
    this.chosen = name;
    if (this.playing) for (const [key, gain] of Object.entries(this.gains)) this.fade(gain, key === name ? 1 : 0, this.soon());
    else for (const [key, gain] of Object.entries(this.gains)) gain.gain.value = key === name ? 1 : 0;
    this.changed();
  }

  toggle() {
    if (this.playing) this.pause();
    else this.start();
  }

  start() {
    this.context.resume();
    const when = this.soon();
    this.began = when - this.offset;
    for (const name of Object.keys(this.signals)) this.startSource(name, when, this.offset);
    this.playing = true;
    this.changed();
  }

  pause() {
    if (!this.playing) return;
    this.offset = this.place();
    for (const { source } of Object.values(this.sources)) source.stop();
    this.playing = false;
    this.changed();
  }

  seek(seconds) {
    const again = this.playing;
    this.pause();
    this.offset = Math.max(0, Math.min(seconds, this.duration - 1e-3));
    if (again) this.start();
    else this.changed();
  }

  // Seconds into the signals.
  place() {
    if (!this.playing) return this.offset;
    return Math.max(0, this.context.currentTime - this.began) % this.duration;
  }

  // A time for commands, on a sample, so that nothing is interpolated.
  soon() {
    const { currentTime, sampleRate } = this.context;
    return Math.ceil((currentTime + AHEAD) * sampleRate) / sampleRate;
  }

  startSource(name, when, offset) {
    const { context } = this, buffer = context.createBuffer(1, this.signals[name].length, context.sampleRate);
    buffer.copyToChannel(this.signals[name], 0);
    const source = new AudioBufferSourceNode(context, { buffer, loop: true }), gain = context.createGain();
    source.connect(gain).connect(this.gains[name]);
    source.start(when, Math.round(offset * context.sampleRate) / context.sampleRate);
    this.sources[name] = { source, gain };
  }

  fade(node, value, when, from = node.gain.value) {
    node.gain.cancelScheduledValues(when);
    node.gain.setValueAtTime(from, when);
    node.gain.linearRampToValueAtTime(value, when + FADE);
  }
}

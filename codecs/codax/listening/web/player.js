// All signals of a trial run together on one clock; what is heard is chosen by their gains alone. So switching keeps the
// place to the sample, however fast it is done.

// Frames between two switches. Chromium misplaces a curve that starts in a block of 128 where another of its gain ends.
const APART = 129;
const AHEAD = 0.02; // s between a key and its effect, so that the audio thread never comes too late

class Player {
  constructor() {
    this.context = null;
    this.signals = new Map();
    this.level = 0; // dB
    this.section = [0, 0];
    this.chosen = null;
    this.playing = false;
    this.offset = 0; // s into the section at which the signals start
    this.free = 0; // context time from which on nothing of an earlier start is heard
    this.onchange = () => {};
  }

  // Takes what loadSignals gives; stops what plays.
  load(signals) {
    this.stop();
    const first = signals.values().next().value;
    this.signals = signals;
    this.duration = first.channels[0].length / first.rate;
    this.section = [0, this.duration];
    this.loops = null;
    this.offset = 0;
    this.chosen = null;
    if (!this.context || this.rate !== first.rate) {
      this.context?.close();
      this.rate = first.rate;
      this.free = 0;
      // At the files' own rate the browser resamples the sum of all, thus every signal alike.
      try { this.context = new AudioContext({ sampleRate: first.rate }); } catch { this.context = new AudioContext(); }
      this.master = this.context.createGain();
      this.master.connect(this.context.destination);
      this.setLevel(this.level);
    }
  }

  // 0 dB of the page's scale lies 4 dB below full scale, so that +4 dB cannot clip.
  setLevel(decibels) {
    this.level = decibels;
    if (this.master) this.master.gain.value = 10 ** ((decibels - 4) / 20);
  }

  choose(id) {
    if (!this.playing) {
      this.chosen = id;
      this.start();
      return;
    }
    if (id !== this.chosen) {
      this.count();
      this.switchTo(id);
      this.chosen = id;
    }
    this.onchange();
  }

  switchTo(id) {
    const when = Math.max(this.context.currentTime + AHEAD, this.busy);
    this.busy = scheduleSwitch(this.gains.get(this.chosen), this.gains.get(id), when) + APART / this.context.sampleRate;
  }

  start() {
    if (this.chosen === null) return;
    this.context.resume();
    let ahead = AHEAD + this.cutLoops();
    while (!this.startAll(ahead)) ahead *= 2;
    this.busy = scheduleSwitch(null, this.gains.get(this.chosen), this.began - FADE) + APART / this.context.sampleRate;
    this.playing = true;
    this.heardSince = performance.now();
    this.onchange();
  }

  // Makes the loops of the section, unless they are there. Gives the seconds that it took, by which the context's time
  // may be late when it is read next.
  cutLoops() {
    if (this.loops) return 0;
    const before = performance.now();
    const [first, last] = this.section.map(seconds => Math.round(seconds * this.rate));
    this.loops = new Map();
    for (const [id, { rate, channels }] of this.signals) {
      const buffer = this.context.createBuffer(channels.length, last - first, rate);
      channels.forEach((samples, i) => buffer.copyToChannel(loopOf(samples, first, last, rate), i));
      this.loops.set(id, buffer);
    }
    return (performance.now() - before) / 1000;
  }

  // Starts all signals at one time in the future. False if that took so long that the time may have passed before the
  // last of them, which then would come late: nothing plays in that case.
  startAll(ahead) {
    const before = performance.now();
    this.gains = new Map();
    // Times are those of samples: between two of them the browser would interpolate, which dulls the sound.
    this.began = Math.ceil(Math.max(this.context.currentTime + ahead, this.free) * this.context.sampleRate) / this.context.sampleRate;
    const offset = Math.round(this.offset * this.rate) / this.rate;
    this.sources = Array.from(this.loops, ([id, buffer]) => {
      const gain = this.context.createGain();
      gain.gain.value = 0;
      const source = new AudioBufferSourceNode(this.context, { buffer, loop: true });
      source.connect(gain).connect(this.master);
      source.start(this.began, offset);
      this.gains.set(id, gain);
      return source;
    });
    if (performance.now() - before < 500 * ahead) return true;
    for (const source of this.sources) source.disconnect();
    return false;
  }

  // Fades out and stops; the next start goes on from here.
  pause() {
    if (!this.playing) return;
    this.count();
    const when = Math.max(this.context.currentTime + AHEAD, this.busy);
    scheduleSwitch(this.gains.get(this.chosen), null, when);
    this.free = when + FADE;
    for (const source of this.sources) source.stop(this.free);
    this.offset = this.place(this.free) - this.section[0];
    this.playing = false;
    this.onchange();
  }

  toggle() {
    if (this.playing) this.pause();
    else this.start();
  }

  stop() {
    this.pause();
    this.chosen = null;
  }

  // Plays [start, end] (s) round and round, from its start.
  setSection(section) {
    const again = this.playing;
    this.pause();
    this.section = section;
    this.loops = null;
    this.offset = 0;
    if (again) this.start();
    else this.onchange();
  }

  // Seconds in the excerpt at a time of the context.
  place(time = this.context.currentTime) {
    const length = this.section[1] - this.section[0];
    if (!this.playing) return this.section[0] + this.offset;
    return this.section[0] + ((Math.max(0, time - this.began) + this.offset) % length);
  }

  // Tells for how long the chosen signal was heard.
  count() {
    const now = performance.now();
    this.onheard?.(this.chosen, (now - this.heardSince) / 1000);
    this.heardSince = now;
  }
}

// The audio thread of the live loop: hands over the microphone's samples in pieces of `hop`, plays what comes back, and
// measures how late each sample is.

class Loop extends AudioWorkletProcessor {
  constructor({ processorOptions: { hop, longest } }) {
    super();
    Object.assign(this, { hop, longest, filled: 0, queue: [], queued: 0, at: 0, waiting: true, gaps: 0, quarter: 0, least: longest });
    this.base = this.cushion = Math.max(hop, 256); // samples to wait for before playing begins, since pieces come unevenly
    this.piece = new Float32Array(hop);
    this.port.onmessage = ({ data }) => { this.queue.push(data); this.queued += data.samples.length; };
  }

  process([input], [output]) {
    if (input[0]) this.capture(input[0]);
    for (let i = 0; i < output[0].length; i++) output[0][i] = this.next(currentFrame + i);
    const quarter = Math.floor((4 * currentFrame) / sampleRate);
    if (quarter === this.quarter || this.delay === undefined) return true;
    this.quarter = quarter;
    if (quarter % 4 === 0) this.shorten();
    this.port.postMessage({ delay: this.delay / sampleRate, gaps: this.gaps });
    return true;
  }

  // Once a second: half of the samples that were never needed since are dropped, so that the delay of an interruption
  // does not stay, and not all of them, so that uneven computation does not interrupt again and again.
  shorten() {
    const spare = (this.least - this.base) / 2;
    if (spare > 0) this.cushion = Math.max(this.base, this.cushion - 128);
    if (spare >= this.hop) this.dropTo(this.queued - spare);
    this.least = this.longest;
  }

  capture(samples) {
    for (let i = 0; i < samples.length; i++) {
      this.piece[this.filled++] = samples[i];
      if (this.filled < this.hop) continue;
      this.port.postMessage({ samples: this.piece.slice(), captured: currentFrame + i + 1 - this.hop });
      this.filled = 0;
    }
  }

  // The sample for the time `now`, in samples of the clock.
  next(now) {
    if (this.waiting && this.queued < this.cushion) return 0;
    this.waiting = false;
    // After an interruption of the whole page, what waits is too old.
    if (this.queued > this.longest) this.dropTo(this.longest);
    if (!this.queue.length) {
      this.waiting = true;
      this.gaps++;
      this.cushion = Math.min(this.cushion + 256, this.longest / 2);
      return 0;
    }
    this.least = Math.min(this.least, this.queued);
    const { samples, captured } = this.queue[0], sample = samples[this.at];
    this.delay = now - (captured + this.at);
    this.at++;
    this.queued--;
    if (this.at === samples.length) { this.queue.shift(); this.at = 0; }
    return sample;
  }

  // Drops the oldest pieces until at most so many samples wait, or one piece.
  dropTo(samples) {
    while (this.queued > samples && this.queue.length > 1) {
      this.queued -= this.queue.shift().samples.length - this.at;
      this.at = 0;
    }
    this.gaps++;
  }
}

registerProcessor('loop', Loop);

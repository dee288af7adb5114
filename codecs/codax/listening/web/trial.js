// The view of a trial: waveform with a loop, one row for each signal, comment.

function make(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, '');
    else if (value !== false && value !== null) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

// Draws the loudest of every column of pixels; only ever the reference, which tells nothing about the others.
function drawWaveform(canvas, channels) {
  const width = (canvas.width = Math.max(1, Math.round(canvas.clientWidth * devicePixelRatio)));
  const height = (canvas.height = Math.max(1, Math.round(canvas.clientHeight * devicePixelRatio)));
  const pen = canvas.getContext('2d');
  pen.fillStyle = getComputedStyle(canvas).color;
  const length = channels[0].length;
  const peak = channels.reduce((most, samples) => samples.reduce((top, value) => Math.max(top, Math.abs(value)), most), 1e-9);
  for (let x = 0; x < width; x++) {
    let top = 0;
    const end = Math.max(Math.floor(((x + 1) * length) / width), Math.floor((x * length) / width) + 1);
    for (const samples of channels) {
      for (let i = Math.floor((x * length) / width); i < end && i < length; i++) top = Math.max(top, Math.abs(samples[i]));
    }
    const tall = Math.max(1, (0.9 * top * height) / peak);
    pen.fillRect(x, (height - tall) / 2, 1, tall);
  }
}

// Waveform, loop with two handles, and the place that is heard.
class LoopView {
  constructor(player, channels) {
    this.player = player;
    this.channels = channels;
    this.canvas = make('canvas', { 'aria-hidden': 'true' });
    this.shade = make('div', { class: 'loop' });
    this.cursor = make('div', { class: 'cursor' });
    this.handles = ['start', 'end'].map(edge => make('div', {
      class: `handle ${edge}`, role: 'slider', tabindex: '0', 'aria-label': `${edge === 'start' ? 'Start' : 'End'} of the loop`,
      'aria-valuemin': '0', 'aria-valuemax': player.duration.toFixed(2), 'data-edge': edge,
    }));
    this.strip = make('div', { class: 'strip' }, this.canvas, this.shade, this.cursor, ...this.handles);
    this.text = make('span', { class: 'soft small' });
    this.whole = make('button', { type: 'button', class: 'plain', onclick: () => this.set(0, player.duration, 'end', true) }, 'Whole excerpt');
    this.node = make('div', {}, this.strip, make('p', { class: 'loopline' }, this.text, this.whole));
    this.draft = player.section;
    for (const handle of this.handles) this.listen(handle);
    this.show();
  }

  listen(handle) {
    const edge = handle.dataset.edge;
    handle.addEventListener('pointerdown', event => { handle.setPointerCapture(event.pointerId); event.preventDefault(); handle.focus(); });
    handle.addEventListener('pointermove', event => {
      if (!handle.hasPointerCapture(event.pointerId)) return;
      const box = this.strip.getBoundingClientRect();
      this.move(edge, ((event.clientX - box.left) / box.width) * this.player.duration, false);
    });
    handle.addEventListener('pointerup', () => this.set(...this.draft, edge, true));
    handle.addEventListener('keydown', event => {
      const steps = { ArrowLeft: -0.1, ArrowDown: -0.1, ArrowRight: 0.1, ArrowUp: 0.1, PageDown: -1, PageUp: 1, Home: -1e3, End: 1e3 };
      if (!(event.key in steps)) return;
      event.preventDefault();
      this.move(edge, this.draft[edge === 'start' ? 0 : 1] + steps[event.key], true);
    });
  }

  move(edge, seconds, final) {
    const [start, end] = this.draft;
    if (edge === 'start') this.set(seconds, end, edge, final);
    else this.set(start, seconds, edge, final);
  }

  set(start, end, moved, final) {
    this.draft = clampSection(start, end, this.player.duration, moved);
    if (final && this.draft.some((value, i) => value !== this.player.section[i])) this.player.setSection(this.draft);
    this.show();
  }

  show() {
    const [start, end] = this.draft, total = this.player.duration;
    const percent = seconds => `${(100 * seconds) / total}%`;
    this.shade.style.left = percent(start);
    this.shade.style.width = percent(end - start);
    this.handles.forEach((handle, i) => {
      handle.style.left = percent(this.draft[i]);
      handle.setAttribute('aria-valuenow', this.draft[i].toFixed(2));
      handle.setAttribute('aria-valuetext', `${this.draft[i].toFixed(1)} seconds`);
    });
    this.whole.hidden = end - start >= total;
    this.text.textContent = `Loop ${start.toFixed(1)} to ${end.toFixed(1)} s of ${total.toFixed(1)} s`;
  }

  draw() {
    drawWaveform(this.canvas, this.channels);
  }

  tick() {
    this.cursor.style.left = `${(100 * this.player.place()) / this.player.duration}%`;
  }
}

// One trial on the page. `record` is filled as the listener goes; `changed` is called after each change.
class TrialView {
  constructor({ trial, kind, player, signals, record, changed }) {
    Object.assign(this, { trial, kind, player, record, changed });
    this.began = performance.now();
    this.labels = labelsOf(trial, kind);
    this.buttons = new Map();
    this.sliders = new Map();
    const shown = signals.get(kind === 'abx' ? trial.signals[0] : trial.reference);
    this.loop = new LoopView(player, shown.channels);
    if (record.section) this.loop.set(...record.section, 'end', true);
    this.transport = make('button', { type: 'button', class: 'transport', onclick: () => this.toggle() });
    const first = kind === 'abx' ? [] : [this.button(trial.reference, '0')];
    this.node = make('div', { class: 'trial' }, this.loop.node,
      make('div', { class: 'controls' }, this.transport, ...first),
      kind === 'abx' ? this.choices() : this.ratings(),
      this.comments());
    player.onchange = () => this.show();
    player.onheard = (id, seconds) => { record.listened[id] = (record.listened[id] || 0) + seconds; };
    this.show();
  }

  button(id, key) {
    const button = make('button', { type: 'button', class: 'signal', 'aria-pressed': 'false', 'aria-keyshortcuts': key, 'data-signal': id, onclick: () => this.choose(id) },
      make('span', {}, this.labels[id]), make('kbd', { 'aria-hidden': 'true' }, key));
    this.buttons.set(id, button);
    return button;
  }

  ratings() {
    const scale = make('div', { class: 'scale', 'aria-hidden': 'true' }, ...BANDS.map(name => make('span', {}, name)));
    const rows = this.trial.signals.map((id, i) => {
      const label = this.labels[id];
      const slider = make('input', { type: 'range', min: '0', max: '100', step: '1', value: '50', 'aria-label': `Rating of ${label}`, 'data-signal': id });
      const output = make('output', {});
      this.sliders.set(id, { slider, output });
      if (this.record.scores[id] !== undefined) slider.value = this.record.scores[id];
      slider.addEventListener('input', () => this.rate(id, Number(slider.value), false));
      // A click on the middle of an unset slider moves nothing, but it is a rating.
      slider.addEventListener('pointerup', () => this.rate(id, Number(slider.value), true));
      slider.addEventListener('change', () => this.rate(id, Number(slider.value), true));
      return make('div', { class: 'row' }, this.button(id, KEYS[i]), make('div', { class: 'track' }, slider), output);
    });
    return make('div', { class: 'ratings', role: 'group', 'aria-label': 'Basic audio quality against the reference' },
      make('div', { class: 'row head' }, make('span', {}), scale, make('span', {})), ...rows);
  }

  choices() {
    const [a, b, x] = this.trial.signals;
    const answer = which => {
      const input = make('input', { type: 'radio', name: 'answer', value: which });
      input.checked = this.record.answer === which;
      input.addEventListener('change', () => { this.record.answer = which; this.changed(); });
      return make('label', { class: 'answer' }, input, ` X is ${which.toUpperCase()}`);
    };
    return make('div', {},
      make('div', { class: 'controls' }, this.button(a, 'a'), this.button(x, 'x'), this.button(b, 'b')),
      make('fieldset', {}, make('legend', {}, 'Which one does X equal?'), answer('a'), answer('b')));
  }

  comments() {
    const text = make('textarea', { id: 'comment', rows: '2' });
    text.value = this.record.comment;
    text.addEventListener('input', () => { this.record.comment = text.value; this.changed(); });
    return make('p', { class: 'comment' }, make('label', { for: 'comment' }, 'Comment (may be left empty)'), text);
  }

  choose(id) {
    this.record.plays[id] = (this.record.plays[id] || 0) + 1;
    this.player.choose(id);
    this.focus();
    this.changed();
  }

  toggle() {
    if (this.player.chosen === null) this.choose(this.kind === 'abx' ? this.trial.signals[0] : this.trial.reference);
    else {
      this.player.toggle();
      this.focus();
    }
  }

  // The slider of what plays gets the keys, so that arrows rate and the space bar still stops.
  focus() {
    if (this.player.playing) this.sliders.get(this.player.chosen)?.slider.focus({ preventScroll: true });
  }

  rate(id, score, final) {
    if (!this.player.playing || this.player.chosen !== id) return;
    const time = this.elapsed();
    this.record.scores[id] = score;
    this.record.times[id] = time;
    const moves = (this.record.moves[id] ||= []);
    if (final && moves.at(-1)?.[1] !== score) {
      // The steps of a key that is held down are one move.
      if (moves.length && time - moves.at(-1)[0] < 0.5) moves.pop();
      moves.push([round(time), score]);
    }
    this.show();
    this.changed();
  }

  // Seconds on this trial, those before a reload included.
  elapsed() {
    const now = performance.now();
    this.record.seconds += (now - this.began) / 1000;
    this.began = now;
    return this.record.seconds;
  }

  show() {
    const { player, record } = this;
    for (const [id, button] of this.buttons) {
      const on = player.playing && player.chosen === id;
      button.setAttribute('aria-pressed', String(on));
      button.classList.toggle('played', Boolean(record.plays[id]));
    }
    for (const [id, { slider, output }] of this.sliders) {
      const score = record.scores[id];
      const off = !(player.playing && player.chosen === id);
      // Browsers take the focus from what is disabled at a time of their own, which may be after it was given back.
      if (off && document.activeElement === slider) slider.blur();
      slider.disabled = off;
      slider.classList.toggle('unset', score === undefined);
      slider.setAttribute('aria-valuetext', score === undefined ? 'not rated' : `${score}, ${bandOf(score)}`);
      output.textContent = score === undefined ? '–' : String(score);
    }
    this.transport.textContent = player.playing ? 'Pause' : 'Play';
    this.transport.setAttribute('aria-keyshortcuts', 'Space');
    record.section = player.section.map(round);
  }

  // Keys of the whole page; true if this one was used.
  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return false;
    const inText = event.target.matches('textarea, input:not([type=range]):not([type=radio])');
    if (inText) return false;
    if (event.key === ' ' && !event.target.matches('button, [type=radio]')) {
      this.toggle();
      return true;
    }
    const key = event.key.toLowerCase();
    const ids = this.kind === 'abx' ? { a: this.trial.signals[0], b: this.trial.signals[1], x: this.trial.signals[2] }
      : Object.fromEntries([['0', this.trial.reference], ...this.trial.signals.map((id, i) => [KEYS[i], id])]);
    if (!(key in ids)) return false;
    this.choose(ids[key]);
    return true;
  }
}

function labelsOf(trial, kind) {
  if (kind === 'abx') return Object.fromEntries(trial.signals.map((id, i) => [id, 'ABX'[i]]));
  return Object.fromEntries([[trial.reference, 'Reference'], ...trial.signals.map((id, i) => [id, `Signal ${i + 1}`])]);
}

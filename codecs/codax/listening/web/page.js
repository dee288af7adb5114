// The course of the test: consent, volume, training, trials, results. Everything is kept in localStorage, and until the
// tab is closed in sessionStorage too: after a reload of a file, a busy Chromium may show a page an empty localStorage.
const STORES = ['localStorage', 'sessionStorage'];

class App {
  constructor(content) {
    this.content = content;
    this.main = document.getElementById('main');
    this.player = new Player();
    this.outbox = new Outbox();
    this.view = null;
    this.key = `codax-listening-${content.test}`;
    document.addEventListener('keydown', event => {
      if (this.view && !event.defaultPrevented && this.view.key(event)) event.preventDefault();
    });
    addEventListener('resize', () => this.view?.loop.draw());
    addEventListener('pagehide', () => this.save());
    const tick = () => { this.view?.loop.tick(); requestAnimationFrame(tick); };
    tick();
    this.state = this.stored();
    if (this.state && this.state.index > 0) this.welcomeBack();
    else this.begin();
  }

  stored() {
    for (const name of STORES) {
      try {
        const state = JSON.parse(window[name].getItem(this.key));
        if (state) return state;
      } catch { /* a browser may refuse one of them */ }
    }
    return null;
  }

  save() {
    this.view?.elapsed();
    const text = JSON.stringify(this.state);
    try { sessionStorage.setItem(this.key, text); } catch { /* localStorage alone will do */ }
    try { localStorage.setItem(this.key, text); } catch {
      this.say('This browser keeps nothing: do not reload or close the page before the end.');
    }
  }

  forget() {
    for (const name of STORES) window[name].removeItem(this.key);
  }

  say(text) {
    document.getElementById('live').textContent = text;
  }

  begin() {
    this.state = {
      session: newSession(), listener: null, index: 0, records: {}, trainings: {}, questionnaire: {}, device: {}, level: 0, resumed: 0,
      started: new Date().toISOString(), finished: null,
    };
    this.consent();
  }

  show(title, heading, ...children) {
    this.view = null;
    document.getElementById('step').textContent = title;
    const bar = document.getElementById('progress');
    const count = this.steps ? this.steps.length - 1 : 1;
    bar.value = this.steps ? this.state.index / count : 0;
    bar.setAttribute('aria-valuetext', title);
    this.main.replaceChildren(make('h2', {}, heading), ...children);
    this.main.focus({ preventScroll: true });
    scrollTo(0, 0);
  }

  go(index) {
    this.player.stop();
    this.state.index = index;
    this.save();
    const step = this.steps[index];
    const pages = { volume: this.volume, training: this.trial, trial: this.trial, finish: this.finish };
    pages[step.kind].call(this, step);
  }

  ready() {
    this.plan = planFor(this.content, this.state.listener);
    this.steps = stepsOf(this.plan);
  }

  welcomeBack() {
    this.ready();
    const step = this.steps[this.state.index];
    const where = { volume: 'at the volume', training: `in training ${step.number} of ${step.of}`, trial: `at trial ${step.number} of ${step.of}`, finish: 'at the end' }[step.kind];
    const again = make('button', { type: 'button', class: 'plain', onclick: () => {
      if (confirm('This deletes all ratings that were given so far.')) { this.forget(); this.steps = null; this.begin(); }
    } }, 'Start again');
    this.show('', 'Welcome back',
      make('p', {}, `Your earlier answers are here. You were ${where}.`),
      make('p', { class: 'actions' }, make('button', { type: 'button', id: 'next', class: 'main', onclick: () => {
        this.state.resumed += 1;
        this.player.level = this.state.level;
        this.go(this.state.index);
      } }, 'Go on'), again));
  }

  consent() {
    const form = consentForm(this.content, this.outbox.open, (listener, answers) => {
      Object.assign(this.state, { listener, questionnaire: answers });
      this.ready();
      this.go(1);
    });
    this.show('', 'Before you begin', form);
  }

  async volume() {
    const trial = this.plan.training[0] || this.plan.trials[0];
    const id = trial.reference || trial.signals[0];
    const signals = await this.fetch([id]);
    if (!signals) return;
    this.player.load(signals);
    this.player.setLevel(this.state.level);
    const play = make('button', { type: 'button', class: 'transport', id: 'play', onclick: () => { if (this.player.chosen === null) this.player.choose(id); else this.player.toggle(); } }, 'Play');
    this.player.onheard = null;
    this.player.onchange = () => { play.textContent = this.player.playing ? 'Pause' : 'Play'; };
    const output = make('output', { for: 'level' }, `${this.state.level} dB`);
    const level = make('input', { type: 'range', id: 'level', min: '-4', max: '4', step: '0.5', value: String(this.state.level) });
    level.addEventListener('input', () => {
      this.state.level = Number(level.value);
      this.player.setLevel(this.state.level);
      output.textContent = `${level.value} dB`;
    });
    this.show('Volume', 'Set the volume',
      make('p', {}, 'Play the excerpt and set the volume of your device so that it is pleasant and clear. Fine steps can be made here. After this page the volume stays as it is: please do not change it on your device either.'),
      make('div', { class: 'controls' }, play),
      make('p', { class: 'level' }, make('label', { for: 'level' }, 'Fine level'), level, output),
      make('p', { class: 'actions' }, make('button', { type: 'button', class: 'main', id: 'next', onclick: () => {
        this.state.device = deviceOf(this.player.context);
        this.go(this.state.index + 1);
      } }, 'The volume is right')));
  }

  async trial(step) {
    const { trial } = step, { kind } = this.content;
    const signals = await this.fetch(kind === 'abx' ? trial.signals : [trial.reference, ...trial.signals]);
    if (!signals) return;
    this.player.load(signals);
    const records = step.kind === 'training' ? this.state.trainings : this.state.records;
    const record = (records[trial.id] ||= newRecord());
    const warning = make('div', { class: 'warning', role: 'alert' });
    const view = new TrialView({ trial, kind, player: this.player, signals, record, changed: () => { warning.replaceChildren(); this.save(); } });
    const next = make('button', { type: 'button', class: 'main', id: 'next', onclick: () => this.leave(view, warning, false) }, 'Next');
    const training = step.kind === 'training';
    const name = training ? `Training ${step.number} of ${step.of}` : `Trial ${step.number} of ${step.of}`;
    const hint = kind === 'abx' ? 'Does X equal A or B? Listen as often as you like.'
      : 'Rate each signal against the reference. A slider moves only while its signal plays. One signal is the reference itself.';
    this.show(name, name, make('p', { class: 'soft' }, (training ? 'To get used to the sounds and the page; these answers are not kept. ' : '') + hint),
      view.node, warning, make('p', { class: 'actions' }, next, this.help()));
    this.view = view;
    view.loop.draw();
  }

  help() {
    const keys = this.content.kind === 'abx' ? 'A, B, X: play' : '0: reference; 1, 2, ...: signals; arrow keys: rate the signal that plays';
    return make('span', { class: 'soft small keys' }, `Keys: ${keys}; space: play and pause.`);
  }

  leave(view, warning, sure) {
    const reasons = unmet(view.record, view.trial, this.content.kind, view.labels);
    if (reasons.length) {
      warning.replaceChildren(...reasons.map(reason => make('p', {}, reason)));
      return;
    }
    if (!sure && this.content.kind === 'mushra' && nothingExcellent(view.record, view.trial)) {
      warning.replaceChildren(make('p', {}, `No signal is rated ${EXCELLENT_FROM} or more, but one of them is the reference itself.`),
        make('p', { class: 'actions' }, make('button', { type: 'button', id: 'sure', onclick: () => this.leave(view, warning, true) }, 'Go on all the same')));
      return;
    }
    this.player.stop();
    view.elapsed();
    view.record.done = true;
    this.view = null;
    if (this.steps[this.state.index].kind === 'training') delete this.state.trainings[view.trial.id];
    else this.outbox.send(this.result()).catch(() => {}); // the last page sends all of it once more, and tells
    this.go(this.state.index + 1);
  }

  finish() {
    if (!this.state.finished) { this.state.finished = new Date().toISOString(); this.save(); }
    const result = this.result();
    const name = `${this.content.test}-listener${this.state.listener}-${this.state.session.slice(0, 8)}`;
    const link = (id, label, type, text) => make('a', { id, class: 'button', download: `${name}.${id}`, href: URL.createObjectURL(new Blob([text], { type })) }, label);
    const links = [link('json', 'Save the result (JSON)', 'application/json', JSON.stringify(result, null, 1))];
    if (this.content.kind === 'mushra') links.push(link('csv', 'Save as CSV', 'text/csv', csvOf(result)));
    const saving = make('div', {}, make('p', {}, 'This was the last page. Save the result and send the file to whoever asked you to take part.'),
      make('p', { class: 'actions' }, ...links));
    this.show('Finished', 'Thank you', this.outbox.open ? this.outbox.view(result, saving) : saving);
  }

  result() {
    return resultOf(this.content, this.state, this.plan);
  }

  // Signals of a trial, or null after telling that they cannot be had.
  async fetch(ids) {
    this.show('', 'Loading');
    try { return await loadSignals(ids); } catch (error) {
      this.show('', 'The audio cannot be loaded', make('p', { role: 'alert' }, `${error.message}. The folder audio has to lie beside the page.`));
      return null;
    }
  }
}

// crypto.randomUUID is missing where a page comes over plain http.
function newSession() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join('');
}

function deviceOf(context) {
  return {
    agent: navigator.userAgent, language: navigator.language, touch: navigator.maxTouchPoints > 0,
    screen: `${screen.width}x${screen.height}`, window: `${innerWidth}x${innerHeight}`, sample_rate: context?.sampleRate ?? null,
    channels: context?.destination.maxChannelCount ?? null, base_latency: context?.baseLatency ?? null, output_latency: context?.outputLatency ?? null,
  };
}

const app = new App(JSON.parse(document.getElementById('content').textContent));

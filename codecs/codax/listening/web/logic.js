'use strict';
// Orders, rules, gain curves and results: functions of their arguments alone.

const FADE = 0.005; // s, of a fade out or in (BS.1534-3)
const SHORTEST_LOOP = 0.5; // s
const EXCELLENT_FROM = 90; // where a hidden reference belongs
const BANDS = ['Bad', 'Poor', 'Fair', 'Good', 'Excellent'];
const KEYS = ['1', '2', '3', '4', '5', '6', '7', '8', '9', 'q', 'w', 'e']; // of the signals in their order

// A generator of numbers in [0, 1) that is the same in every browser: FNV-1a of the text, then a Weyl sequence through
// an integer mixer.
function randomFrom(text) {
  let state = 2166136261;
  for (const character of text) state = Math.imul(state ^ character.codePointAt(0), 16777619);
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
    return ((mixed ^ (mixed >>> 15)) >>> 0) / 4294967296;
  };
}

function shuffled(list, random) {
  const out = list.slice();
  for (let i = out.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [out[i], out[j]] = [out[j], out[i]];
  }
  return out;
}

// Latin square of Williams (1949): over its rows every signal stands at every place equally often, and follows every
// other one equally often. n rows for even n, 2n for odd n.
function latinSquare(n) {
  const first = [0];
  for (let low = 1, high = n - 1; first.length < n; low++, high--) {
    first.push(low);
    if (first.length < n) first.push(high);
  }
  const rows = [];
  for (let shift = 0; shift < n; shift++) rows.push(first.map(entry => (entry + shift) % n));
  if (n % 2) for (let i = 0; i < n; i++) rows.push(rows[i].slice().reverse());
  return rows;
}

// What one listener gets: trials in an order of their own, signals of each trial after the Latin square.
function planFor(content, listener) {
  const common = randomFrom(`${content.seed}/${content.test}`);
  const starts = new Map(content.trials.map(trial => [trial.id, Math.floor(common() * 24)]));
  const ordered = trial => {
    if (content.kind === 'abx') return trial;
    const square = latinSquare(trial.signals.length);
    const row = square[(listener - 1 + starts.get(trial.id)) % square.length];
    return { ...trial, signals: row.map(place => trial.signals[place]) };
  };
  const random = randomFrom(`${content.seed}/${content.test}/${listener}`);
  const training = content.trials.filter(trial => content.training.includes(trial.id));
  return {
    training: shuffled(training, random).map(ordered),
    trials: shuffled(content.trials, random).map(ordered),
  };
}

// The pages in order.
function stepsOf(plan) {
  return [
    { kind: 'consent' },
    { kind: 'volume' },
    ...plan.training.map((trial, i) => ({ kind: 'training', trial, number: i + 1, of: plan.training.length })),
    ...plan.trials.map((trial, i) => ({ kind: 'trial', trial, number: i + 1, of: plan.trials.length })),
    { kind: 'finish' },
  ];
}

function newRecord() {
  return { plays: {}, listened: {}, scores: {}, times: {}, moves: {}, comment: '', seconds: 0, answer: null };
}

// What is still to be done before a trial may be left. `labels` names what can be played, by id.
function unmet(record, trial, kind, labels) {
  const toPlay = kind === 'abx' ? trial.signals : [trial.reference, ...trial.signals];
  const unplayed = toPlay.filter(id => !record.plays[id]);
  const unrated = kind === 'abx' ? [] : trial.signals.filter(id => record.scores[id] === undefined);
  const out = [];
  if (unplayed.length) out.push(`Not played yet: ${unplayed.map(id => labels[id]).join(', ')}.`);
  if (unrated.length) out.push(`Not rated yet: ${unrated.map(id => labels[id]).join(', ')}.`);
  if (kind === 'abx' && record.answer === null) out.push('Not answered yet: is X equal to A or to B?');
  return out;
}

function nothingExcellent(record, trial) {
  return !trial.signals.some(id => record.scores[id] >= EXCELLENT_FROM);
}

function bandOf(score) {
  return BANDS[Math.min(4, Math.floor(score / 20))];
}

// A section [start, end] in seconds inside of 0 ... duration, at least SHORTEST_LOOP long; `moved` ('start' or 'end')
// is the edge that gives way.
function clampSection(start, end, duration, moved) {
  const shortest = Math.min(SHORTEST_LOOP, duration);
  if (moved === 'start') return [Math.max(0, Math.min(start, end - shortest)), end];
  return [start, Math.min(duration, Math.max(end, start + shortest))];
}

// Raised cosine from 1 to 0 (or from 0 to 1): `points` values, both ends included.
function raisedCosine(points, rising) {
  const curve = new Float32Array(points);
  for (let i = 0; i < points; i++) {
    const fall = 0.5 + 0.5 * Math.cos((Math.PI * i) / (points - 1));
    curve[i] = rising ? 1 - fall : fall;
  }
  curve[0] = rising ? 0 : 1;
  curve[points - 1] = rising ? 1 : 0;
  return curve;
}

// Part of a channel whose ends are faded, so that it can go round without a click.
function loopOf(samples, first, last, rate) {
  const out = samples.slice(first, last);
  const count = Math.min(Math.round(FADE * rate), out.length >> 1);
  const rise = raisedCosine(count + 1, true);
  for (let i = 0; i < count; i++) {
    out[i] *= rise[i];
    out[out.length - 1 - i] *= rise[i];
  }
  return out;
}

// One signal out, then the other in: no overlap, so that nothing of a cross-fade can be heard. Gives the time when done.
const FADE_OUT = raisedCosine(257, false), FADE_IN = raisedCosine(257, true);
function scheduleSwitch(from, to, when) {
  if (from) from.gain.setValueCurveAtTime(FADE_OUT, when, FADE);
  if (to) to.gain.setValueCurveAtTime(FADE_IN, when + FADE, FADE);
  return when + 2 * FADE;
}

// What goes to the experimenter. Trials that were left are in it, training is not.
function resultOf(content, state, plan) {
  const trials = [];
  plan.trials.forEach((trial, position) => {
    const record = state.records[trial.id];
    if (!record || !record.done) return;
    const entry = {
      trial: trial.id, position: position + 1, seconds: round(record.seconds), comment: record.comment, section: record.section,
      signals: (content.kind === 'abx' ? trial.signals : [trial.reference, ...trial.signals]).map(id => ({
        signal: id, plays: record.plays[id] || 0, listened: round(record.listened[id] || 0),
      })),
    };
    if (content.kind === 'abx') entry.answer = record.answer;
    else entry.ratings = trial.signals.map((id, place) => ({
      signal: id, position: place + 1, score: record.scores[id], time: round(record.times[id]), moves: record.moves[id],
    }));
    trials.push(entry);
  });
  return {
    format: 'codax-listening-result', version: 1, kind: content.kind, test: content.test, seed: content.seed,
    session: state.session, listener: state.listener, started: state.started, finished: state.finished || null,
    complete: trials.length === plan.trials.length, resumed: state.resumed, level_db: state.level,
    questionnaire: state.questionnaire, device: state.device, trials,
  };
}

function round(seconds) {
  return Math.round(seconds * 1000) / 1000;
}

function csvCell(value) {
  const text = String(value ?? '');
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

// The columns of webMUSHRA's mushra.csv; trials and signals have their blind ids until the analysis names them.
function csvOf(result) {
  const questions = ['listener', ...Object.keys(result.questionnaire)];
  const rows = [['session_test_id', ...questions, 'session_uuid', 'trial_id', 'rating_stimulus', 'rating_score', 'rating_time',
    'rating_comment']];
  for (const trial of result.trials) {
    for (const rating of trial.ratings || []) {
      rows.push([result.test, result.listener, ...Object.values(result.questionnaire), result.session, trial.trial, rating.signal,
        rating.score, Math.round(trial.seconds * 1000), trial.comment]);
    }
  }
  return rows.map(row => row.map(csvCell).join(',')).join('\r\n') + '\r\n';
}

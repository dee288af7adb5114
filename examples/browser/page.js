// The page: a model, a sound, and its coded version. `app` has what is shown.

import { Cursors, drawAxes } from './axes.js';
import { Codec } from './codec.js';
import { codaxFile, wavFile } from './files.js';
import { LiveLoop } from './live.js';
import { drawCodes, drawSpectrogram } from './pictures.js';
import { Player } from './player.js';
import { Recorder, fromFile } from './sound.js';

const LONGEST = 60; // s that are coded at once
const $ = id => document.getElementById(id);
const app = { codec: null, original: null, all: null, shown: null, coded: null, live: null, player: new Player(showPlayer) };
window.app = app;

function say(id, text, failed = false) {
  $(id).textContent = text;
  $(id).classList.toggle('failed', failed);
}

// One thing at a time; an error is said where it belongs.
let busy = Promise.resolve();
function doing(id, action) {
  busy = busy.then(action).catch(error => say(id, error.message, true));
  return busy;
}

async function loadModel(read) {
  say('about', 'Loading …');
  const codec = await Codec.load(read), { facts } = codec;
  await stopLive();
  app.codec = codec;
  Object.assign($('quantizers'), { max: facts.quantizers, value: facts.quantizers });
  for (const id of ['file', 'example', 'record', 'quantizers']) $(id).disabled = false;
  $('live').disabled = !codec.streams;
  app.player.pause();
  app.original = app.all = app.shown = app.coded = null;
  $('result').hidden = true;
  $('hint').hidden = false;
  showRate();
  say('status', codec.streams ? '' : 'This model is not causal: it has no live loop.');
  say('about', `${facts.model}: ${facts.sample_rate.toLocaleString('en')} Hz, ${facts.frame_rate.toFixed(1)} frames a second, `
    + `up to ${facts.quantizers} codes of ${codec.bits} bits each`);
}

async function fetched(folder, name) {
  const address = new URL(name, new URL(folder.replace(/\/*$/, '/'), location.href));
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${address.pathname}: ${answer.status} ${answer.statusText}; codax export MODEL model --format onnx writes such a folder`);
  return answer.arrayBuffer();
}

function chosen(files, name) {
  const file = [...files].find(f => f.name === name);
  if (!file) throw new Error(`the folder has no ${name}`);
  return file.arrayBuffer();
}

async function open(bytes) {
  if (!app.codec) throw new Error('load a model first');
  say('status', 'Opening …');
  await encode(await fromFile(bytes, app.codec.facts.sample_rate).catch(() => { throw new Error('this browser cannot read that file'); }));
}

async function encode(samples) {
  if (!samples.length) throw new Error('there is no sound in it');
  const rate = app.codec.facts.sample_rate;
  const original = samples.slice(0, LONGEST * rate);
  say('status', 'Encoding …');
  await painted();
  const start = performance.now(), all = await app.codec.encode(original);
  Object.assign(app, { original, all, shown: null, encodeTime: performance.now() - start, cut: samples.length > original.length });
  $('hint').hidden = true;
  $('result').hidden = false;
  await decode();
  app.player.load({ original, coded: app.coded }, rate);
  $('position').max = app.player.duration;
  drawSpectrogram($('original'), original, original);
  drawAll();
}

// Decodes for the rate that is chosen, until none was chosen in between.
async function decode() {
  const { codec, original, all } = app;
  while (app.shown?.quantizers !== Number($('quantizers').value)) {
    const shown = codec.first(all, Number($('quantizers').value));
    await painted();
    const start = performance.now(), coded = (await codec.decode(shown)).slice(0, original.length);
    Object.assign(app, { shown, coded, decodeTime: performance.now() - start });
  }
  say('status', app.cut ? `Only the first ${LONGEST} seconds were coded.` : '');
}

async function recode() {
  if (!app.all || app.shown.quantizers === Number($('quantizers').value)) return;
  await decode();
  app.player.replace('coded', app.coded);
  drawAll();
}

function tiles(id, rows) {
  $(id).replaceChildren(...Object.entries(rows).map(([name, value]) => {
    const row = document.createElement('div'), term = document.createElement('dt'), detail = document.createElement('dd');
    term.textContent = name;
    detail.textContent = value;
    row.append(term, detail);
    return row;
  }));
}

function drawAll() {
  const { codec, original, coded, shown } = app, { facts } = codec;
  const seconds = original.length / facts.sample_rate, bits = shown.codes.length * codec.bits;
  tiles('facts', {
    'Bit rate': `${(bits / seconds / 1000).toFixed(2)} kbit/s`,
    'All codes': `${Math.ceil(bits / 8).toLocaleString('en')} bytes`,
    'As 16-bit samples': `${(2 * original.length).toLocaleString('en')} bytes`,
    'Sound': `${seconds.toFixed(2)} s`,
    'Encoding': `${(seconds * 1000 / app.encodeTime).toFixed(1)}× real time`,
    'Decoding': `${(seconds * 1000 / app.decodeTime).toFixed(1)}× real time`,
  });
  drawSpectrogram($('coded'), coded, original);
  drawCodes($('codes'), shown, facts.codebook_size);
  layAxes();
  save('save-audio', new Blob([wavFile(coded, facts.sample_rate)], { type: 'audio/wav' }));
  save('save-codes', codaxFile(shown, original.length, facts, codec.bits));
}

function layAxes() {
  if (!app.shown) return;
  const rate = app.codec.facts.sample_rate, seconds = app.original.length / rate;
  drawAxes($('original'), seconds, { rate });
  drawAxes($('coded'), seconds, { rate });
  drawAxes($('codes'), seconds, { rows: app.shown.quantizers });
}

function save(id, blob) {
  URL.revokeObjectURL($(id).href);
  $(id).href = URL.createObjectURL(blob);
}

function showRate() {
  const { facts } = app.codec, count = Number($('quantizers').value);
  $('rate').textContent = `${facts.kbps[count - 1].toFixed(2)} kbit/s (${count} of ${facts.quantizers})`;
}

function showPlayer() {
  const { player } = app;
  $('play').textContent = player.playing ? 'Pause' : 'Play';
  for (const name of ['original', 'coded']) $(`hear-${name}`).setAttribute('aria-pressed', String(player.chosen === name));
}

// The browser shows what was said before the processor is taken.
const painted = () => new Promise(resolve => requestAnimationFrame(() => setTimeout(resolve)));

let recorder = null;
async function record() {
  if (!recorder) {
    const starting = new Recorder();
    await starting.start();
    recorder = starting;
    say('status', 'Recording …');
  } else {
    const stopping = recorder;
    recorder = null;
    await encode(await stopping.stop(app.codec.facts.sample_rate));
  }
  toggled('record', recorder, 'Record', 'Stop');
}

async function live() {
  if (app.live) return stopLive();
  app.player.pause();
  const loop = new LiveLoop(app.codec, () => Number($('quantizers').value), showLive);
  say('status', 'Loading the programs of a stream …');
  try { await loop.start(); } catch (error) {
    await loop.stop();
    throw error;
  }
  app.live = loop;
  say('status', 'You hear the microphone through the codec.');
  $('hint').hidden = true;
  $('looping').hidden = false;
  tiles('live-facts', { 'Delay': '…' });
  toggled('live', true, 'Live loop', 'Stop the loop');
}

async function stopLive() {
  await app.live?.stop();
  if (app.live) say('status', '');
  app.live = null;
  $('looping').hidden = true;
  toggled('live', false, 'Live loop', 'Stop the loop');
}

// The delay is measured from a sample's capture to its place in the output; the device adds its own.
function showLive({ delay, gaps, device, error }) {
  if (error) {
    doing('status', async () => {
      await stopLive();
      throw error;
    });
    return;
  }
  const { hop, sample_rate: rate } = app.codec.facts, ms = seconds => `${(1000 * seconds).toFixed(0)} ms`;
  tiles('live-facts', {
    'Delay, measured': ms(delay), 'One frame of it': `${(1000 * hop / rate).toFixed(1)} ms`, 'Output device, in addition': ms(device), 'Gaps': String(gaps),
  });
}

function toggled(id, on, start, stop) {
  $(id).textContent = on ? stop : start;
  $(id).setAttribute('aria-pressed', String(Boolean(on)));
}

$('load').onclick = () => doing('about', () => loadModel(name => fetched($('address').value, name)));
$('folder').onchange = ({ target }) => doing('about', () => loadModel(async name => chosen(target.files, name)));
$('file').onchange = ({ target }) => target.files.length && doing('status', async () => {
  const bytes = await target.files[0].arrayBuffer();
  target.value = ''; // the same file may be opened again
  await open(bytes);
});
$('example').onclick = () => doing('status', async () => open(await fetched('.', 'example.flac')));
$('record').onclick = () => doing('status', record);
$('live').onclick = () => doing('status', live);
$('quantizers').oninput = () => {
  showRate();
  doing('status', recode);
};
$('play').onclick = () => app.player.toggle();
$('hear-original').onclick = () => app.player.choose('original');
$('hear-coded').onclick = () => app.player.choose('coded');
$('position').oninput = ({ target }) => app.player.seek(Number(target.value));

document.addEventListener('keydown', event => {
  if (!app.coded || event.ctrlKey || event.altKey || event.metaKey || event.target.matches('input[type=text]')) return;
  const actions = { a: () => app.player.choose('original'), b: () => app.player.choose('coded'), ' ': () => app.player.toggle() };
  if (!(event.key in actions) || (event.key === ' ' && event.target.matches('button, a, input'))) return;
  event.preventDefault();
  actions[event.key]();
});

for (const kind of ['dragover', 'dragleave', 'drop']) {
  document.addEventListener(kind, event => {
    event.preventDefault();
    document.body.classList.toggle('dropping', kind === 'dragover');
    const file = kind === 'drop' && event.dataTransfer.files[0];
    if (file) doing('status', async () => open(await file.arrayBuffer()));
  });
}

const cursors = new Cursors(['original', 'coded', 'codes'].map($), app.player);
addEventListener('resize', layAxes);
const tick = () => {
  if (app.coded) {
    cursors.show();
    $('clock').textContent = `${app.player.place().toFixed(1)} s`;
    if (document.activeElement !== $('position') || app.player.playing) $('position').value = app.player.place();
  }
  requestAnimationFrame(tick);
};
tick();

const asked = new URLSearchParams(location.search).get('model');
if (asked) $('address').value = asked;
$('load').click();

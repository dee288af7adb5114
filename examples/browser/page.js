// The page: a model, a sound, and what the codec makes of it. `app` has what is shown.

import { Codec } from './codec.js';
import { drawCodes, drawSpectrogram } from './pictures.js';
import { Recorder, fromFile, play } from './sound.js';

const LONGEST = 60; // s that are coded at once
const $ = id => document.getElementById(id);
const app = { codec: null, original: null, all: null, shown: null, coded: null };
window.app = app;

function say(id, text, failed = false) {
  $(id).textContent = text;
  $(id).classList.toggle('failed', failed);
}

// One thing at a time; what goes wrong is said where it belongs.
let busy = Promise.resolve();
function doing(id, action) {
  busy = busy.then(action).catch(error => say(id, error.message, true));
  return busy;
}

async function loadModel(read) {
  say('about', 'Loading …');
  const codec = await Codec.load(read), { facts } = codec;
  app.codec = codec;
  const options = facts.kbps.map((kbps, i) => new Option(`${kbps.toFixed(2)} kbit/s (${i + 1} of ${facts.quantizers})`, i + 1));
  $('quantizers').replaceChildren(...options);
  $('quantizers').value = facts.quantizers;
  for (const id of ['file', 'record', 'quantizers']) $(id).disabled = false;
  $('result').hidden = true;
  app.original = app.all = app.shown = app.coded = null;
  say('about', `${facts.model}: ${facts.sample_rate.toLocaleString('en')} Hz, ${facts.frame_rate.toFixed(1)} frames a second, `
    + `up to ${facts.quantizers} codes of ${codec.bits} bits each`);
}

async function fetched(folder, name) {
  const address = new URL(name, new URL(folder.replace(/\/*$/, '/'), location.href));
  const answer = await fetch(address);
  if (!answer.ok) throw new Error(`${address.pathname}: ${answer.status} ${answer.statusText}`);
  return answer.arrayBuffer();
}

function chosen(files, name) {
  const file = [...files].find(f => f.name === name);
  if (!file) throw new Error(`the folder has no ${name}`);
  return file.arrayBuffer();
}

async function encode(samples) {
  if (!samples.length) throw new Error('there is no sound in it');
  const rate = app.codec.facts.sample_rate;
  const original = samples.slice(0, LONGEST * rate);
  say('status', 'Encoding …');
  await painted();
  const start = performance.now(), all = await app.codec.encode(original);
  Object.assign(app, { original, all, encodeTime: performance.now() - start, cut: samples.length > original.length });
  await show();
}

async function show() {
  const { codec, original, all } = app, { facts } = codec;
  const shown = codec.first(all, Number($('quantizers').value));
  say('status', 'Decoding …');
  await painted();
  const start = performance.now(), coded = (await codec.decode(shown)).slice(0, original.length);
  const decodeTime = performance.now() - start, seconds = original.length / facts.sample_rate;
  Object.assign(app, { shown, coded });
  $('result').hidden = false;
  const bits = shown.codes.length * codec.bits;
  const rows = {
    'Bit rate': `${(bits / seconds / 1000).toFixed(2)} kbit/s`,
    'All codes': `${Math.ceil(bits / 8).toLocaleString('en')} bytes`,
    'As 16-bit samples': `${(2 * original.length).toLocaleString('en')} bytes`,
    'Sound': `${seconds.toFixed(2)} s`,
    'Encoding': `${(seconds * 1000 / app.encodeTime).toFixed(1)}× real time`,
    'Decoding': `${(seconds * 1000 / decodeTime).toFixed(1)}× real time`,
  };
  $('facts').replaceChildren(...Object.entries(rows).map(([name, value]) => {
    const row = document.createElement('div'), term = document.createElement('dt'), detail = document.createElement('dd');
    term.textContent = name;
    detail.textContent = value;
    row.append(term, detail);
    return row;
  }));
  drawSpectrogram($('original'), original, original);
  drawSpectrogram($('coded'), coded, original);
  drawCodes($('codes'), shown, facts.codebook_size);
  say('status', app.cut ? `Only the first ${LONGEST} seconds were coded.` : '');
}

// The browser shows what was said before the processor is taken.
const painted = () => new Promise(resolve => requestAnimationFrame(() => setTimeout(resolve)));

let recorder = null;
async function record() {
  if (!recorder) {
    const starting = new Recorder();
    await starting.start();
    recorder = starting;
    $('record').textContent = 'Stop';
    say('status', 'Recording …');
  } else {
    const stopping = recorder;
    recorder = null;
    $('record').textContent = 'Record';
    await encode(await stopping.stop(app.codec.facts.sample_rate));
  }
  $('record').classList.toggle('on', recorder !== null);
}

$('load').onclick = () => doing('about', () => loadModel(name => fetched($('address').value, name)));
$('folder').onchange = ({ target }) => doing('about', () => loadModel(async name => chosen(target.files, name)));
$('file').onchange = ({ target }) => target.files.length && doing('status', async () => {
  const bytes = await target.files[0].arrayBuffer();
  target.value = ''; // the same file may be opened again
  say('status', 'Opening …');
  const samples = await fromFile(bytes, app.codec.facts.sample_rate).catch(() => { throw new Error('this browser cannot read that file'); });
  await encode(samples);
});
$('record').onclick = () => doing('status', record);
$('quantizers').onchange = () => app.all && doing('status', show);
$('play-original').onclick = () => play(app.original, app.codec.facts.sample_rate);
$('play-coded').onclick = () => play(app.coded, app.codec.facts.sample_rate);

const asked = new URLSearchParams(location.search).get('model');
if (asked) $('address').value = asked;
$('load').click();

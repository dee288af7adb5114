'use strict';
const MINUTE = 60000, STORE = 'codax-samples ' + location.pathname;
const players = Array.from(document.querySelectorAll('article audio'));
let chosen = {}; // example -> href of the clip that was chosen, kept when the page is loaded again
try { chosen = JSON.parse(sessionStorage.getItem(STORE)) || {}; } catch { /* no storage, or not ours */ }

function choose(link) {
  const card = link.closest('article'), audio = card.querySelector('audio');
  const position = audio.ended ? 0 : audio.currentTime;
  card.querySelectorAll('[aria-current]').forEach(other => other.removeAttribute('aria-current'));
  link.setAttribute('aria-current', 'true');
  const row = link.closest('.clips');
  if (row.dataset.picture) {
    card.querySelector('img').src = row.dataset.picture;
    card.querySelector('figcaption').textContent = row.querySelector('span').textContent;
  }
  audio.src = link.href;
  audio.addEventListener('loadedmetadata', () => { audio.currentTime = Math.min(position, audio.duration); }, {once: true});
  return audio;
}

document.querySelectorAll('.clips a').forEach(link => link.addEventListener('click', event => {
  event.preventDefault();
  const current = link.hasAttribute('aria-current'), audio = link.closest('article').querySelector('audio');
  if (current && !audio.paused) { audio.pause(); return; }
  (current ? audio : choose(link)).play().catch(() => { /* another clip was chosen before this one was loaded */ });
  chosen[link.closest('article').dataset.example] = link.getAttribute('href');
  try { sessionStorage.setItem(STORE, JSON.stringify(chosen)); } catch { /* no storage */ }
}));
players.forEach(player => player.addEventListener('play', () => {
  players.forEach(other => { if (other !== player) other.pause(); });
}));
for (const card of document.querySelectorAll('article')) {
  const link = Array.from(card.querySelectorAll('.clips a')).find(
    one => one.getAttribute('href') === chosen[card.dataset.example]);
  if (link) choose(link);
}

function refresh() { // a page that is loaded again keeps its place and the clips that were chosen
  if (!document.hidden && players.every(player => player.paused)) location.reload();
}
if (document.body.dataset.finished !== 'true') setInterval(refresh, MINUTE);

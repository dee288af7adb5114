'use strict';
const table = document.getElementById('files');
if (table) {
  const body = table.tBodies[0];
  const number = cell => cell.dataset.value === '' ? NaN : Number(cell.dataset.value);
  table.querySelectorAll('thead button').forEach(button => button.addEventListener('click', () => {
    const head = button.closest('th');
    const up = head.getAttribute('aria-sort') !== 'ascending';
    table.querySelectorAll('thead th').forEach(other => other.removeAttribute('aria-sort'));
    head.setAttribute('aria-sort', up ? 'ascending' : 'descending');
    const column = head.cellIndex, sign = up ? 1 : -1;
    const rows = Array.from(body.rows);
    rows.sort((a, b) => {
      const x = a.cells[column], y = b.cells[column];
      if (x.dataset.value === undefined) return sign * x.textContent.localeCompare(y.textContent);
      const p = number(x), q = number(y);
      if (Number.isNaN(p) || Number.isNaN(q)) return Number.isNaN(p) - Number.isNaN(q);
      return sign * (p - q);
    });
    body.append(...rows);
  }));
  const choice = document.getElementById('system');
  choice.addEventListener('change', () => {
    for (const row of body.rows) row.hidden = choice.value !== '' && row.dataset.system !== choice.value;
  });
  choice.closest('p').hidden = false;
}
// One clip at a time: starting one stops the others.
const players = document.querySelectorAll('audio');
players.forEach(player => player.addEventListener('play', () => {
  players.forEach(other => { if (other !== player) other.pause(); });
}));

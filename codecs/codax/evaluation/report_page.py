"""Style and script of the report: everything inside the page, nothing fetched."""

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --line: #d0d7de; --page: #ffffff; --card: #f6f8fa;
  --accent: #0b5cad; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --soft: #9aa4af; --line: #30363d; --page: #0d1117; --card: #161b22; --accent: #6cb6ff; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 2rem 1.25rem 4rem; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.2rem; margin: 2.75rem 0 .75rem; }
h3 { font-size: 1rem; margin: 0; overflow-wrap: anywhere; }
p { margin: .25rem 0 .75rem; max-width: 60rem; }
a { color: var(--accent); }
.soft { color: var(--soft); }
.small { font-size: .85rem; }
nav a { margin-right: 1rem; }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: 8px; }
.scroll.tall { max-height: 34rem; overflow-y: auto; }
.scroll:focus-visible, button:focus-visible, select:focus-visible, a:focus-visible, summary:focus-visible
  { outline: 3px solid var(--accent); outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: .875rem; }
caption { text-align: left; padding: .6rem .75rem; color: var(--soft); }
th, td { padding: .45rem .6rem; text-align: right; white-space: nowrap; border-top: 1px solid var(--line); }
thead th { white-space: normal; background: var(--card); border-top: 0; vertical-align: bottom; }
.tall thead th { position: sticky; top: 0; }
th:first-child, td.text, th.text { text-align: left; }
td.heard { white-space: normal; min-width: 26rem; }
tbody th { font-weight: 600; }
tr.original { background: var(--card); }
.range { display: block; color: var(--soft); font-size: .75rem; font-weight: 400; }
th button { all: unset; cursor: pointer; font-weight: 600; }
th button::after { content: " \\2195"; color: var(--soft); }
th[aria-sort="ascending"] button::after { content: " \\2191"; color: var(--accent); }
th[aria-sort="descending"] button::after { content: " \\2193"; color: var(--accent); }
figure { margin: 0; }
figure img { display: block; max-width: 100%; height: auto; background: #fff; border: 1px solid var(--line);
  border-radius: 8px; padding: .5rem; }
figcaption { color: var(--soft); font-size: .85rem; margin-top: .4rem; }
.clip { border: 1px solid var(--line); border-radius: 8px; padding: .9rem 1rem; margin: 0 0 1rem; }
.players { display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: .9rem 1.25rem;
  margin-top: .6rem; }
.players figure { min-width: 0; }
.players audio { width: 100%; height: 2.5rem; display: block; margin-top: .2rem; }
span.heard { overflow-wrap: anywhere; }
label { margin-right: .5rem; }
select { font: inherit; padding: .2rem .4rem; margin-bottom: .6rem; background: var(--page); color: var(--ink);
  border: 1px solid var(--line); border-radius: 6px; }
dl { display: grid; grid-template-columns: minmax(8rem, max-content) 1fr; gap: .35rem 1.25rem; margin: 0; }
dt { font-weight: 600; }
dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 40rem) { dl { grid-template-columns: 1fr; } dd { margin-bottom: .5rem; } }
"""

SCRIPT = """
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
"""

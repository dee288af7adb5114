{
  // Tables show that they continue at the right.
  for (const wide of document.querySelectorAll('.wide')) {
    const scroll = wide.firstElementChild;
    const show = () => wide.classList.toggle('more', scroll.scrollLeft + scroll.clientWidth < scroll.scrollWidth - 1);
    scroll.addEventListener('scroll', show, { passive: true });
    new ResizeObserver(show).observe(scroll);
  }

  const table = document.getElementById('files');
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

// The clips share one player; keys act on the clip that was used last.
const player = new Player();

class Clip {
  constructor(node) {
    this.node = node;
    this.buttons = [...node.querySelectorAll('.signal')];
    this.ids = this.buttons.map(button => button.dataset.signal);
    this.transport = node.querySelector('.transport');
    this.cursors = [...node.querySelectorAll('.picture .cursor')];
    this.buttons.forEach((button, i) => {
      if (i < KEYS.length) {
        button.setAttribute('aria-keyshortcuts', KEYS[i]);
        button.append(make('kbd', { 'aria-hidden': 'true' }, KEYS[i]));
      }
      button.addEventListener('click', () => this.choose(this.ids[i]));
    });
    this.transport?.addEventListener('click', () => this.toggle());
    for (const picture of node.querySelectorAll('.picture')) {
      picture.addEventListener('click', event => {
        const box = picture.getBoundingClientRect();
        this.seek((event.clientX - box.left) / box.width, true);
      });
    }
  }

  // Gives the player this clip's signals, unless it has them. False if they cannot be loaded.
  async load() {
    if (Clip.active === this && this.loop) return true;
    player.stop();
    Clip.active?.leave();
    Clip.active = this;
    const message = this.node.querySelector('[role=alert]');
    let signals;
    try {
      signals = await loadSignals(this.ids);
    } catch {
      message.textContent = 'The audio cannot be loaded. The folder clips has to lie beside the page.';
    }
    message.hidden = Boolean(signals);
    if (!signals || Clip.active !== this) return false; // another clip was chosen meanwhile
    player.load(signals);
    player.onchange = () => this.show();
    this.loop = new LoopView(player, signals.get(this.ids[0]).channels);
    this.node.querySelector('.loopbox').replaceChildren(this.loop.node);
    this.loop.draw();
    return true;
  }

  leave() {
    this.loop = null;
    this.node.querySelector('.loopbox').replaceChildren();
    for (const cursor of this.cursors) cursor.style.left = '0';
    for (const button of this.buttons) button.setAttribute('aria-pressed', 'false');
    this.transport.textContent = 'Play';
  }

  async choose(id) {
    if (await this.load()) player.choose(id);
  }

  async toggle() {
    if (!await this.load()) return;
    if (player.chosen === null) player.choose(this.ids[0]);
    else player.toggle();
  }

  // Goes to a share of the clip, inside of the loop.
  async seek(share) {
    if (!await this.load()) return;
    const [start, end] = player.section, playing = player.playing;
    player.pause();
    player.offset = Math.min(Math.max(0, share * player.duration - start), Math.max(0, end - start - 0.01));
    if (playing) player.start();
    this.tick();
  }

  show() {
    this.buttons.forEach((button, i) => button.setAttribute('aria-pressed', String(player.chosen === this.ids[i])));
    this.transport.textContent = player.playing ? 'Pause' : 'Play';
    this.tick();
  }

  tick() {
    this.loop.tick();
    for (const cursor of this.cursors) cursor.style.left = this.loop.cursor.style.left;
    if (player.playing && !this.ticking) {
      this.ticking = requestAnimationFrame(() => { this.ticking = 0; if (this.loop) this.tick(); });
    }
  }

  // A key of the page; true if it was used.
  key(event) {
    const place = KEYS.indexOf(event.key.toLowerCase());
    const share = () => (this.loop ? player.place() / player.duration : 0), loop = this.loop;
    if (place >= 0 && place < this.ids.length) this.choose(this.ids[place]);
    else if (!loop) return false;
    else if (event.key === ' ' && !event.target.matches('button, a')) this.toggle();
    else if (event.key === 'ArrowLeft' || event.key === 'ArrowRight') {
      this.seek(share() + (event.key === 'ArrowLeft' ? -1 : 1) / player.duration);
    } else if (event.key === '[') loop.set(player.place(), loop.draft[1], 'start', true);
    else if (event.key === ']') loop.set(loop.draft[0], player.place(), 'end', true);
    else if (event.key.toLowerCase() === 'l') loop.set(0, player.duration, 'end', true);
    else return false;
    return true;
  }
}

const clips = [...document.querySelectorAll('.clip')].filter(node => node.querySelector('.signal')).map(node => new Clip(node));
document.addEventListener('keydown', event => {
  if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.target.matches('select, input, textarea, .scroll')) return;
  const clip = Clip.active ?? clips[0];
  if (clip?.key(event)) event.preventDefault();
});
addEventListener('resize', () => Clip.active?.loop?.draw());

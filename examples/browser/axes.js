// Axes and the cursor of a picture: its frame gets labels, and a line for the position.

// A round step that divides `range` into at most `most` parts.
function step(range, most) {
  const power = 10 ** Math.floor(Math.log10(range / most));
  return [1, 2, 5, 10].map(n => n * power).find(size => range / size <= most);
}

function labels(side, range, most, text, direction) {
  const axis = document.createElement('div'), size = step(range, most);
  axis.className = `axis ${side}`;
  axis.setAttribute('aria-hidden', 'true');
  for (let value = 0; value <= range * (1 - 0.02); value += size) {
    const label = document.createElement('span');
    label.textContent = text(value);
    label.style[direction] = `${(100 * value) / range}%`;
    axis.append(label);
  }
  return axis;
}

const rounded = value => Number(value.toPrecision(6));

// Axes of `seconds` and, for spectrograms, of kHz up to half the `rate`, or of `rows` quantizers.
export function drawAxes(canvas, seconds, { rate, rows }) {
  const frame = canvas.parentElement;
  frame.querySelectorAll('.axis').forEach(axis => axis.remove());
  const most = Math.max(2, Math.floor(canvas.clientWidth / 90));
  frame.append(labels('time', seconds, most, value => `${rounded(value)} s`, 'left'));
  if (rate) frame.append(labels('level', rate / 2, 4, value => `${rounded(value / 1000)} kHz`, 'bottom'));
  else frame.append(labels('level', rows, Math.min(rows, 4), value => String(rounded(value) + 1), 'top'));
}

// Shows the position on every picture, and calls `seek` with the seconds of a click.
export class Cursors {
  constructor(canvases, player) {
    this.player = player;
    this.lines = canvases.map(canvas => {
      const line = document.createElement('div');
      line.className = 'cursor';
      canvas.after(line);
      canvas.addEventListener('click', event => player.seek((event.offsetX / canvas.clientWidth) * player.duration));
      return line;
    });
  }

  show() {
    const part = this.player.duration ? this.player.place() / this.player.duration : 0;
    for (const line of this.lines) {
      const canvas = line.previousElementSibling;
      line.style.left = `${canvas.offsetLeft + part * canvas.clientWidth}px`;
    }
  }
}

// Requirements on every page; page_checks.py puts this into the page. Each function gives faults, one line each.

const MOST_TABS = 300;
const CONTROLS = 'a[href], button, input, select, textarea, summary, audio[controls], [tabindex="0"]';

const isShown = node => node.checkVisibility({ checkVisibilityCSS: true });
const nameOf = node => (node.id ? '#' + node.id : node.outerHTML.slice(0, 120));

// What a user can reach by the keyboard, in the order of the document.
function reachable() {
  return [...document.querySelectorAll(CONTROLS)].filter(node => isShown(node) && !node.disabled && node.tabIndex >= 0);
}

function textsOf(ids) {
  return ids.split(' ').map(id => document.getElementById(id)?.textContent ?? '').join(' ');
}

function labelOf(node) {
  if (node.hasAttribute('aria-label')) return node.getAttribute('aria-label');
  if (node.hasAttribute('aria-labelledby')) return textsOf(node.getAttribute('aria-labelledby'));
  const images = [...node.querySelectorAll('img')].map(image => image.alt).join(' ');
  return [...(node.labels ?? [])].map(label => label.textContent).join(' ') || node.textContent || node.title || images;
}

function nameFaults() {
  const pictures = [...document.querySelectorAll('svg[role=img], canvas:not([aria-hidden])')];
  return [
    ...[...reachable(), ...pictures].filter(node => !labelOf(node).trim()).map(node => 'no name: ' + nameOf(node)),
    ...[...document.images].filter(node => !node.hasAttribute('alt')).map(node => 'no alt: ' + nameOf(node)),
  ];
}

const pen = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
const colours = new Map();

// [red, green, blue, alpha] of a colour in any of CSS's forms.
function rgba(text) {
  if (!colours.has(text)) {
    pen.clearRect(0, 0, 1, 1);
    pen.fillStyle = text;
    pen.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
    colours.set(text, [r, g, b, a / 255]);
  }
  return colours.get(text);
}

const over = ([r, g, b, a], under) => [r, g, b].map((value, i) => a * value + (1 - a) * under[i]);

function backgroundOf(node) {
  if (!node) return rgba('Canvas').slice(0, 3);
  const own = rgba(getComputedStyle(node).backgroundColor);
  return own[3] === 1 ? own.slice(0, 3) : over(own, backgroundOf(node.parentElement));
}

function luminance(rgb) {
  const [r, g, b] = rgb.map(value => value / 255).map(v => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

// WCAG 2's contrast of text with what is behind it: at least 4.5, or 3 for large text. Disabled text is exempt.
function contrastFaults() {
  const faults = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text; (text = walker.nextNode());) {
    const node = text.parentElement, style = getComputedStyle(node);
    const exempt = node.closest('script, style, :disabled, [aria-disabled=true], option, title');
    if (!text.data.trim() || exempt || !isShown(node)) continue;
    let opacity = 1;
    for (let each = node; each; each = each.parentElement) opacity *= Number(getComputedStyle(each).opacity);
    const under = backgroundOf(node), [r, g, b, a] = rgba(node.closest('svg') ? style.fill : style.color);
    const both = [over([r, g, b, a * opacity], under), under].map(luminance).sort((x, y) => y - x);
    const ratio = (both[0] + 0.05) / (both[1] + 0.05), size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) faults.add(`contrast ${ratio.toFixed(2)}: ${text.data.trim().slice(0, 60)}`);
  }
  return [...faults];
}

function widthFaults() {
  const width = document.documentElement.scrollWidth;
  return width > innerWidth ? [`the page is ${width} pixels wide in a window of ${innerWidth}`] : [];
}

let expected = [];
const visited = []; // [element, whether its focus is seen]

// Puts the focus before the first control. Gives how often the tabulator is to be pressed.
function beginKeyboard() {
  expected = reachable().slice(0, MOST_TABS);
  const start = document.createElement('span');
  start.tabIndex = -1;
  document.body.prepend(start);
  start.focus();
  addEventListener('focusin', event => {
    const style = getComputedStyle(event.target);
    visited.push([event.target, style.outlineStyle !== 'none' || style.boxShadow !== 'none']);
  });
  return expected.length;
}

function keyboardFaults() {
  const lost = expected.filter((node, i) => visited[i]?.[0] !== node).slice(0, 3);
  return [
    ...lost.map(node => 'not reached in the order of the page: ' + nameOf(node)),
    ...visited.filter(([, seen]) => !seen).map(([node]) => 'its focus is not seen: ' + nameOf(node)),
  ];
}

window.pageChecks = { nameFaults, contrastFaults, widthFaults, beginKeyboard, keyboardFaults };

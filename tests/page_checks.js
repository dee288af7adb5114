// What page_checks.py asks of a page. The source is run in the page before each call.

const pageChecks = {
  visible(selector) {
    return [...document.querySelectorAll(selector)].filter(e => e.type !== 'hidden' && e.checkVisibility({ visibilityProperty: true }));
  },

  // Marks the controls that are shown, for WebDriver to name them; gives the beginning of each.
  shown(selector) {
    document.querySelectorAll('[data-shown]').forEach(e => e.removeAttribute('data-shown'));
    return this.visible(selector).map(e => (e.dataset.shown = '', e.outerHTML.slice(0, 100)));
  },

  // Numbers the controls that the keyboard must reach, in the order of the document; radio buttons of a group are one.
  reachable(selector) {
    const groups = new Set();
    const first = e => e.type !== 'radio' || (!groups.has(e.name) && groups.add(e.name));
    const reached = this.visible(selector).filter(e => !e.disabled && e.tabIndex >= 0 && first(e));
    return reached.map((e, i) => (e.dataset.order = i, e.outerHTML.slice(0, 100)));
  },

  // The number of the control with the focus, whether that is seen, and its beginning.
  focused() {
    const e = document.activeElement;
    // A file input out of sight has its label beside it, which shows the focus.
    const marks = [e, e.nextElementSibling, e.previousElementSibling].filter(Boolean).map(s => getComputedStyle(s));
    const seen = marks.some(s => s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) >= 2);
    return [Number(e.dataset.order ?? -1), seen, e.outerHTML.slice(0, 100)];
  },

  // Texts whose contrast is below WCAG 2.2 AA: 4.5, or 3 for large ones. Controls that are disabled do not count.
  faint() {
    const faint = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const e = walker.currentNode.parentElement, text = walker.currentNode.data.trim();
      if (!text || /^(SCRIPT|STYLE|NOSCRIPT|OPTION)$/i.test(e.tagName) || e.closest(':disabled')) continue;
      if (!e.checkVisibility({ visibilityProperty: true })) continue;
      const style = getComputedStyle(e), under = colours.behind(e), [r, g, b, a] = colours.rgba(e.closest('svg') ? style.fill : style.color);
      const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.6 && style.fontWeight >= 700);
      const ratio = colours.contrast(colours.over([r, g, b, a * colours.opacity(e)], under), under);
      if (ratio < (large ? 3 : 4.5)) faint.push(`${text.slice(0, 40)}: ${ratio.toFixed(2)}`);
    }
    return faint;
  },
};

const pen = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
const colours = {
  rgba(colour) {
    pen.clearRect(0, 0, 1, 1);
    pen.fillStyle = colour;
    pen.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  },
  over: (top, under) => [0, 1, 2].map(i => top[i] * top[3] + under[i] * (1 - top[3])).concat(1),
  behind: e => e ? colours.over(colours.rgba(getComputedStyle(e).backgroundColor), colours.behind(e.parentElement))
    : colours.over(colours.rgba('Canvas'), [255, 255, 255, 1]),
  opacity: e => e ? Number(getComputedStyle(e).opacity) * colours.opacity(e.parentElement) : 1,
  // Luminance and contrast as WCAG defines them.
  light([r, g, b]) {
    const linear = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
    return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  },
  contrast(a, b) {
    const [bright, dark] = [colours.light(a), colours.light(b)].sort((p, q) => q - p);
    return (bright + 0.05) / (dark + 0.05);
  },
};

// What is wrong with the page as it is drawn right now: texts with too little contrast (WCAG 2.2, 1.4.3), and what reaches out of the window.
() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const linear = (v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const up = function* (node) {
    for (; node; node = node.parentElement) yield node;
  };
  // Below a text lie the backgrounds of what surrounds it, down to the first opaque one; a slider's thumb is too small for its number.
  const ground = (element, box) => {
    const layers = [];
    for (const node of up(element)) {
      const area = node.getBoundingClientRect(), colour = rgba(getComputedStyle(node).backgroundColor);
      if (!colour[3] || area.width + 1 < Math.min(box.width, innerWidth)) continue;
      layers.push(colour);
      if (colour[3] === 1) break;
    }
    return layers.reduceRight((below, layer) => over(layer, below), [255, 255, 255, 1]);
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const pale = [], outside = [];
  const scrolls = (node) => /auto|scroll|hidden|clip/.test(getComputedStyle(node).overflowX);
  while (texts.nextNode()) {
    const text = texts.currentNode, element = text.parentElement, range = document.createRange();
    range.selectNodeContents(text);
    const box = range.getBoundingClientRect(), style = getComputedStyle(element);
    const shown = element.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && box.width > 1 && box.height > 1;
    if (!text.data.trim() || !shown || style.clipPath !== "none" || element.closest(":disabled, script, style")) continue;
    const said = text.data.trim().slice(0, 40);
    if (box.right > innerWidth + 1 && ![...up(element)].some((node) => node !== document.body && scrolls(node))) outside.push(said);
    const below = ground(element, box), colour = rgba(style.color);
    for (const node of up(element)) colour[3] *= +getComputedStyle(node).opacity;
    const [light, dark] = [luminance(over(colour, below)), luminance(below)].sort((a, b) => b - a);
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    const ratio = (light + 0.05) / (dark + 0.05);
    if (ratio < (large ? 3 : 4.5)) pale.push(`${said}: ${ratio.toFixed(2)}`);
  }
  for (const place of [document.documentElement, document.querySelector(".stMain")]) {
    if (place.scrollWidth > place.clientWidth) outside.push(`${place.tagName} ${place.scrollWidth} > ${place.clientWidth}`);
  }
  return [...new Set(pale.map((one) => `pale: ${one}`)), ...outside.map((one) => `outside: ${one}`)];
}

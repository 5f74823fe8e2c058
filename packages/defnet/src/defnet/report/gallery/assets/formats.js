// Figures and elements: how numbers are written, and how elements are made from data that is never read as HTML.

export const LOWEST = 1;
export const HIGHEST = 5;

export function figure(value, digits = 2) {
  return value === null ? "–" : value.toFixed(digits);
}

export function percent(value) {
  return value === null ? "" : `${Math.round(100 * value)} %`;
}

export function interval(row) {
  return row.lower === null ? "not stated" : `${figure(row.lower)} to ${figure(row.upper)}`;
}

// "others" is the models' word for none of the ten distortions that they know.
export function distortionInWords(row) {
  return row.distortion === "others" ? "none in particular" : row.distortion;
}

export function count(number, singular, plural = `${singular}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? singular : plural}`;
}

export function fileSize(bytes) {
  if (bytes === null) return "";
  return bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") made.className = value;
    else if (name === "on") for (const [event, handler] of Object.entries(value)) made.addEventListener(event, handler);
    else if (name in made && !name.includes("-")) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

export function drawn(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const COLOURS = [
  [1, [201, 68, 84]],
  [2, [219, 122, 65]],
  [3, [214, 170, 69]],
  [4, [117, 170, 102]],
  [5, [38, 150, 140]],
];

// The colour only repeats what the figure beside it says.
export function qualityColour(quality) {
  if (quality === null) return "var(--faint)";
  const value = Math.min(HIGHEST, Math.max(LOWEST, quality));
  const index = Math.min(COLOURS.length - 2, Math.floor(value) - 1);
  const [low, from] = COLOURS[index];
  const part = value - low;
  const mixed = from.map((channel, i) => Math.round(channel + part * (COLOURS[index + 1][1][i] - channel)));
  return `rgb(${mixed.join(" ")})`;
}

// Where a score stands on the scale from 1 to 5, and how far its interval reaches.
export function scoreBar(row) {
  const at = (value) => `${(100 * (Math.min(HIGHEST, Math.max(LOWEST, value)) - LOWEST)) / (HIGHEST - LOWEST)}%`;
  const bar = element("span", { class: "score-bar", "aria-hidden": "true" });
  if (row.lower !== null) {
    const reach = element("span", { class: "reach" });
    reach.style.left = at(row.lower);
    reach.style.right = `calc(100% - ${at(row.upper)})`;
    bar.append(reach);
  }
  const dot = element("span", { class: "dot" });
  dot.style.left = at(row.quality);
  dot.style.background = qualityColour(row.quality);
  bar.append(dot);
  return bar;
}

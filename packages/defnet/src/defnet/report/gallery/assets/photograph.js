// One photograph, large: the file where it is beside the page, else the thumbnail, with its sub-images drawn over it.

import { drawn, element, figure, qualityColour } from "./formats.js";
import { thumbnail } from "./data.js";

export function photograph(row, { boxes = false, onBox = () => {}, onSource = () => {} } = {}) {
  const small = thumbnail(row);
  const image = element("img", { alt: row.name, draggable: false });
  const frame = element("div", { class: "frame" }, image);
  const shape = (width, height) => frame.style.setProperty("--shape", String(width / height));
  const settle = () => {
    if (row.size === null && image.naturalWidth) shape(image.naturalWidth, image.naturalHeight);
  };
  if (row.size !== null) shape(row.size[0], row.size[1]);
  image.addEventListener("load", settle);
  if (small !== null) image.src = small;
  else image.hidden = true;
  onSource(small === null ? "none" : "thumbnail");
  if (row.href !== null && !row.frame) {
    // The thumbnail stands until the file is there, and stays where it is not.
    const file = element("img", { alt: row.name, draggable: false });
    file.addEventListener("load", () => {
      image.replaceWith(file);
      if (row.size === null) shape(file.naturalWidth, file.naturalHeight);
      onSource("file");
    });
    file.src = row.href;
  }
  if (boxes && row.local !== null && row.size !== null) frame.append(overlay(row, onBox));
  return frame;
}

function overlay(row, onBox) {
  const [width, height] = row.size;
  const thin = Math.max(width, height) / 400;
  const svg = drawn("svg", { class: "boxes", viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
  const edges = drawn("g");
  const marks = drawn("g"); // above all edges, so that every figure can be read
  row.local.forEach(([left, top, right, bottom, quality], index) => {
    const colour = qualityColour(quality);
    const edge = drawn("rect", { x: left, y: top, width: right - left, height: bottom - top, class: "edge" });
    edge.setAttribute("stroke-width", thin);
    edge.style.stroke = colour;
    const [x, y] = [(left + right) / 2, (top + bottom) / 2];
    const disc = drawn("circle", { cx: x, cy: y, r: 8.5 * thin });
    disc.style.fill = colour;
    const words = drawn("text", { x, y: y + 2.6 * thin, "font-size": 7.4 * thin, "text-anchor": "middle" });
    words.textContent = figure(quality, 1);
    const mark = drawn("g", {}, disc, words);
    for (const part of [edge, mark]) part.dataset.box = index;
    mark.addEventListener("pointerenter", () => onBox(index));
    mark.addEventListener("pointerleave", () => onBox(null));
    edges.append(edge);
    marks.append(mark);
  });
  svg.append(edges, marks);
  return svg;
}

// Which sub-image is meant: by the pointer over the picture, or by the list beside it.
export function highlight(frame, index) {
  for (const box of frame.querySelectorAll("[data-box]")) {
    box.classList.toggle("meant", Number(box.dataset.box) === index);
    box.classList.toggle("other", index !== null && Number(box.dataset.box) !== index);
  }
}

// The distribution of one measure. Dragging across it filters; so do the two fields beside it.

import { drawn, qualityColour } from "./formats.js";
import { rows } from "./data.js";
import { MEASURES } from "./selection.js";

const BINS = 48;
const WIDTH = 480;
const HEIGHT = 72;

export class Histogram {
  constructor(selection, parts) {
    Object.assign(this, { selection, ...parts, name: "quality", dragging: null });
    for (const [name, { label, of }] of Object.entries(MEASURES)) {
      // A measure that no row has is no choice.
      if (rows.some((row) => of(row) !== null)) this.measure.append(new Option(label, name));
    }
    this.svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    this.svg.setAttribute("preserveAspectRatio", "none");
    this.measure.addEventListener("change", () => this.show(this.measure.value));
    this.clear.addEventListener("click", () => selection.setRange(this.name, null));
    for (const field of [this.from, this.to]) field.addEventListener("change", () => this.typed(field));
    this.svg.addEventListener("pointerdown", (event) => this.begin(event));
    this.svg.addEventListener("pointermove", (event) => this.drag(event));
    for (const end of ["pointerup", "pointercancel"]) this.svg.addEventListener(end, () => (this.dragging = null));
    selection.addEventListener("shown", () => this.draw());
    this.show(this.measure.value || "quality");
  }

  show(name) {
    this.name = name;
    this.measure.value = name;
    const values = this.values(rows);
    const [low, high] = MEASURES[name].range ?? [0, values.length ? values.reduce((a, b) => Math.max(a, b)) : 1];
    this.limits = [low, high > low ? high : low + 1];
    this.all = this.counts(values);
    this.scale.replaceChildren(...this.ticks());
    this.draw();
  }

  values(of) {
    return of.map(MEASURES[this.name].of).filter((value) => value !== null);
  }

  counts(values) {
    const [low, high] = this.limits;
    const bins = new Array(BINS).fill(0);
    for (const value of values) {
      const place = Math.floor((BINS * (value - low)) / (high - low));
      bins[Math.min(BINS - 1, Math.max(0, place))] += 1;
    }
    return bins;
  }

  ticks() {
    const [low, high] = this.limits;
    return [0, 0.25, 0.5, 0.75, 1].map((part) => {
      const tick = document.createElement("span");
      const digits = high - low >= 4 ? 0 : 2;
      tick.textContent = (low + part * (high - low)).toFixed(digits);
      return tick;
    });
  }

  draw() {
    const range = this.selection.ranges[this.name] ?? null;
    const here = this.counts(this.values(this.selection.passing(this.name)));
    const most = Math.max(1, ...this.all);
    const [low, high] = this.limits;
    const step = WIDTH / BINS;
    // The root keeps rare scores visible beside common ones.
    const height = (number) => (number ? Math.max(1.5, (HEIGHT - 4) * Math.sqrt(number / most)) : 0);
    const bars = [];
    const bar = (index, number, attributes) =>
      drawn("rect", {
        x: index * step + 0.5,
        width: step - 1,
        y: HEIGHT - height(number),
        height: height(number),
        ...attributes,
      });
    for (let index = 0; index < BINS; index += 1) {
      const middle = low + ((index + 0.5) * (high - low)) / BINS;
      const inside = range === null || (middle >= range[0] && middle <= range[1]);
      bars.push(bar(index, this.all[index], { class: "all" }));
      const made = bar(index, here[index], { class: inside ? "here" : "here outside" });
      if (inside) made.style.fill = this.name === "quality" ? qualityColour(middle) : "var(--accent)";
      bars.push(made);
    }
    if (range !== null) {
      const [left, right] = range.map((value) => (WIDTH * (value - low)) / (high - low));
      bars.push(drawn("rect", { class: "brush", x: left, width: Math.max(1, right - left), y: 0, height: HEIGHT }));
    }
    this.svg.replaceChildren(...bars);
    const { digits } = MEASURES[this.name];
    this.from.value = range === null ? "" : String(Number(range[0].toFixed(digits)));
    this.to.value = range === null ? "" : String(Number(range[1].toFixed(digits)));
    this.from.placeholder = low.toFixed(digits);
    this.to.placeholder = high.toFixed(digits);
    this.clear.hidden = range === null;
  }

  valueAt(event) {
    const box = this.svg.getBoundingClientRect();
    const part = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
    return this.limits[0] + part * (this.limits[1] - this.limits[0]);
  }

  begin(event) {
    this.svg.setPointerCapture(event.pointerId);
    this.dragging = { value: this.valueAt(event), at: event.clientX };
    event.preventDefault();
  }

  drag(event) {
    if (this.dragging === null) return;
    // A click without a drag takes the range away.
    if (Math.abs(event.clientX - this.dragging.at) < 3) return;
    const ends = [this.dragging.value, this.valueAt(event)].sort((a, b) => a - b);
    this.later(ends);
  }

  // At most once a frame, however fast the pointer is.
  later(range) {
    const waiting = this.waiting !== undefined;
    this.waiting = range;
    if (waiting) return;
    requestAnimationFrame(() => {
      const next = this.waiting;
      this.waiting = undefined;
      this.selection.setRange(this.name, next);
    });
  }

  typed(field) {
    const read = (one, otherwise) => (one.value.trim() === "" ? otherwise : Number(one.value));
    let [low, high] = [read(this.from, this.limits[0]), read(this.to, this.limits[1])];
    // An end that is moved past the other one takes that with it, to the end of the scale.
    if (low > high && field === this.from) high = Math.max(low, this.limits[1]);
    if (low > high) low = Math.min(high, this.limits[0]);
    const empty = this.from.value.trim() === "" && this.to.value.trim() === "";
    this.selection.setRange(this.name, empty || Number.isNaN(low + high) ? null : [low, high]);
  }
}

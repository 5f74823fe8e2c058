// What is shown, in which order, and what is selected. Everything that draws listens to this.

import { rows } from "./data.js";

export const MEASURES = {
  quality: { label: "quality", of: (row) => row.quality, range: [1, 5], digits: 2 },
  uncertainty: { label: "uncertainty (± of one deviation)", of: (row) => row.std, range: null, digits: 2 },
  familiarity: { label: "familiarity", of: (row) => row.familiarity, range: [0, 1], digits: 3 },
};

export const UNFAMILIAR = 0.05;

const NAMES = new Intl.Collator("en", { numeric: true, sensitivity: "base" });
const byName = (a, b) => NAMES.compare(a.path, b.path) || a.frame - b.frame || a.index - b.index;

export const SORTS = {
  worst: { label: "quality, worst first", by: (row) => row.quality, sign: 1 },
  best: { label: "quality, best first", by: (row) => row.quality, sign: -1 },
  unsure: { label: "uncertainty, least sure first", by: (row) => row.std, sign: -1 },
  sure: { label: "uncertainty, surest first", by: (row) => row.std, sign: 1 },
  strange: { label: "familiarity, strangest first", by: (row) => row.familiarity, sign: 1 },
  familiar: { label: "familiarity, most familiar first", by: (row) => row.familiarity, sign: -1 },
  scene: { label: "scene", text: (row) => row.scene },
  distortion: { label: "distortion", text: (row) => row.distortion },
  name: { label: "file name", text: () => "" },
  table: { label: "order of the table", by: (row) => row.index, sign: 1 },
};

const NO_FILTER = { search: "", scene: "", distortion: "", only: "" };

export class Selection extends EventTarget {
  filter = { ...NO_FILTER };
  ranges = {};
  sort = "worst";
  shown = [];
  selected = new Set();

  reset() {
    this.filter = { ...NO_FILTER };
    this.ranges = {};
    this.update();
  }

  set(changes) {
    Object.assign(this.filter, changes);
    this.update();
  }

  setRange(measure, range) {
    if (range === null) delete this.ranges[measure];
    else this.ranges[measure] = range;
    this.update();
  }

  sortBy(name) {
    this.sort = name;
    this.update();
  }

  get filtered() {
    return Object.keys(this.ranges).length > 0 || Object.values(this.filter).some(Boolean);
  }

  // Rows that pass every filter, but for the range of one measure: what its histogram is of.
  passing(without = null) {
    const { scene, distortion, only } = this.filter;
    const words = this.filter.search.toLowerCase().split(/\s+/).filter(Boolean);
    const ranges = Object.entries(this.ranges).filter(([name]) => name !== without);
    return rows.filter(
      (row) =>
        words.every((word) => row.searched.includes(word)) &&
        (!scene || row.scene === scene) &&
        (!distortion || row.distortion === distortion) &&
        this.isOfKind(row, only) &&
        ranges.every(([name, [low, high]]) => {
          const value = MEASURES[name].of(row);
          return value !== null && value >= low && value <= high;
        }),
    );
  }

  isOfKind(row, only) {
    if (only === "warned") return row.warnings.length > 0 && !row.failed;
    if (only === "unfamiliar") return row.familiarity !== null && row.familiarity < UNFAMILIAR;
    if (only === "failed") return row.failed;
    if (only === "selected") return this.selected.has(row.index);
    return true;
  }

  update() {
    const { by, text, sign } = SORTS[this.sort];
    this.shown = this.passing().sort((a, b) => {
      if (text) return NAMES.compare(text(a), text(b)) || byName(a, b);
      const [one, other] = [by(a), by(b)];
      // What has no figure stands last, whichever way the others are sorted.
      if (one === null || other === null) return (one === null) - (other === null) || byName(a, b);
      return sign * (one - other) || byName(a, b);
    });
    this.dispatchEvent(new Event("shown"));
  }

  choose(indexes, on = true) {
    for (const index of indexes) {
      if (on) this.selected.add(index);
      else this.selected.delete(index);
    }
    this.dispatchEvent(new Event("selected"));
    if (this.filter.only === "selected") this.update();
  }

  toggle(index) {
    this.choose([index], !this.selected.has(index));
  }

  clear() {
    this.choose([...this.selected], false);
  }

  // In the order in which they are shown; what is filtered away comes after.
  chosenRows() {
    const here = this.shown.filter((row) => this.selected.has(row.index));
    const seen = new Set(here.map((row) => row.index));
    return here.concat(rows.filter((row) => this.selected.has(row.index) && !seen.has(row.index)));
  }
}

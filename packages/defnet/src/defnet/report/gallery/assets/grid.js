// The grid of thumbnails. Only the tiles in view exist; the rest is empty height.

import { count, distortionInWords, element, figure, interval, percent, scoreBar } from "./formats.js";
import { rows, thumbnail } from "./data.js";

const GAP = 12;
const MARGIN_ROWS = 2;

function described(row) {
  if (row.failed) return `${row.name}, not scored: ${row.reason}`;
  const found = row.distortion ? `, ${distortionInWords(row)}` : "";
  return `${row.name}, quality ${figure(row.quality)}, 95 % interval ${interval(row)}${found}`;
}

function pictureOf(row) {
  const source = thumbnail(row);
  if (source === null) {
    const words = row.failed ? "not scored" : "no picture";
    return element("span", { class: "no-picture" }, words);
  }
  return element("img", { src: source, alt: "", decoding: "async", draggable: false });
}

function caption(row) {
  const name = element("span", { class: "name", title: row.path }, row.name);
  if (row.failed) return element("span", { class: "caption" }, name, element("span", { class: "why" }, row.reason));
  const found = row.distortion ? `${distortionInWords(row)} ${percent(row.distortion_probability)}` : "";
  return element(
    "span",
    { class: "caption" },
    element(
      "span",
      { class: "line" },
      element("strong", {}, figure(row.quality)),
      row.warnings.length ? element("span", { class: "warned", title: row.warnings.join("; ") }, "!") : "",
      element("span", { class: "found", title: found }, distortionInWords(row)),
    ),
    scoreBar(row),
    name,
  );
}

export class Grid {
  constructor(node, selection, open) {
    Object.assign(this, { node, selection, open, tiles: new Map(), current: 0, anchor: 0, columns: 1 });
    selection.addEventListener("shown", () => this.renew());
    selection.addEventListener("selected", () => this.mark());
    new ResizeObserver(() => this.measure()).observe(node);
    addEventListener("scroll", () => this.soon(), { passive: true });
    node.addEventListener("click", (event) => this.clicked(event));
    node.addEventListener("keydown", (event) => this.pressed(event));
    node.addEventListener("focus", () => this.mark());
  }

  get rowHeight() {
    return this.tileHeight + GAP;
  }

  measure() {
    const width = this.node.clientWidth;
    // Its own height changes with every filter, which moves no tile.
    if (width === 0 || width === this.width) return;
    this.width = width;
    const wanted = width < 560 ? 150 : 210;
    this.columns = Math.max(width < 560 ? 2 : 1, Math.floor((width + GAP) / (wanted + GAP)));
    this.tileWidth = Math.floor((width - GAP * (this.columns - 1)) / this.columns);
    this.tileHeight = Math.round(this.tileWidth * 0.75) + 78;
    this.renew();
  }

  renew() {
    if (!this.tileHeight) return;
    const { shown } = this.selection;
    this.current = Math.min(this.current, Math.max(0, shown.length - 1));
    const lines = Math.ceil(shown.length / this.columns);
    this.node.style.height = `${Math.max(0, lines * this.rowHeight - GAP)}px`;
    for (const tile of this.tiles.values()) tile.remove();
    this.tiles.clear();
    this.fill();
  }

  soon() {
    this.waiting ??= requestAnimationFrame(() => {
      this.waiting = undefined;
      this.fill();
    });
  }

  fill() {
    if (!this.tileHeight) return;
    const { shown } = this.selection;
    const top = this.node.getBoundingClientRect().top;
    const first = Math.floor(-top / this.rowHeight) - MARGIN_ROWS;
    const last = Math.ceil((innerHeight - top) / this.rowHeight) + MARGIN_ROWS;
    const from = Math.max(0, first * this.columns);
    const to = Math.min(shown.length, last * this.columns);
    for (const [place, tile] of this.tiles) {
      if (place < from || place >= to) {
        tile.remove();
        this.tiles.delete(place);
      }
    }
    for (let place = from; place < to; place += 1) {
      if (!this.tiles.has(place)) this.tiles.set(place, this.tile(shown[place], place));
    }
    this.mark();
  }

  tile(row, place) {
    const tile = element(
      "div",
      {
        class: row.failed ? "tile failed" : "tile",
        role: "option",
        id: `tile-${row.index}`,
        "aria-label": described(row),
        "aria-posinset": place + 1,
        "aria-setsize": this.selection.shown.length,
      },
      element("span", { class: "picture" }, pictureOf(row), element("span", { class: "check", title: "Select" })),
      caption(row),
    );
    tile.dataset.place = place;
    tile.style.width = `${this.tileWidth}px`;
    tile.style.height = `${this.tileHeight}px`;
    const column = place % this.columns;
    const line = Math.floor(place / this.columns);
    tile.style.transform = `translate(${column * (this.tileWidth + GAP)}px, ${line * this.rowHeight}px)`;
    this.node.append(tile);
    return tile;
  }

  mark() {
    const { shown, selected } = this.selection;
    const here = shown[this.current];
    for (const [place, tile] of this.tiles) {
      const chosen = selected.has(shown[place].index);
      tile.setAttribute("aria-selected", String(chosen));
      tile.classList.toggle("current", place === this.current);
    }
    if (here && this.tiles.has(this.current)) this.node.setAttribute("aria-activedescendant", `tile-${here.index}`);
    else this.node.removeAttribute("aria-activedescendant");
  }

  moveTo(place, { extend = false } = {}) {
    const { shown } = this.selection;
    if (!shown.length) return;
    this.current = Math.min(shown.length - 1, Math.max(0, place));
    if (extend) this.chooseTo(this.current);
    else this.anchor = this.current;
    const top = Math.floor(this.current / this.columns) * this.rowHeight;
    const box = this.node.getBoundingClientRect();
    const bar = document.querySelector(".bar").offsetHeight;
    if (box.top + top < bar + GAP) scrollBy({ top: box.top + top - bar - GAP });
    else if (box.top + top + this.tileHeight > innerHeight)
      scrollBy({ top: box.top + top + this.tileHeight - innerHeight + GAP });
    this.fill();
  }

  show(index) {
    const place = this.selection.shown.findIndex((row) => row.index === index);
    if (place >= 0) this.moveTo(place);
  }

  chooseTo(place) {
    const [low, high] = [this.anchor, place].sort((a, b) => a - b);
    this.selection.choose(this.selection.shown.slice(low, high + 1).map((row) => row.index));
  }

  clicked(event) {
    const tile = event.target.closest(".tile");
    if (tile === null) return;
    const place = Number(tile.dataset.place);
    const row = this.selection.shown[place];
    this.current = place;
    if (event.shiftKey) this.chooseTo(place);
    else {
      this.anchor = place;
      if (event.ctrlKey || event.metaKey || event.target.closest(".check")) this.selection.toggle(row.index);
      else this.open(place);
    }
    this.mark();
  }

  pressed(event) {
    const page = Math.max(1, Math.floor(innerHeight / this.rowHeight) - 1) * this.columns;
    const steps = {
      ArrowRight: 1,
      ArrowLeft: -1,
      ArrowDown: this.columns,
      ArrowUp: -this.columns,
      PageDown: page,
      PageUp: -page,
      Home: -Infinity,
      End: Infinity,
    };
    const row = this.selection.shown[this.current];
    if (event.key in steps && !event.altKey) this.moveTo(this.current + steps[event.key], { extend: event.shiftKey });
    else if (event.key === "Enter" && row) this.open(this.current);
    else if (event.key === " " && row) this.selection.toggle(row.index);
    else if (event.key === "a" && (event.ctrlKey || event.metaKey))
      this.selection.choose(this.selection.shown.map((one) => one.index));
    else return;
    event.preventDefault();
  }
}

export function shownInWords(selection) {
  const chosen = selection.selected.size ? ` · ${selection.selected.size.toLocaleString("en")} selected` : "";
  const all = count(rows.length, "photograph");
  if (selection.shown.length === rows.length) return `All ${all}${chosen}`;
  return `${selection.shown.length.toLocaleString("en")} of ${all}${chosen}`;
}

// One photograph at a time, with all that is known of it.

import { element, figure } from "./formats.js";
import { highlight, photograph } from "./photograph.js";
import { closeButton, closeOnBackdrop, facts, SOURCES } from "./dialogs.js";

export class Viewer {
  constructor(dialog, selection, onMove) {
    Object.assign(this, { dialog, selection, onMove, boxes: true, place: 0 });
    closeOnBackdrop(dialog);
    dialog.addEventListener("keydown", (event) => this.pressed(event));
    selection.addEventListener("selected", () => dialog.open && this.draw());
  }

  get row() {
    return this.selection.shown[this.place];
  }

  open(place) {
    this.place = place;
    this.draw();
    if (!this.dialog.open) this.dialog.showModal();
    this.dialog.querySelector(".next").focus();
  }

  step(by) {
    const next = this.place + by;
    if (next < 0 || next >= this.selection.shown.length) return;
    this.place = next;
    this.onMove(next);
    this.draw();
  }

  draw() {
    const { row } = this;
    if (row === undefined) {
      this.dialog.close();
      return;
    }
    const focused = document.activeElement?.dataset?.action;
    const source = element("p", { class: "source" });
    const frame = photograph(row, {
      boxes: this.boxes,
      onBox: (index) => this.mean(index),
      onSource: (kind) => (source.textContent = `Shown: ${SOURCES[kind]}.`),
    });
    this.frame = frame;
    const said = element(
      "aside",
      { class: "said" },
      element("h2", { title: row.path }, row.name),
      element("p", { class: "folder" }, row.folder),
      facts(row),
      this.subImages(row),
      source,
    );
    this.dialog.replaceChildren(element("div", { class: "view" }, element("div", { class: "stage" }, frame), said), this.keys());
    this.dialog.setAttribute("aria-label", row.name);
    if (focused) this.dialog.querySelector(`[data-action="${focused}"]`)?.focus();
  }

  keys() {
    const { shown, selected } = this.selection;
    const button = (action, words, run, more = {}) => {
      const made = element("button", { type: "button", ...more, on: { click: run } }, words);
      made.dataset.action = action;
      return made;
    };
    const chosen = selected.has(this.row.index);
    const hasBoxes = this.row.local !== null;
    return element(
      "div",
      { class: "foot" },
      button("previous", "←", () => this.step(-1), { "aria-label": "Previous", disabled: this.place === 0 }),
      element("span", { class: "place" }, `${this.place + 1} of ${shown.length.toLocaleString("en")}`),
      button("next", "→", () => this.step(1), { class: "next", "aria-label": "Next" }),
      button("select", chosen ? "Selected" : "Select", () => this.selection.toggle(this.row.index), {
        "aria-pressed": String(chosen),
        title: "Select (space)",
      }),
      hasBoxes
        ? button("boxes", "Sub-images", () => this.toggleBoxes(), { "aria-pressed": String(this.boxes), title: "Sub-images (b)" })
        : "",
      closeButton(this.dialog),
    );
  }

  subImages(row) {
    if (row.local === null || row.failed) return "";
    const order = row.local.map((one, index) => [one[4], index]).sort((a, b) => a[0] - b[0]);
    const items = order.map(([quality, index]) => {
      const [left, top, , , , std] = row.local[index];
      const item = element(
        "li",
        { tabIndex: 0, on: { pointerenter: () => this.mean(index), focus: () => this.mean(index) } },
        element("strong", {}, figure(quality)),
        ` ± ${figure(std)}`,
        element("span", {}, `at ${left}, ${top}`),
      );
      item.dataset.box = index;
      for (const end of ["pointerleave", "blur"]) item.addEventListener(end, () => this.mean(null));
      return item;
    });
    return element(
      "details",
      { class: "local", open: true },
      element("summary", {}, `${row.local.length} sub-images, worst first`),
      element("ol", {}, ...items),
    );
  }

  mean(index) {
    highlight(this.frame, index);
    for (const item of this.dialog.querySelectorAll("li[data-box]"))
      item.classList.toggle("meant", Number(item.dataset.box) === index);
  }

  toggleBoxes() {
    this.boxes = !this.boxes;
    this.draw();
  }

  pressed(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const inList = event.target.matches?.("button");
    if (event.key === "ArrowRight") this.step(1);
    else if (event.key === "ArrowLeft") this.step(-1);
    else if (event.key === "Home") this.step(-this.place);
    else if (event.key === "End") this.step(this.selection.shown.length - 1 - this.place);
    else if (event.key === "b" && this.row.local !== null) this.toggleBoxes();
    else if (event.key === " " && (!inList || event.target.classList.contains("next")))
      this.selection.toggle(this.row.index);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}

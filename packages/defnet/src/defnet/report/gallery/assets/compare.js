// Two photographs side by side, enlarged at the same place, and whether their scores differ by more than they are sure.

import { element, figure } from "./formats.js";
import { photograph } from "./photograph.js";
import { closeButton, closeOnBackdrop, facts } from "./dialogs.js";

export function difference(one, other) {
  if (one.failed || other.failed) return "One of them could not be scored.";
  const apart = other.quality - one.quality;
  const words = `${figure(Math.abs(apart))} ${apart < 0 ? "lower" : "higher"}`;
  if (one.std === null || other.std === null) return `The second scores ${words}; how sure that is, is not stated.`;
  const deviation = Math.hypot(one.std, other.std);
  const z = Math.abs(apart) / deviation;
  const verdict = z > 1.96 ? "more than chance would do once in twenty times" : "no more than the scores are unsure by";
  return `The second scores ${words}: ${figure(z, 1)} times the deviation of such a difference (${figure(deviation)}), ${verdict}.`;
}

export class Comparison {
  constructor(dialog) {
    Object.assign(this, { dialog, zoomed: false });
    closeOnBackdrop(dialog);
    dialog.addEventListener("keydown", (event) => this.pressed(event));
  }

  open(one, other) {
    this.rows = [one, other];
    this.zoomed = false;
    this.draw();
    if (!this.dialog.open) this.dialog.showModal();
    this.dialog.querySelector('[data-action="zoom"]').focus();
  }

  draw() {
    const panes = this.rows.map((row) =>
      element(
        "section",
        { class: "pane", "aria-label": row.name },
        element("div", { class: "stage" }, photograph(row)),
        element("div", { class: "said" }, element("h2", { title: row.path }, row.name), facts(row)),
      ),
    );
    const swap = () => {
      this.rows.reverse();
      this.draw();
    };
    const zoom = element(
      "button",
      { type: "button", "aria-pressed": "false", title: "Enlarge both (z)", on: { click: () => this.zoom() } },
      "Enlarge",
    );
    zoom.dataset.action = "zoom";
    this.dialog.replaceChildren(
      element("div", { class: "panes" }, ...panes),
      element(
        "div",
        { class: "foot" },
        element("p", { class: "difference" }, difference(...this.rows)),
        zoom,
        element("button", { type: "button", on: { click: swap } }, "Swap"),
        closeButton(this.dialog),
      ),
    );
    for (const stage of this.dialog.querySelectorAll(".stage")) {
      stage.addEventListener("click", (event) => this.zoom(event));
      stage.addEventListener("pointermove", (event) => this.zoomed && this.look(event));
    }
  }

  zoom(event) {
    this.zoomed = !this.zoomed;
    this.dialog.classList.toggle("zoomed", this.zoomed);
    this.dialog.querySelector('[data-action="zoom"]').setAttribute("aria-pressed", String(this.zoomed));
    if (this.zoomed) this.look(event);
  }

  // Both are enlarged around the same point, as parts of their sides.
  look(event) {
    let [x, y] = [50, 50];
    const stage = event?.currentTarget?.matches?.(".stage") ? event.currentTarget : null;
    if (stage !== null) {
      const box = stage.querySelector(".frame").getBoundingClientRect();
      const bounds = stage.getBoundingClientRect();
      x = (100 * (event.clientX - bounds.left)) / bounds.width;
      y = (100 * (event.clientY - bounds.top)) / bounds.height;
      if (!box.width) return;
    }
    for (const frame of this.dialog.querySelectorAll(".frame")) frame.style.transformOrigin = `${x}% ${y}%`;
  }

  pressed(event) {
    if (event.key !== "z" || event.ctrlKey || event.metaKey) return;
    this.zoom();
    event.preventDefault();
  }
}

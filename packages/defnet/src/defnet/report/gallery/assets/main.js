// The page: its controls, and what the keys do everywhere on it.

import { count, element } from "./formats.js";
import { notes, rows, title } from "./data.js";
import { Selection, SORTS } from "./selection.js";
import { Histogram } from "./histogram.js";
import { Grid, shownInWords } from "./grid.js";
import { closeButton, closeOnBackdrop } from "./dialogs.js";
import { Viewer } from "./viewer.js";
import { Comparison } from "./compare.js";

const at = (id) => document.getElementById(id);
const selection = new Selection();

function say(words) {
  at("said").textContent = words;
  at("said").classList.add("shown");
  clearTimeout(say.timer);
  say.timer = setTimeout(() => at("said").classList.remove("shown"), 4000);
}

// Dark or light: the system's choice until the switch is used, which the browser then remembers.
function theme() {
  const system = matchMedia("(prefers-color-scheme: light)");
  const remembered = () => {
    try {
      return localStorage.getItem("defnet-theme");
    } catch {
      return null; // a page of a file may have no memory
    }
  };
  const apply = (chosen) => {
    const now = chosen ?? (system.matches ? "light" : "dark");
    document.documentElement.dataset.theme = now;
    at("theme").textContent = now === "dark" ? "Light" : "Dark";
  };
  at("theme").addEventListener("click", () => {
    const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    try {
      localStorage.setItem("defnet-theme", next);
    } catch {
      // Then it holds until the page is closed.
    }
    apply(next);
  });
  system.addEventListener("change", () => apply(remembered()));
  apply(remembered());
}

function summary() {
  const failed = rows.filter((row) => row.failed).length;
  const warned = rows.filter((row) => !row.failed && row.warnings.length).length;
  const parts = [count(rows.length - failed, "photograph")];
  if (warned) parts.push(`${warned.toLocaleString("en")} with a warning`);
  if (failed) parts.push(`${failed.toLocaleString("en")} could not be scored`);
  at("title").textContent = title;
  at("summary").textContent = parts.join(" · ");
  at("notes").append(...notes.map((one) => element("p", { class: "note" }, one)));
}

function choices(id, key) {
  const found = new Map();
  for (const row of rows) if (row[key]) found.set(row[key], (found.get(row[key]) ?? 0) + 1);
  const names = [...found].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0]));
  at(id).append(new Option("any", ""), ...names.map(([name, number]) => new Option(`${name} (${number.toLocaleString("en")})`, name)));
  at(id).addEventListener("change", () => selection.set({ [key]: at(id).value }));
  if (!names.length) at(id).disabled = true;
}

function controls() {
  choices("scene", "scene");
  choices("distortion", "distortion");
  for (const [name, { label, by }] of Object.entries(SORTS)) {
    if (!by || rows.some((row) => by(row) !== null)) at("sort").append(new Option(label, name));
  }
  at("sort").value = selection.sort;
  at("sort").addEventListener("change", () => selection.sortBy(at("sort").value));
  at("only").addEventListener("change", () => selection.set({ only: at("only").value }));
  at("search").addEventListener("input", () => selection.set({ search: at("search").value }));
  for (const id of ["reset", "reset-too"]) at(id).addEventListener("click", () => selection.reset());
  if (matchMedia("(max-width: 700px)").matches) at("filters").open = false;
}

function reflect() {
  for (const key of ["search", "scene", "distortion", "only"]) {
    if (at(key).value !== selection.filter[key]) at(key).value = selection.filter[key];
  }
  at("reset").disabled = !selection.filtered;
  at("nothing").hidden = selection.shown.length > 0;
  countSelected();
}

function countSelected() {
  const number = selection.selected.size;
  at("shown").textContent = shownInWords(selection);
  at("copy").disabled = at("select-none").disabled = number === 0;
  at("copy").textContent = number ? `Copy the list of ${count(number, "file")}` : "Copy the list";
  at("compare").disabled = number !== 2;
}

async function copyList() {
  const chosen = selection.chosenRows();
  const names = [...new Set(chosen.map((row) => row.path))];
  try {
    await navigator.clipboard.writeText(names.join("\n") + "\n");
  } catch {
    // Where the browser gives a page no clipboard, a selected text still goes there.
    const text = element("textarea", { value: names.join("\n") + "\n", class: "away", readOnly: true });
    document.body.append(text);
    text.select();
    const done = document.execCommand("copy");
    text.remove();
    if (!done) {
      say("The browser does not let this page copy.");
      return;
    }
  }
  say(`Copied ${count(names.length, "path")}, one a line.`);
}

const KEYS = [
  ["arrows, Page Up and Down, Home, End", "move through the photographs"],
  ["Enter", "open the photograph large"],
  ["space", "select it, or take it out"],
  ["Shift with arrows, or Shift and a click", "select from here to there"],
  ["Ctrl A", "select all that are shown"],
  ["c", "compare the two that are selected"],
  ["y", "copy the list of the selected files"],
  ["/", "search by file name"],
  ["b, in the large view", "sub-images on and off"],
  ["z, in the comparison", "enlarge both"],
  ["Esc", "close, or select none"],
];

function help() {
  const list = element("dl", { class: "facts" });
  for (const [key, does] of KEYS) list.append(element("dt", {}, key), element("dd", {}, does));
  const dialog = at("help");
  dialog.replaceChildren(
    element("div", { class: "said" }, element("h2", {}, "Keys"), list),
    element("div", { class: "foot" }, closeButton(dialog)),
  );
  closeOnBackdrop(dialog);
  at("help-button").addEventListener("click", () => dialog.showModal());
}

summary();
theme();
controls();
help();
const viewer = new Viewer(at("viewer"), selection, (place) => grid.moveTo(place));
const comparison = new Comparison(at("comparison"));
const grid = new Grid(at("grid"), selection, (place) => viewer.open(place));
at("viewer").addEventListener("close", () => at("grid").focus({ preventScroll: true }));
at("comparison").addEventListener("close", () => at("grid").focus({ preventScroll: true }));
selection.addEventListener("shown", reflect);
selection.addEventListener("selected", countSelected);
new Histogram(selection, {
  svg: at("histogram"),
  measure: at("measure"),
  from: at("from"),
  to: at("to"),
  clear: at("clear-range"),
  scale: at("scale"),
});

function compareTwo() {
  const chosen = selection.chosenRows();
  if (chosen.length === 2) comparison.open(...chosen);
  else say("Select two photographs to compare them.");
}

at("copy").addEventListener("click", copyList);
at("compare").addEventListener("click", compareTwo);
at("select-all").addEventListener("click", () => selection.choose(selection.shown.map((row) => row.index)));
at("select-none").addEventListener("click", () => selection.clear());

addEventListener("keydown", (event) => {
  const typing = event.target.matches?.("input, select, textarea");
  if (typing || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const actions = {
    "/": () => {
      at("filters").open = true;
      at("search").focus();
    },
    c: compareTwo,
    y: () => (selection.selected.size ? copyList() : say("Nothing is selected.")),
    "?": () => at("help").showModal(),
    Escape: () => selection.clear(),
  };
  if (!(event.key in actions)) return;
  event.preventDefault();
  actions[event.key]();
});

selection.update();
grid.measure();
at("grid").focus({ preventScroll: true });

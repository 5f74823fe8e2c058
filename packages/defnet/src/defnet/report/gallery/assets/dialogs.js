// What the dialogs share: opening and closing, and what is said of a photograph in words.

import { distortionInWords, element, figure, fileSize, interval, percent, scoreBar } from "./formats.js";
import { UNFAMILIAR } from "./selection.js";

export function closeButton(dialog) {
  const close = () => dialog.close();
  return element("button", { type: "button", class: "close", title: "Close (Esc)", on: { click: close } }, "Close");
}

// A click beside the content closes, as people expect of what lies over a page.
export function closeOnBackdrop(dialog) {
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
}

export function facts(row) {
  if (row.failed) return element("p", { class: "why" }, `Not scored: ${row.reason}`);
  const list = element("dl", { class: "facts" });
  const add = (term, ...said) => {
    if (said.every((one) => one !== "")) list.append(element("dt", {}, term), element("dd", {}, ...said));
  };
  add("95 % interval", interval(row));
  add("uncertainty", row.std === null ? "" : `± ${figure(row.std)}`);
  add("aleatoric", row.aleatoric_std === null ? "" : `± ${figure(row.aleatoric_std)}, of images like it`);
  add("epistemic", row.epistemic_std === null ? "" : `± ${figure(row.epistemic_std)}, of what was not learnt`);
  if (row.familiarity !== null) {
    const words = row.familiarity < UNFAMILIAR ? ", unlike the training photographs" : "";
    add("familiarity", figure(row.familiarity, row.familiarity < 0.01 ? 3 : 2) + words);
  }
  add("scene", row.scene && `${row.scene} ${percent(row.scene_probability)}`);
  add("what is wrong", row.distortion && `${distortionInWords(row)} ${percent(row.distortion_probability)}`);
  if (row.size !== null) add("size", `${row.size[0]} × ${row.size[1]} pixels`);
  add("file", [fileSize(row.bytes), row.modified.replace("T", " ")].filter(Boolean).join(", "));
  return element(
    "div",
    {},
    element("p", { class: "score" }, element("strong", {}, figure(row.quality)), element("span", {}, "of 5")),
    scoreBar(row),
    list,
    row.warnings.length ? element("ul", { class: "warnings" }, ...row.warnings.map((one) => element("li", {}, one))) : "",
  );
}

export const SOURCES = {
  file: "the file itself",
  thumbnail: "its thumbnail; the file is not where it was",
  none: "no picture: the file is not where it was",
};

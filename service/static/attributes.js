// Chips of the gallery's attributes: "the same collar", how much it counts, and how alike hits are.

import { $, make } from "./dom.js";
import { EXPLAINED_PAIRS, colourOf } from "./regions.js";
import { labelOf, qualityWord, weightWord } from "./words.js";

const MOST = 16; // of one search
const FULL = "1";

export class Attributes {
  /** `onSlide` is called while a slider moves, `onChoose` after a tap on a chip. */
  constructor(onSlide, onChoose) {
    Object.assign(this, { onSlide, onChoose, known: [], all: [], weights: new Map(), overall: "" });
    $("attributes").addEventListener("submit", (event) => event.preventDefault());
    $("overall").addEventListener("input", () => {
      this.overall = $("overall").value;
      this.#showOverall();
      onSlide();
    });
    $("chips").addEventListener("pointerleave", hideTip);
    $("chips").addEventListener("scroll", hideTip);
    addEventListener("keydown", ({ key }) => key === "Escape" && hideTip());
  }

  /** attributes: of GET /attributes. */
  prepare(attributes) {
    this.known = attributes;
    this.#draw();
  }

  get isActive() {
    return this.weights.size > 0;
  }

  /** The names that are on, each with the number of its colour. */
  get places() {
    return new Map([...this.weights.keys()].map((name, index) => [name, EXPLAINED_PAIRS + index]));
  }

  /** What is on: {weights: {name: weight}, overall}, with the texts of the sliders. */
  get choice() {
    return { weights: Object.fromEntries(this.weights), overall: this.isActive ? this.overall : "" };
  }

  /** The form fields of a search. */
  get fields() {
    if (!this.isActive) return {};
    const weights = [...this.weights].map(([name, weight]) => [name, Number(weight)]);
    return { attributes: JSON.stringify(Object.fromEntries(weights)), ...(this.overall && { overall: this.overall }) };
  }

  /** Take the choice of a link; names that the gallery lacks stay, for the service to refuse. */
  write({ weights, overall }) {
    this.weights = new Map(Object.entries(weights));
    this.overall = overall;
    this.#draw();
  }

  /** Switch one on alone: the one that was just taught. */
  choose(name) {
    this.weights = new Map([[name, FULL]]);
    this.#show();
    this.onChoose();
  }

  /** Switch one off that the gallery has no more. */
  drop(name) {
    if (!this.weights.delete(name)) return;
    this.#draw();
    this.onChoose();
  }

  #draw() {
    const unknown = [...this.weights.keys()].filter((name) => !this.known.some((each) => each.name === name));
    this.all = [...this.known, ...unknown.map((name) => ({ name, values: [], quality: null }))];
    $("attributes").hidden = !this.all.length;
    $("chips").replaceChildren(...this.all.map((attribute, index) => this.#makeChip(attribute, index)));
    this.#show();
  }

  #makeChip(attribute, index) {
    const about = describe(attribute);
    const id = `about-attribute-${index}`;
    const label = labelOf(attribute.name);
    const chip = make(
      "button",
      { type: "button", className: "chip", "aria-label": `Same ${label.toLowerCase()}`, "aria-describedby": id },
      make("i", { "aria-hidden": "true" }),
      label,
    );
    chip.dataset.name = attribute.name;
    chip.addEventListener("click", () => this.#toggle(attribute.name));
    chip.addEventListener("pointerenter", ({ pointerType }) => pointerType === "mouse" && showTip(chip, about));
    chip.addEventListener("focus", () => chip.matches(":focus-visible") && showTip(chip, about));
    chip.addEventListener("blur", hideTip);
    return make("li", {}, chip, make("span", { className: "unseen", id }, about));
  }

  #toggle(name) {
    if (!this.weights.delete(name)) {
      if (this.weights.size === MOST) return;
      this.weights.set(name, FULL);
    }
    this.#show();
    this.onChoose();
  }

  #show() {
    const places = this.places;
    for (const chip of $("chips").querySelectorAll(".chip")) {
      const place = places.get(chip.dataset.name);
      chip.setAttribute("aria-pressed", place !== undefined);
      chip.firstElementChild.style.background = place === undefined ? "" : colourOf(place);
    }
    $("weights").hidden = !this.isActive;
    const rows = new Map([...$("weights").querySelectorAll(".weight[data-name]")].map((row) => [row.dataset.name, row]));
    for (const [name, row] of rows) if (!places.has(name)) row.remove();
    for (const [name, weight] of this.weights) {
      const row = rows.get(name) ?? this.#addWeight(name);
      row.querySelector("input").value = weight;
      showWord(row, Number(weight));
    }
    $("overall").value = this.overall || 0;
    this.#showOverall();
  }

  #addWeight(name) {
    const row = $("weight").content.firstElementChild.cloneNode(true);
    const slider = row.querySelector("input");
    slider.setAttribute("aria-label", `Weight of ${labelOf(name).toLowerCase()}`);
    row.dataset.name = name;
    row.querySelector("span").textContent = labelOf(name);
    row.querySelector("small").textContent = describe(this.all.find((each) => each.name === name));
    slider.addEventListener("input", () => {
      this.weights.set(name, slider.value);
      showWord(row, Number(slider.value));
      this.onSlide();
    });
    $("overall-row").before(row);
    return row;
  }

  #showOverall() {
    showWord($("overall-row"), Number(this.overall || 0));
  }
}

function showWord(row, weight) {
  const word = weightWord(weight);
  row.querySelector("output").textContent = word;
  row.querySelector("input").setAttribute("aria-valuetext", word);
}

function describe({ values, quality, learned, num_examples: examples }) {
  if (!values.length) return "This gallery has no such attribute.";
  const from = learned ? ` Taught here from ${examples} marked items.` : "";
  return `Tells apart: ${values.map((value) => labelOf(value).toLowerCase()).join(", ")}. ${qualityWord(quality)}.${from}`;
}

/** Beneath the chip, and inside the row of chips: the row may scroll, and cuts what hangs out. */
function showTip(chip, text) {
  const tip = $("attribute-tip");
  tip.textContent = text;
  tip.hidden = false;
  const [row, at] = [$("attributes").getBoundingClientRect(), chip.getBoundingClientRect()];
  tip.style.left = `${Math.max(0, Math.min(at.left - row.left, row.width - tip.offsetWidth))}px`;
  tip.style.top = `${at.bottom - row.top + 8}px`;
}

function hideTip() {
  $("attribute-tip").hidden = true;
}

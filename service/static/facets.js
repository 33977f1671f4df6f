// Filters from the gallery's own columns: values to tick, ranges to type, and a text for experts.

import { $, make } from "./dom.js";
import { composeFilter, kindOf } from "./filter.js";
import { isTitle, labelOf } from "./words.js";

const MOST_FACETS = 20;
const OPEN_AT_FIRST = 2;

export class Filters {
  constructor(onChange) {
    Object.assign(this, { onChange, types: {}, known: new Map(), parts: new Map() });
    this.write({ values: {}, ranges: {} });
    $("expert").addEventListener("input", () => {
      this.showError("");
      onChange();
    });
    $("clear-filters").addEventListener("click", () => {
      this.write({ values: {}, ranges: {} });
      onChange();
    });
    $("filters").addEventListener("submit", (event) => event.preventDefault());
  }

  prepare(columns) {
    this.types = columns;
    const asked = Object.keys(columns).filter((column) => kindOf(columns[column]) && !isTitle(column));
    this.columns = asked.slice(0, MOST_FACETS);
  }

  /** selection: {values: {column: [text]}, ranges: {column: {min, max}}}. */
  write(selection, expert = "") {
    this.selection = structuredClone(selection);
    $("expert").value = expert;
    $("expert-box").open ||= expert !== "";
    this.parts.clear();
    $("facets").replaceChildren();
    this.showError("");
    this.#draw();
  }

  get expert() {
    return $("expert").value.trim();
  }

  get filter() {
    return composeFilter(this.selection, this.types, this.expert);
  }

  get isActive() {
    const { values, ranges } = this.selection;
    return Boolean(this.expert || Object.values(values).flat().length || Object.values(ranges).some(({ min, max }) => min || max));
  }

  /** The service's sentence, where the expert's filter is what it complains about. */
  showError(sentence) {
    $("expert-error").textContent = sentence;
    $("expert-error").hidden = !sentence;
    $("expert").setAttribute("aria-invalid", Boolean(sentence));
    if (sentence) $("expert-box").open = true;
  }

  /** Take the counts of an answer: {column: {values, more} or {min, max, bins}}. */
  show(facets) {
    for (const [column, facet] of Object.entries(facets ?? {})) {
      // A column's own ticks narrow its counts: what was there before stays to be ticked.
      const before = this.#isNarrowed(column) ? this.known.get(column) : null;
      this.known.set(column, before ? { ...before, counted: facet } : facet);
    }
    this.#draw();
  }

  #isNarrowed(column) {
    const { min, max } = this.selection.ranges[column] ?? {};
    return Boolean(this.selection.values[column]?.length || min || max);
  }

  #draw() {
    const focused = document.activeElement?.id;
    for (const column of this.columns ?? []) {
      const facet = this.known.get(column);
      const isShown = facet && (this.#isNarrowed(column) || isTelling(facet));
      if (isShown && !this.parts.has(column)) this.#add(column);
      const part = this.parts.get(column);
      if (!part) continue;
      part.hidden = !isShown;
      if (isShown) this.#fill(part, column, facet);
    }
    if (focused?.startsWith("tick-")) $(focused)?.focus();
    $("clear-filters").hidden = !this.isActive;
  }

  #add(column) {
    const body = make("div", { className: "facet-body", role: "group", "aria-label": labelOf(column) });
    const part = make("details", { className: "facet", open: this.parts.size < OPEN_AT_FIRST }, make("summary", {}, labelOf(column)), body);
    this.parts.set(column, part);
    $("facets").append(part);
  }

  #fill(part, column, facet) {
    const body = part.lastElementChild;
    if (facet.values?.length) body.replaceChildren(...this.#makeTicks(column, facet));
    else if (body.firstElementChild) showRange(body, facet);
    else body.append(...this.#makeRange(column, facet));
  }

  #makeTicks(column, facet) {
    const chosen = this.selection.values[column] ?? [];
    const counts = new Map((facet.counted ?? facet).values.map(({ value, count }) => [String(value), count]));
    const texts = new Set([...facet.values.map(({ value }) => String(value)), ...chosen]);
    return [...texts].map((text, index) => {
      const tick = make("input", { type: "checkbox", id: `tick-${column}-${index}`, value: text, checked: chosen.includes(text) });
      tick.addEventListener("change", () => this.#tick(column, text, tick.checked));
      const count = counts.get(text);
      return make("label", { className: "tick" }, tick, make("span", {}, spoken(text)), make("small", {}, count ? String(count) : ""));
    });
  }

  #tick(column, text, isOn) {
    const others = (this.selection.values[column] ?? []).filter((value) => value !== text);
    this.selection.values[column] = isOn ? [...others, text] : others;
    $("clear-filters").hidden = !this.isActive;
    this.onChange();
  }

  #makeRange(column, facet) {
    const bars = make("div", { className: "bins", "aria-hidden": "true" });
    const type = kindOf(this.types[column]) === "date" ? "date" : "number";
    const ends = ["min", "max"].map((end) => {
      const label = `${labelOf(column)}, ${end === "min" ? "at least" : "at most"}`;
      const input = make("input", { type, step: "any", className: end, "aria-label": label });
      input.value = this.selection.ranges[column]?.[end] ?? "";
      input.addEventListener("input", () => {
        (this.selection.ranges[column] ??= { min: "", max: "" })[end] = input.value;
        $("clear-filters").hidden = !this.isActive;
        this.onChange();
      });
      return input;
    });
    const body = make("div", {}, bars, make("div", { className: "range" }, ends[0], make("span", {}, "to"), ends[1]));
    showRange(body, facet);
    return [...body.children];
  }
}

function showRange(body, facet) {
  const { bins = [], min, max } = facet;
  const most = Math.max(1, ...bins.map(({ count }) => count));
  body.querySelector(".bins").replaceChildren(
    ...bins.map(({ count }) => {
      const bar = make("i");
      bar.style.height = `${(count / most) * 100}%`;
      return bar;
    }),
  );
  body.querySelector(".min").placeholder = min ?? "";
  body.querySelector(".max").placeholder = max ?? "";
}

/** Whether a column tells the candidates apart, and is not another name of each. */
function isTelling({ values, min, max, more }) {
  if (values?.length) return values.length > 1 && (values[0].count > 1 || (values.length < 8 && !more));
  return min !== undefined && min !== null && min !== max;
}

const spoken = (text) => ({ true: "yes", false: "no", "": "(empty)" })[text] ?? text;

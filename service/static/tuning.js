// Sliders and choices: what they say, and the form fields they stand for.

import { $, make } from "./dom.js";
import { kindOf } from "./filter.js";
import { alphaWords, balanceWord, labelOf } from "./words.js";

const PAGE_SIZES = [12, 24, 48];
const touched = new Set(); // until then the service's own values are used

/** Fill the controls with what /info says the service does and has. */
export function prepareTuning({ alpha, calibrated, limits, metadata_columns: columns }) {
  const sizes = [...new Set([...PAGE_SIZES, limits.default_k])].filter((k) => k <= limits.max_k).sort((a, b) => a - b);
  $("k").replaceChildren(...sizes.map((k) => new Option(k, k)));
  $("k").value = limits.default_k;
  $("candidates").max = Math.min(1000, limits.max_candidates);
  if (!touched.has("alpha")) $("alpha").value = alpha;
  $("min-confidence-field").hidden = !calibrated;
  $("sort").replaceChildren(new Option("Best match", ""), ...Object.entries(columns).flatMap(sortOptions));
  showTuning();
}

function sortOptions([column, type]) {
  const ends = { number: ["low to high", "high to low"], date: ["oldest first", "newest first"], text: ["A to Z", "Z to A"] }[kindOf(type)];
  if (!ends) return [];
  return ends.map((end, index) => new Option(`${labelOf(column)}, ${end}`, (index ? "-" : "") + column));
}

/** Call `onSlide` while a slider moves, `onChoose` for everything that is one click. */
export function watchTuning(onSlide, onChoose) {
  for (const form of [$("tuning"), $("view")]) {
    form.addEventListener("input", ({ target }) => {
      touched.add(target.name);
      showTuning();
      if (target.type === "range") onSlide();
      else onChoose();
    });
    form.addEventListener("submit", (event) => event.preventDefault());
  }
}

export function showTuning() {
  const alpha = Number($("alpha").value);
  const candidates = Number($("candidates").value);
  $("alpha-value").textContent = balanceWord(alpha);
  $("alpha").setAttribute("aria-valuetext", alphaWords(alpha));
  $("candidates-value").textContent = `the ${candidates} nearest`;
  $("candidates").setAttribute("aria-valuetext", `the ${candidates} nearest candidates`);
}

/** The fields that differ from the service's defaults: for the search and for the link. */
export function readTuning() {
  const options = { group_by: $("view").elements.group_by.value };
  for (const name of ["k", "alpha", "candidates"]) if (touched.has(name)) options[name] = $(name).value;
  if ($("sort").value) options.sort = $("sort").value;
  if ($("min-confidence").value) options.min_confidence = $("min-confidence").value;
  return options;
}

/** A least confidence speaks of the whole garment: by attributes there is none to ask for. */
export function allowConfidence(isAllowed, { calibrated }) {
  $("min-confidence-field").hidden = !calibrated || !isAllowed;
  if (!isAllowed) $("min-confidence").value = "";
}

/** Take the options of a link; what it leaves out goes back to the service's defaults. */
export function writeTuning(options, info) {
  touched.clear();
  const defaults = { k: info.limits.default_k, alpha: info.alpha, candidates: $("candidates").defaultValue };
  for (const [name, value] of Object.entries(defaults)) {
    const given = options[name];
    if (given !== undefined) touched.add(name);
    if (name === "k" && given && ![...$("k").options].some((option) => option.value === given)) {
      $("k").append(make("option", { value: given, textContent: given }));
    }
    $(name).value = given ?? value;
  }
  $("view").elements.group_by.value = options.group_by === "product" ? "product" : "item";
  $("sort").value = options.sort ?? "";
  $("min-confidence").value = options.min_confidence ?? "";
  for (const id of ["sort", "min-confidence"]) if ($(id).selectedIndex < 0) $(id).selectedIndex = 0;
  showTuning();
}

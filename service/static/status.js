// What the page says about a search: progress, results and errors, in sentences.

import { $, make } from "./dom.js";
import { count, milliseconds } from "./words.js";

const wide = matchMedia("(min-width: 860px)");

export function showStatus(text) {
  $("status").textContent = text;
}

export function showError(error) {
  $("error").hidden = !error;
  $("error").textContent = error?.message ?? "";
  if (error?.requestId) $("error").append(make("small", {}, `Request ${error.requestId}`));
}

export function showInfo({ gallery, products, trained_for_retrieval: isTrained, weights }) {
  $("gallery").replaceChildren(
    make("span", {}, count(gallery.items, "photo")),
    make("span", { className: "wide" }, `, ${count(products, "product")}`),
  );
  $("notice").hidden = isTrained;
  $("notice").textContent =
    `These weights were not trained for retrieval (${weights}). ` +
    "They show how the search works, not how well it can work.";
  if (gallery.items === 0) showError(new Error("The gallery is empty; add photos to it first."));
}

export function showBusy(isBusy) {
  $("results").setAttribute("aria-busy", isBusy);
  $("main").classList.toggle("busy", isBusy);
  if (isBusy) showStatus("Searching …");
}

/** Say what was found, and what is special about it. */
export function showFound(answer, options, isFiltered, info) {
  const number = answer.hits.length;
  $("found").hidden = false;
  $("empty").hidden = number > 0;
  $("view").hidden = number === 0 && !isFiltered;
  if (!number) {
    $("empty-words").textContent = describeNothing(answer, isFiltered);
    $("clear-empty").hidden = !isFiltered;
  }
  const remarks = describeRemarks(answer, options, info);
  $("remarks").hidden = !number || !remarks.length;
  $("remarks").textContent = remarks.join(" ");
  const order = options.sort ? "in the chosen order" : options.attributes ? "most alike first" : "best first";
  const what = options.group_by === "product" ? "product" : "hit";
  showStatus(number ? `${count(number, what)}, ${order}.` : $("empty-words").textContent);
}

function describeNothing(answer, isFiltered) {
  if (answer.no_confident_match) return "Nothing in the gallery is as sure as you asked for.";
  return isFiltered ? "Nothing in the gallery passes these filters." : "The gallery has nothing to show.";
}

function describeRemarks({ hits, reranked }, { attributes }, { calibrated }) {
  const remarks = [];
  if (reranked === false) {
    remarks.push("Time ran out before the details were compared: these hits are ordered by their whole look.");
  }
  if (attributes) {
    remarks.push("Likeness orders the hits; it is not the probability of the same product.");
  } else if (hits.some(({ confidence }) => confidence === null)) {
    const reason = calibrated ? "not calibrated for this balance" : "not calibrated";
    remarks.push(`Scores are ${reason}: they order the hits, and are not probabilities.`);
  }
  return remarks;
}

export function showTimings({ timings_ms: timings, gallery }, roundTripMs) {
  const rows = { ...timings, "round trip": roundTripMs };
  $("timings").hidden = false;
  $("timings-summary").textContent = `Searched in ${milliseconds(timings.total ?? roundTripMs)}`;
  $("timings-list").replaceChildren(
    ...Object.entries(rows).flatMap(([stage, value]) => [make("dt", {}, stage), make("dd", {}, milliseconds(value))]),
    make("dt", {}, "gallery"),
    make("dd", {}, `version ${gallery.version}`),
  );
}

/** Copy the address bar; `hasPhoto()`: whether the search is by a photo, which no link can hold. */
export function watchCopying(hasPhoto) {
  $("copy-link").hidden = !navigator.clipboard; // only on https, and on this machine
  $("copy-link").addEventListener("click", async () => {
    await navigator.clipboard.writeText(location.href);
    const rest = " It holds the settings; the photo has to be given again after a few minutes.";
    showStatus(`The link is copied.${hasPhoto() ? rest : ""}`);
  });
}

// Beside the results there is room for the settings; above them, on a phone, there is not.
const unfold = () => ($("adjust").open = wide.matches);
wide.addEventListener("change", unfold);
unfold();

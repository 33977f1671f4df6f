// The search page: a photo (or an item) in, a grid of hits out. No dependencies, no build step.
// Addresses are relative, so that the page also works behind a path prefix.

const $ = (id) => document.getElementById(id);
const TITLE_COLUMNS = ["title", "name", "product_name"];
const DEBOUNCE_MS = 250;
const READY_POLL_MS = 1500;

const state = {
  info: null, // the answer of /info, once the gallery is loaded
  query: null, // {file} or {itemId, title}
  alphaTouched: false, // until then the checkpoint's own alpha is used
  previewUrl: null,
  running: null, // AbortController of the search that runs
};

// Start ------------------------------------------------------------------------------------

async function start() {
  try {
    state.info = await request("info");
  } catch (error) {
    if (error.code !== "not_ready" && error.code !== "unreachable") return showError(error);
    showStatus(error.message);
    setTimeout(start, READY_POLL_MS);
    return;
  }
  showInfo(state.info);
  showStatus("");
  if (state.query) search();
}

function showInfo(info) {
  const { gallery, products, limits } = info;
  const count = (number, word) => `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`;
  $("gallery").replaceChildren(
    make("span", count(gallery.items, "photo")),
    make("span", `, ${count(products, "product")}`, "wide"),
  );
  $("notice").hidden = info.trained_for_retrieval;
  $("notice").textContent =
    `These weights were not trained for retrieval (${info.weights}). ` +
    "They show how the search works, not how well it can work.";
  $("k").max = Math.min(limits.max_k, Math.max(50, limits.default_k));
  $("k").value = limits.default_k;
  $("alpha").value = info.alpha;
  showTuning();
  if (gallery.items === 0) showError(new Failure("The gallery is empty; add photos to it first."));
}

// The query --------------------------------------------------------------------------------

function searchFile(file) {
  if (!file) return;
  const limit = state.info?.limits.max_upload_mb;
  if (limit && file.size > limit * 1024 * 1024) {
    const size = (file.size / 1024 / 1024).toFixed(1);
    return showError(new Failure(`${file.name} has ${size} MB; the service takes up to ${limit} MB.`));
  }
  state.query = { file };
  showQuery(URL.createObjectURL(file), file.name || "Pasted photo", "drop, paste or choose another");
  search();
}

function searchItem(hit) {
  const title = titleOf(hit);
  state.query = { itemId: hit.item_id, title };
  showQuery(thumbnailUrl(hit.item_id), `Similar to ${title}`, "drop, paste or choose a photo");
  $("results").focus({ preventScroll: true }); // the button that had it is about to go
  window.scrollTo({ top: 0, behavior: calmly() });
  search();
}

function showQuery(url, title, hint) {
  if (state.previewUrl) URL.revokeObjectURL(state.previewUrl);
  state.previewUrl = url.startsWith("blob:") ? url : null;
  $("main").className = "asked";
  $("preview").hidden = false;
  $("preview").src = url;
  $("drop-title").textContent = title;
  $("drop-hint").textContent = hint;
}

// A file that the browser cannot draw may still be one that the service can read.
$("preview").addEventListener("error", () => ($("preview").hidden = true));

// The search -------------------------------------------------------------------------------

async function search() {
  state.running?.abort();
  if (!state.info) return showStatus("The gallery is still loading; your search starts right after.");
  const running = (state.running = new AbortController());
  showError(null);
  showBusy(true);
  const began = performance.now();
  try {
    const answer = await send(running.signal);
    if (running.signal.aborted) return;
    showHits(answer.hits);
    showTimings(answer, performance.now() - began);
    const found = answer.hits.length === 1 ? "1 hit" : `${answer.hits.length} hits`;
    showStatus(answer.hits.length ? `${found}, best first.` : "Nothing in the gallery to show.");
  } catch (error) {
    if (running.signal.aborted) return;
    showHits([]);
    $("timings").hidden = true;
    showStatus("");
    showError(error);
  } finally {
    if (state.running === running) showBusy(false);
  }
}

function send(signal) {
  const options = readTuning();
  if (state.query.itemId !== undefined) {
    const address = `items/${encodeURIComponent(state.query.itemId)}/similar`;
    return request(`${address}?${new URLSearchParams(options)}`, { signal });
  }
  const form = new FormData();
  form.append("image", state.query.file, state.query.file.name || "photo");
  for (const [name, value] of Object.entries(options)) form.append(name, value);
  return request("search", { method: "POST", body: form, signal });
}

class Failure extends Error {
  constructor(message, code = "", requestId = "") {
    super(message);
    Object.assign(this, { code, requestId });
  }
}

async function request(address, options) {
  let response;
  try {
    response = await fetch(address, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure("The service cannot be reached; check that it is still running.", "unreachable");
  }
  const body = await response.json().catch(() => null);
  if (response.ok && body) return body;
  const { message, code, request_id: id } = body?.error ?? {};
  throw new Failure(message ?? `The service answered ${response.status} and no reason.`, code, id);
}

// Tuning -----------------------------------------------------------------------------------

function readTuning() {
  const options = { k: $("k").value, group_by: $("tuning").elements.group_by.value };
  if (state.alphaTouched) options.alpha = $("alpha").value;
  return options;
}

function showTuning() {
  const alpha = Number($("alpha").value);
  const words = `${Math.round(alpha * 100)} % whole look, ${Math.round((1 - alpha) * 100)} % details`;
  $("k-value").textContent = $("k").value;
  $("alpha-value").textContent = `α ${alpha.toFixed(2)}`;
  $("alpha").setAttribute("aria-valuetext", words);
}

// Beside the results there is room for the sliders; above them, on a phone, there is not.
const wide = matchMedia("(min-width: 860px)");
const unfold = () => ($("adjust").open = wide.matches);
wide.addEventListener("change", unfold);
unfold();

let timer;
$("tuning").addEventListener("input", (event) => {
  if (event.target === $("alpha")) state.alphaTouched = true;
  showTuning();
  clearTimeout(timer);
  if (state.query) timer = setTimeout(search, DEBOUNCE_MS);
});
$("tuning").addEventListener("submit", (event) => event.preventDefault());

// Results ----------------------------------------------------------------------------------

function showHits(hits) {
  $("results-title").hidden = hits.length === 0;
  $("grid").replaceChildren(...hits.map(makeCard));
}

function makeCard(hit) {
  const card = $("card").content.firstElementChild.cloneNode(true);
  const part = (selector) => card.querySelector(selector);
  const title = titleOf(hit);
  part("h3").textContent = title;
  part(".product").textContent = [hit.product_id, priceOf(hit)].filter(Boolean).join(" · ");
  part(".rank").textContent = hit.rank;
  part("button").setAttribute("aria-label", `Rank ${hit.rank}: find items similar to ${title}`);
  part("button").title = "Find similar items";
  part("button").addEventListener("click", () => searchItem(hit));
  fillPhoto(part("img"), hit);
  fillScores(part(".scores"), hit.scores);
  fillDetails(part(".more dl"), hit);
  return card;
}

function fillPhoto(image, hit) {
  image.addEventListener("load", () => {
    const ratio = image.naturalWidth / image.naturalHeight;
    // The best hit chooses the frame of all: upright, or square for galleries of square photos.
    if (hit.rank === 1) $("grid").classList.toggle("square", ratio > 0.9);
    // What nearly fits fills the frame; anything else is shown whole, on white.
    const stretch = ratio / ($("grid").classList.contains("square") ? 1 : 3 / 4);
    image.classList.toggle("whole", stretch < 0.8 || stretch > 1.25);
  });
  image.addEventListener("error", () => image.remove());
  image.src = thumbnailUrl(hit.item_id);
}

function fillScores(list, scores) {
  for (const row of list.children) {
    const score = scores[row.querySelector("dt").textContent];
    row.querySelector("dd").textContent = score === null ? "none" : score.toFixed(3);
    const bar = row.querySelector("i");
    if (bar) bar.style.width = `${Math.max(0, Math.min(1, score ?? 0)) * 100}%`;
  }
}

function fillDetails(list, hit) {
  const facts = { item: hit.item_id, ...hit.metadata };
  for (const [name, value] of Object.entries(facts)) {
    if (value === null || value === "") continue;
    list.append(make("dt", name), make("dd", typeof value === "object" ? JSON.stringify(value) : value));
  }
}

function titleOf(hit) {
  const column = TITLE_COLUMNS.find((name) => hit.metadata[name]);
  return column ? String(hit.metadata[column]) : hit.item_id;
}

function priceOf({ metadata: { price, currency } }) {
  if (typeof price !== "number") return price ?? "";
  const digits = Number.isInteger(price) ? 0 : 2;
  const options = { minimumFractionDigits: digits, maximumFractionDigits: 2 };
  if (/^[A-Za-z]{3}$/.test(currency ?? "")) Object.assign(options, { style: "currency", currency });
  return new Intl.NumberFormat(undefined, options).format(price);
}

// Messages ---------------------------------------------------------------------------------

function showTimings({ timings_ms: timings, gallery }, roundTripMs) {
  const ms = (value) => `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
  const rows = { ...timings, "round trip": roundTripMs };
  $("timings").hidden = false;
  $("timings-summary").textContent = `Searched in ${ms(timings.total ?? roundTripMs)}`;
  $("timings-list").replaceChildren(
    ...Object.entries(rows).flatMap(([stage, value]) => [make("dt", stage), make("dd", ms(value))]),
    make("dt", "gallery"),
    make("dd", `version ${gallery.version}`),
  );
}

function showBusy(busy) {
  $("results").setAttribute("aria-busy", busy);
  $("main").classList.toggle("busy", busy);
  if (!busy) return;
  showStatus("Searching …");
  if ($("grid").children.length === 0) {
    const blanks = Array.from({ length: Math.min(10, Number($("k").value)) }, () => make("li", "", "card blank"));
    blanks.forEach((blank) => blank.setAttribute("aria-hidden", "true"));
    $("grid").replaceChildren(...blanks);
  }
}

function showStatus(text) {
  $("status").textContent = text;
}

function showError(error) {
  $("error").hidden = !error;
  $("error").textContent = error?.message ?? "";
  if (error?.requestId) $("error").append(make("small", `Request ${error.requestId}`));
}

function make(tag, text, className = "") {
  return Object.assign(document.createElement(tag), { textContent: text, className });
}

const thumbnailUrl = (itemId) => `items/${encodeURIComponent(itemId)}/thumbnail`;
const calmly = () => (matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth");

// Choose, drop, paste ----------------------------------------------------------------------

$("file").addEventListener("change", () => {
  searchFile($("file").files[0]);
  $("file").value = ""; // choosing the same file again counts
});

addEventListener("paste", (event) => {
  if (event.clipboardData?.files.length) searchFile(event.clipboardData.files[0]);
});

addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dragging");
});
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dragging");
});
addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  const [file] = event.dataTransfer.files;
  if (file) return searchFile(file);
  showError(new Failure("That was a link or a text; save the photo and drop the file itself."));
});

start();

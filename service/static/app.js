// The search page: photos (or an item) in, a grid of hits out. No dependencies, no build step.

import { readAddress, writeAddress } from "./address.js";
import { Attributes } from "./attributes.js";
import { queryPhotoUrl, request, thumbnailUrl } from "./api.js";
import { Crop } from "./crop.js";
import { Detail } from "./detail.js";
import { $, debounce, isCalm } from "./dom.js";
import { Filters } from "./facets.js";
import { Hover } from "./hover.js";
import { Stage, checkFiles, watchPhotos } from "./photos.js";
import { Results } from "./results.js";
import { Explanations, send, sendCursor } from "./search.js";
import { showBusy, showError, showFound, showInfo, showStatus, showTimings, watchCopying } from "./status.js";
import { Forget } from "./forget.js";
import { Teach } from "./teach.js";
import { allowConfidence, prepareTuning, readTuning, watchTuning, writeTuning } from "./tuning.js";
import { count, titleOf } from "./words.js";

const SLIDE_MS = 220;
const READY_POLL_MS = 1500;
const GONE = ["version_gone", "query_gone"]; // what a cursor stands on

const state = {
  info: null, // the answer of /info, once the gallery is loaded
  query: null, // {files, queryId, itemId, box}
  hits: [],
  cursor: null,
  running: null, // AbortController of the search that runs, and of what belongs to its hits
  explanations: null,
};

const searchSoon = debounce(search, SLIDE_MS);
const stage = new Stage(showPhoto, removePhoto);
const crop = new Crop($("stage"), $("crop"), (box) => {
  state.query.box = box;
  searchSoon();
});
const filters = new Filters(searchSoon);
const detail = new Detail(searchItem);
const attributes = new Attributes(searchSoon, searchSoon.now);
const teach = new Teach(async (name) => {
  showAttributes((await request("attributes")).attributes);
  attributes.choose(name);
});
const forget = new Forget((name, left) => {
  showAttributes(left);
  attributes.drop(name);
});
const hover = new Hover(stage, (hit) => state.explanations.of(hit), () => attributes.places);
const results = new Results({
  point: (card) => hover.point(card),
  leave: () => hover.leave(),
  open: openHit,
  similar: searchItem,
  places: () => attributes.places,
  place: (card) => teach.place(card),
  mark: (card) => teach.mark(card),
});

function showAttributes(known) {
  attributes.prepare(known);
  forget.prepare(known);
}

async function start() {
  try {
    const [info, listed] = await Promise.all([request("info"), request("attributes")]);
    state.info = info;
    showAttributes(listed.attributes);
    teach.allow(info.writable && listed.attributes.length > 0);
  } catch (error) {
    if (error.code !== "not_ready" && error.code !== "unreachable") return showError(error);
    showStatus(error.message);
    setTimeout(start, READY_POLL_MS);
    return;
  }
  showInfo(state.info);
  prepareTuning(state.info);
  filters.prepare(state.info.metadata_columns);
  showStatus("");
  openAddress();
}

/** Take the search that the address bar names. */
function openAddress() {
  const { itemId, queryId, box, options, selection, choice } = readAddress(location.search);
  writeTuning(options, state.info);
  attributes.write(choice);
  filters.write(selection, options.filter);
  // A photo that was given while the gallery was loading goes first.
  if (state.query?.files.length && !state.query.queryId) search();
  else if (itemId) openItem(itemId, itemId);
  else if (queryId && queryId === state.query?.queryId) search();
  else if (queryId) openQuery(queryId, box);
  else closeQuery(location.search ? "This link holds the settings of a search by photo; give the photo, and it runs." : "");
}

function searchFiles(given, isMore) {
  const files = isMore ? [...(state.query?.files ?? []), ...given] : given;
  try {
    checkFiles(files, state.info?.limits);
  } catch (error) {
    return showError(error);
  }
  state.query = { files, queryId: null, itemId: null, box: null };
  stage.shown = isMore ? files.length - 1 : 0;
  showFiles();
  begin();
}

function showFiles() {
  const { files } = state.query;
  stage.showFiles(files, files.length > 1 ? `${files.length} photos of one garment` : files[0].name || "Pasted photo");
}

function removePhoto(index) {
  const files = state.query.files.filter((_, other) => other !== index);
  state.query = { ...state.query, files, queryId: null, box: index ? state.query.box : null };
  stage.shown = 0;
  showFiles();
  begin();
}

function searchItem(hit) {
  openItem(hit.item_id, titleOf(hit), true);
  $("results").focus({ preventScroll: true }); // the button that had it is about to go
  window.scrollTo({ top: 0, behavior: isCalm() ? "auto" : "smooth" });
}

function openItem(itemId, title, isNew = false) {
  state.query = { files: [], queryId: null, itemId, box: null };
  crop.allow(false);
  stage.showAddress(thumbnailUrl(itemId), `Similar to ${title}`);
  if (isNew) begin();
  else search();
}

function openQuery(queryId, box) {
  state.query = { files: [], queryId, itemId: null, box };
  stage.showAddress(queryPhotoUrl(queryId), "The photo of this link");
  search();
}

function closeQuery(sentence) {
  state.running?.abort();
  Object.assign(state, { query: null, hits: [], cursor: null });
  results.show([]);
  crop.allow(false);
  $("main").className = "start";
  $("found").hidden = $("more").hidden = true;
  showStatus(sentence);
}

/** A new query is a new page of the browser's history. */
function begin() {
  // Until /info is there, the address holds settings that were not read yet.
  if (state.info) history.pushState(null, "", `?${describeSearch()}`);
  search();
}

function describeSearch() {
  const { itemId, queryId, box } = state.query;
  allowConfidence(!attributes.isActive, state.info);
  const options = { ...readTuning(), filter: filters.expert };
  if (options.group_by === "item") delete options.group_by;
  return writeAddress({ itemId, queryId, box, options, selection: filters.selection, choice: attributes.choice });
}

function showPhoto(index) {
  hover.leave();
  const isOwn = !state.query.itemId;
  crop.allow(isOwn && index === 0);
  if (isOwn && index === 0) crop.set(state.query.box);
  $("add-photo").hidden = !isOwn || !state.query.files.length;
}

async function search() {
  searchSoon.cancel();
  state.running?.abort();
  if (!state.query) return;
  if (!state.info) return showStatus("The gallery is still loading; your search starts right after.");
  const running = (state.running = new AbortController());
  allowConfidence(!attributes.isActive, state.info);
  const options = { ...readTuning(), ...attributes.fields, ...(filters.filter && { filter: filters.filter }), facet: filters.columns };
  hover.leave();
  showError(null);
  showBusy(true);
  results.showBlanks(10);
  const began = performance.now();
  try {
    const answer = await send(state.query, options, running.signal);
    if (running.signal.aborted) return;
    showTimings(answer, performance.now() - began);
    showAnswer(answer, options, running.signal);
  } catch (error) {
    if (!running.signal.aborted) showFailure(error);
  } finally {
    if (state.running === running) showBusy(false);
  }
}

function showAnswer(answer, options, signal) {
  if (!state.query.itemId && answer.query_id) {
    state.query.queryId = answer.query_id;
    stage.offerSpare(queryPhotoUrl(answer.query_id));
  }
  history.replaceState(null, "", `?${describeSearch()}`);
  state.hits = answer.hits;
  state.explanations = new Explanations(state.query, options, signal);
  state.explanations.addPage(answer.hits);
  filters.showError("");
  filters.show(answer.facets);
  results.show(answer.hits);
  showMore(answer.cursor);
  showFound(answer, options, filters.isActive, state.info);
}

function showFailure(error) {
  showStatus("");
  // What the expert typed stays beside the hits that were there before.
  if (filters.expert && /filter/i.test(error.message) && error.code !== "unreachable") {
    if (!state.hits.length) results.show([]);
    return filters.showError(error.message);
  }
  if (error.code === "query_gone") closeQuery("");
  state.hits = [];
  results.show([]);
  showMore(null);
  $("timings").hidden = $("found").hidden = true;
  showError(error);
}

function showMore(cursor) {
  state.cursor = cursor ?? null;
  $("more").hidden = !state.cursor;
}

async function loadMore() {
  const { cursor, explanations, running } = state;
  $("more").disabled = true;
  try {
    const answer = await sendCursor(cursor, running.signal);
    if (running.signal.aborted) return;
    explanations.addPage(answer.hits);
    state.hits = [...state.hits, ...answer.hits];
    const first = results.append(answer.hits);
    showMore(answer.cursor);
    if ($("more").hidden) first?.querySelector("button").focus();
    showStatus(`${count(answer.hits.length, "more hit")}, ${state.hits.length} in all.`);
  } catch (error) {
    if (running.signal.aborted) return;
    if (!GONE.includes(error.code)) return showError(error);
    await search();
    showStatus("This search was too old to go on, so it was made anew.");
  } finally {
    $("more").disabled = false;
  }
}

function openHit(hit) {
  const photos = { queryUrl: stage.url, photo: stage.shown, photos: state.query.files.length, places: attributes.places };
  detail.open(hit, state.explanations.of(hit), photos);
}

watchPhotos(searchFiles, showError);
watchTuning(searchSoon, searchSoon.now);
$("more").addEventListener("click", loadMore);
$("clear-empty").addEventListener("click", () => $("clear-filters").click());
watchCopying(() => !state.query.itemId);
addEventListener("popstate", () => state.info && openAddress());

start();

// One search: its query, its pages, and what explains its hits.

import { Failure, request } from "./api.js";
import { EXPLAINED_PAIRS } from "./regions.js";

const EXPLAINED_HITS = 50; // at a time
const DEFAULT_CANDIDATES = 100;

/** query: {files, queryId, itemId, box}; options: form fields, with lists for repeated ones. */
export async function send(query, options, signal) {
  try {
    return await request("search", { method: "POST", body: toForm(query, options), signal });
  } catch (error) {
    if (error.code !== "query_gone") throw error;
    query.queryId = null;
    if (!query.files.length) {
      throw new Failure("The photo of this search is no longer kept; give it again to search with the same settings.", "query_gone");
    }
    return request("search", { method: "POST", body: toForm(query, options), signal });
  }
}

function toForm({ files, queryId, itemId, box }, options) {
  const form = new FormData();
  if (itemId) form.append("item_id", itemId);
  else if (queryId) form.append("query_id", queryId);
  else for (const file of files) form.append("image", file, file.name || "photo");
  if (box && !itemId) form.append("box", JSON.stringify(box));
  for (const [name, value] of Object.entries(options)) {
    for (const each of [value].flat()) form.append(name, each);
  }
  return form;
}

/** The page after an answer: its cursor holds the whole search. */
export function sendCursor(cursor, signal) {
  const form = new FormData();
  form.append("cursor", cursor);
  return request("search", { method: "POST", body: form, signal });
}

/** Explanations of the hits, fetched page by page, when the first hit of a page asks. */
export class Explanations {
  constructor(query, options, signal) {
    // Facets were counted already; the rest has to be the same, or the hits would differ.
    const { facet: _, ...rest } = options;
    Object.assign(this, { query, options: rest, signal, pages: [] });
  }

  /** The hits of one answer, in the order of their ranks. */
  addPage(hits) {
    // The size of the blocks that are re-ranked decides the order: it stays that of the first page.
    this.block ??= Math.max(this.options.candidates ?? DEFAULT_CANDIDATES, hits.length);
    for (let start = 0; start < hits.length; start += EXPLAINED_HITS) {
      const part = hits.slice(start, start + EXPLAINED_HITS);
      this.pages.push({ ids: new Set(part.map((hit) => hit.item_id)), first: part[0].rank, number: part.length, answer: null });
    }
  }

  /** The explanation of one hit; null where the service has none. */
  async of(hit) {
    const page = this.pages.find(({ ids }) => ids.has(hit.item_id));
    page.answer ??= this.#fetch(page).catch((error) => {
      page.answer = null; // the next hit that asks tries again
      throw error;
    });
    const explained = await page.answer;
    if (!explained.has(hit.item_id)) {
      throw new Failure("The gallery has changed since; search again to see the matched regions.");
    }
    return explained.get(hit.item_id);
  }

  async #fetch({ first, number }) {
    const page = { k: number, offset: first - 1, candidates: this.block, explain: EXPLAINED_PAIRS };
    const { hits } = await send(this.query, { ...this.options, ...page }, this.signal);
    return new Map(hits.map((hit) => [hit.item_id, hit.explanation]));
  }
}

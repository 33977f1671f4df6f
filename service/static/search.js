// One search: its query, its pages, and what explains its hits.

import { Failure, request } from "./api.js";

const EXPLAINED_PAIRS = 5;

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

/** Explanations of the hits, fetched page by page, when the first hit of a page asks. */
export class Explanations {
  constructor(query, options, signal) {
    // Facets were counted already; the rest has to be the same, or the hits would differ.
    const { facet: _, ...rest } = options;
    Object.assign(this, { query, options: rest, signal, pages: [] });
  }

  addPage(hits, cursor) {
    this.pages.push({ ids: new Set(hits.map((hit) => hit.item_id)), cursor, answer: null });
  }

  /** The explanation of one hit; null where the service has none. */
  async of(hit) {
    const page = this.pages.find(({ ids }) => ids.has(hit.item_id));
    page.answer ??= this.#fetch(page.cursor).catch((error) => {
      page.answer = null; // the next hit that asks tries again
      throw error;
    });
    return (await page.answer).get(hit.item_id) ?? null;
  }

  async #fetch(cursor) {
    const options = { ...this.options, explain: EXPLAINED_PAIRS, ...(cursor && { cursor }) };
    const { hits } = await send(this.query, options, this.signal);
    return new Map(hits.map((hit) => [hit.item_id, hit.explanation]));
  }
}

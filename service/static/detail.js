// One hit, large: both photos with their matched regions, and the same in words.

import { loadPhoto, thumbnailUrl } from "./api.js";
import { $, make } from "./dom.js";
import { clearRegions, colourOf, describePair, drawRegions } from "./regions.js";
import { describeTrust } from "./results.js";
import { confidenceWord, labelOf, percent, score, titleOf } from "./words.js";

export class Detail {
  /** `onSimilar(hit)`: search with the item that is shown. */
  constructor(onSimilar) {
    this.dialog = $("detail");
    this.dialog.addEventListener("click", ({ target }) => target === this.dialog && this.dialog.close());
    $("detail-close").addEventListener("click", () => this.dialog.close());
    $("detail-similar").addEventListener("click", () => {
      this.dialog.close();
      onSimilar(this.hit);
    });
    for (const image of [$("detail-query"), $("detail-item")]) image.addEventListener("load", () => this.#draw());
    addEventListener("resize", () => this.dialog.open && this.#draw());
  }

  /** queryUrl: what the stage shows; photo: which of the query's photos that is, of `photos`. */
  async open(hit, explaining, { queryUrl, photo, photos }) {
    Object.assign(this, { hit, photo, pairs: [] });
    clearRegions($("detail-query-regions"));
    clearRegions($("detail-item-regions"));
    $("detail-title").textContent = titleOf(hit);
    $("detail-query").parentElement.hidden = !queryUrl;
    if (queryUrl) $("detail-query").src = queryUrl;
    $("detail-item").removeAttribute("src");
    loadPhoto($("detail-item"), thumbnailUrl(hit.item_id));
    fillFacts($("detail-facts"), hit);
    $("detail-pairs").replaceChildren();
    $("detail-words").textContent = "Looking for the regions that matched …";
    this.dialog.showModal();
    try {
      const explanation = await explaining;
      if (this.hit === hit) this.#explain(explanation, photos);
    } catch (error) {
      if (this.hit === hit && error.name !== "AbortError") $("detail-words").textContent = error.message;
    }
  }

  #explain(explanation, photos) {
    const token = this.hit.scores.token;
    this.pairs = explanation?.pairs ?? [];
    $("detail-words").textContent = this.pairs.length
      ? summarise(this.pairs, token)
      : "There are no matched regions to show: this hit was ranked by its whole look.";
    $("detail-pairs").replaceChildren(
      ...this.pairs.map((pair, index) => {
        const badge = make("span", { className: "number", "aria-hidden": "true" }, String(index + 1));
        badge.style.background = colourOf(index);
        return make("li", {}, badge, describePair(pair, token, photos));
      }),
    );
    this.#draw();
  }

  #draw() {
    drawPairs(this.pairs, this.photo, $("detail-query"), $("detail-query-regions"), "query");
    drawPairs(this.pairs, null, $("detail-item"), $("detail-item-regions"), "item");
  }
}

/** Draw one side of the pairs; of the query's photos only the one that is shown. */
export function drawPairs(pairs, photo, image, svg, side) {
  if (!image.naturalWidth) return;
  const regions = pairs.map((pair, index) => ({ index, ellipse: pair[side], photo: pair.photo }));
  drawRegions(svg, image, regions.filter((region) => photo === null || region.photo === photo));
}

function summarise(pairs, token) {
  const shown = pairs.reduce((sum, pair) => sum + pair.share, 0);
  const regions = pairs.length === 1 ? "One pair of regions makes" : `${pairs.length} pairs of regions make`;
  return token > 0 && shown <= token ? `${regions} ${percent(shown / token)} of the details' score.` : "These regions matched best.";
}

function fillFacts(list, hit) {
  const { global: whole, token, fused } = hit.scores;
  const trust = hit.confidence === null ? confidenceWord(null) : describeTrust(hit).text;
  const facts = {
    "same product": trust,
    score: score(fused),
    "whole look": score(whole),
    details: score(token),
    ...hit.metadata,
    product: hit.product_id,
    item: hit.item_id,
  };
  const rows = Object.entries(facts).filter(([, value]) => value !== null && value !== "");
  list.replaceChildren(
    ...rows.map(([name, value]) =>
      make("div", {}, make("dt", {}, labelOf(name)), make("dd", {}, typeof value === "object" ? JSON.stringify(value) : String(value))),
    ),
  );
}

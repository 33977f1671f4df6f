// One hit, large: both photos with their matched regions, and the same in words.

import { loadPhoto, thumbnailUrl } from "./api.js";
import { $, make } from "./dom.js";
import { clearRegions, colourOf, describeGaze, describePair, drawRegions, listGazes } from "./regions.js";
import { describeTrust } from "./results.js";
import { confidenceWord, labelOf, likenessOf, percent, score, titleOf } from "./words.js";

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

  /**
   * queryUrl: what the stage shows; photo: which of the query's photos that is, of `photos`;
   * places: the attributes that are on, with the numbers of their colours.
   */
  async open(hit, explaining, { queryUrl, photo, photos, places }) {
    Object.assign(this, { hit, photo, places, explanation: null });
    clearRegions($("detail-query-regions"));
    clearRegions($("detail-item-regions"));
    $("detail-title").textContent = titleOf(hit);
    $("detail-query").parentElement.hidden = !queryUrl;
    if (queryUrl) $("detail-query").src = queryUrl;
    $("detail-item").removeAttribute("src");
    loadPhoto($("detail-item"), thumbnailUrl(hit.item_id));
    fillFacts($("detail-facts"), hit);
    $("detail-pairs").replaceChildren();
    $("detail-looks").replaceChildren();
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
    const pairs = explanation?.pairs ?? [];
    this.explanation = explanation;
    $("detail-words").textContent = pairs.length
      ? summarise(pairs, token)
      : "There are no matched regions to show: this hit was ranked by its whole look.";
    $("detail-pairs").replaceChildren(
      ...pairs.map((pair, index) => {
        const badge = make("span", { className: "number", "aria-hidden": "true" }, String(index + 1));
        badge.style.background = colourOf(index);
        return make("li", {}, badge, describePair(pair, token, photos));
      }),
    );
    $("detail-looks").replaceChildren(
      ...Object.entries(explanation?.attributes ?? {}).map(([name, regions]) => {
        const dot = make("i", { "aria-hidden": "true" });
        dot.style.background = colourOf(this.places.get(name));
        return make("li", {}, dot, describeGaze(name, regions, this.hit.scores.attributes[name]));
      }),
    );
    this.#draw();
  }

  #draw() {
    const { explanation, places, photo } = this;
    drawSide(explanation, places, photo, $("detail-query"), $("detail-query-regions"), "query");
    drawSide(explanation, places, null, $("detail-item"), $("detail-item-regions"), "item");
  }
}

/** Draw one side of an explanation; of the query's photos only the one that is shown. */
export function drawSide(explanation, places, photo, image, svg, side) {
  if (!image.naturalWidth) return;
  const pairs = explanation?.pairs ?? [];
  const regions = pairs.map((pair, index) => ({ index, ellipse: pair[side], photo: pair.photo }));
  const isShown = (region) => photo === null || region.photo === photo;
  const gazes = listGazes(explanation?.attributes, places, side);
  drawRegions(svg, image, regions.filter(isShown), gazes.filter(isShown));
}

function summarise(pairs, token) {
  const shown = pairs.reduce((sum, pair) => sum + pair.share, 0);
  const regions = pairs.length === 1 ? "One pair of regions makes" : `${pairs.length} pairs of regions make`;
  return token > 0 && shown <= token ? `${regions} ${percent(shown / token)} of the details' score.` : "These regions matched best.";
}

function fillFacts(list, hit) {
  const { global: whole, token, fused, attributes, combined } = hit.scores;
  const trust = hit.confidence === null ? confidenceWord(null) : describeTrust(hit).text;
  const likeness = Object.entries(attributes).map(([name, value]) => [`same ${labelOf(name).toLowerCase()}`, likenessOf(value)]);
  const facts = {
    ...Object.fromEntries(likeness),
    ...(combined === null ? { "same product": trust, score: score(fused) } : { score: score(combined), overall: score(fused) }),
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

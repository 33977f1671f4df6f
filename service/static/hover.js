// Resting on a hit shows its matched regions, and where attributes look, on both photos.

import { drawSide } from "./detail.js";
import { $, debounce } from "./dom.js";
import { clearRegions } from "./regions.js";

const HOVER_MS = 120;

export class Hover {
  /** `explain(hit)`: a promise of its explanation; `places()`: of attributes, their colours. */
  constructor(stage, explain, places) {
    Object.assign(this, { stage, explain, places, card: null });
    this.drawSoon = debounce(() => this.#draw(), HOVER_MS);
  }

  point(card) {
    this.leave();
    this.card = card;
    this.drawSoon();
  }

  leave() {
    this.drawSoon.cancel();
    if (!this.card) return;
    clearRegions(this.card.querySelector("svg"));
    clearRegions($("stage-regions"));
    this.card = null;
  }

  async #draw() {
    const { card, stage } = this;
    // Opening the hit says what went wrong; resting on it asks for nothing.
    const explanation = await this.explain(card.hit).catch(() => null);
    if (this.card !== card) return;
    const places = this.places();
    drawSide(explanation, places, null, card.querySelector("img"), card.querySelector("svg"), "item");
    drawSide(explanation, places, stage.shown, stage.image, $("stage-regions"), "query");
  }
}

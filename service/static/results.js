// The grid of hits. A hit that stays keeps its card, so that regrouping does not flicker.

import { loadPhoto, thumbnailUrl } from "./api.js";
import { $, make } from "./dom.js";
import { colourOf } from "./regions.js";
import { confidenceWord, labelOf, likenessOf, percent, priceOf, score, titleOf } from "./words.js";

export class Results {
  /** on: {point(card), leave(), open(hit), similar(hit), places(), place(card), mark(card)}. */
  constructor(on) {
    Object.assign(this, { on, cards: new Map() });
    $("grid").addEventListener("pointerleave", () => on.leave());
  }

  show(hits) {
    const before = this.cards;
    this.cards = new Map();
    $("grid").replaceChildren(...hits.map((hit) => this.#place(hit, before.get(hit.item_id))));
  }

  /** Append a page; returns its first card. */
  append(hits) {
    const cards = hits.map((hit) => this.#place(hit));
    $("grid").append(...cards);
    return cards[0];
  }

  /** Grey cards while nothing is there yet. */
  showBlanks(number) {
    if (this.cards.size) return;
    const blanks = Array.from({ length: number }, () => make("li", { className: "card blank", "aria-hidden": "true" }));
    $("grid").replaceChildren(...blanks);
  }

  #place(hit, card = this.#make(hit)) {
    card.hit = hit;
    this.cards.set(hit.item_id, card);
    fill(card, hit, this.on.places());
    this.on.place(card);
    return card;
  }

  #make(hit) {
    const card = $("card").content.firstElementChild.cloneNode(true);
    const photo = card.querySelector(".photo");
    // A finger opens the hit; only a mouse rests on it.
    photo.addEventListener("pointerenter", ({ pointerType }) => pointerType === "mouse" && this.on.point(card));
    photo.addEventListener("pointerleave", () => this.on.leave());
    photo.addEventListener("focus", () => photo.matches(":focus-visible") && this.on.point(card));
    photo.addEventListener("blur", () => this.on.leave());
    photo.addEventListener("click", () => this.on.open(card.hit));
    card.querySelector(".similar").addEventListener("click", () => this.on.similar(card.hit));
    card.querySelector(".mark").addEventListener("click", () => this.on.mark(card));
    this.#loadPhoto(card, card.querySelector("img"), hit);
    return card;
  }

  #loadPhoto(card, image, hit) {
    image.addEventListener("load", () => {
      const ratio = image.naturalWidth / image.naturalHeight;
      // The best hit chooses the frame of all: upright, or square for galleries of square photos.
      if (card.hit.rank === 1) $("grid").classList.toggle("square", ratio > 0.9);
      // What nearly fits fills the frame; anything else is shown whole, on white.
      const stretch = ratio / ($("grid").classList.contains("square") ? 1 : 3 / 4);
      image.classList.toggle("whole", stretch < 0.8 || stretch > 1.25);
    });
    image.addEventListener("error", () => (image.hidden = true));
    loadPhoto(image, thumbnailUrl(hit.item_id));
  }
}

function fill(card, hit, places) {
  const part = (selector) => card.querySelector(selector);
  const title = titleOf(hit);
  part("h3").textContent = title;
  part(".product").textContent = [hit.product_id, priceOf(hit)].filter(Boolean).join(" · ");
  part(".rank").textContent = hit.rank;
  const trust = describeTrust(hit);
  part(".trust").textContent = trust.text;
  part(".trust").dataset.word = trust.word;
  const likeness = Object.entries(hit.scores.attributes).map(([name, value]) => ({ name, text: `${labelOf(name)}: ${likenessOf(value)}` }));
  part(".likeness").replaceChildren(...likeness.map((each) => makeLikeness(each, places)));
  const words = [trust.text, ...likeness.map(({ text }) => text.toLowerCase())].join(", ");
  const name = `Rank ${hit.rank}: ${title}, ${words}. Show the matched regions`;
  part(".photo").setAttribute("aria-label", name);
  part(".similar").setAttribute("aria-label", `Search with this item: ${title}`);
}

function makeLikeness({ name, text }, places) {
  const dot = make("i", { "aria-hidden": "true" });
  dot.style.background = colourOf(places.get(name) ?? 0);
  return make("li", {}, dot, text);
}

/** A probability in words, or the score where there is none. */
export function describeTrust({ confidence, scores }) {
  const word = confidenceWord(confidence);
  if (confidence !== null) return { word, text: `${word}, ${percent(confidence)}` };
  return { word, text: `score ${score(scores.combined ?? scores.fused ?? scores.global)}` };
}

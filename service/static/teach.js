// Teaching an attribute: a value is typed, hits that have it are marked, and the gallery learns.

import { request } from "./api.js";
import { $ } from "./dom.js";

const FEW = 20; // marks with which an attribute begins to be useful

export class Teach {
  /** `onTaught(name)` is called once the service knows the attribute. */
  constructor(onTaught) {
    Object.assign(this, { onTaught, marks: new Map(), cards: new Set(), isOn: false });
    $("teach-start").addEventListener("click", () => this.#switch(true));
    $("teach-end").addEventListener("click", () => this.#switch(false));
    $("teach-value").addEventListener("input", () => this.#show());
    $("teach").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
  }

  /** Only a service that takes writes can be taught. */
  allow(isWritable) {
    $("teach-start").hidden = !isWritable || this.isOn;
  }

  /** Take the card of a hit, new or with another rank. */
  place(card) {
    this.cards.add(card);
    this.#showCard(card);
  }

  #switch(isOn) {
    this.isOn = isOn;
    $("teach").hidden = !isOn;
    $("teach-start").hidden = isOn;
    if (!isOn) this.marks.clear();
    this.#complain("");
    this.#show();
    (isOn ? $("teach-name") : $("teach-start")).focus();
  }

  /** Mark a hit with the value that is typed, or take its mark away. */
  mark(card) {
    const value = $("teach-value").value.trim();
    const { item_id: id } = card.hit;
    if (this.marks.has(id) && (!value || this.marks.get(id) === value)) this.marks.delete(id);
    else if (value) this.marks.set(id, value);
    else return this.#complain("Type a value first, then mark the hits that have it.", $("teach-value"));
    this.#complain("");
    this.#show();
  }

  #show() {
    for (const card of this.cards) {
      if (!card.isConnected) this.cards.delete(card);
      else this.#showCard(card);
    }
    const counts = new Map();
    for (const value of this.marks.values()) counts.set(value, (counts.get(value) ?? 0) + 1);
    const marked = [...counts].map(([value, number]) => `${number} ${value}`).join(", ");
    $("teach-words").textContent = `Marked: ${marked || "none yet"}. Two values at least; with about ${FEW} marks it begins to be useful.`;
  }

  #showCard(card) {
    const button = card.querySelector(".mark");
    const given = this.marks.get(card.hit.item_id);
    const value = given ?? $("teach-value").value.trim();
    button.hidden = !this.isOn;
    button.setAttribute("aria-pressed", given !== undefined);
    button.textContent = value || "mark";
    button.setAttribute("aria-label", `${value || "mark"}: rank ${card.hit.rank}`);
  }

  async #send() {
    const [name, examples] = [$("teach-name").value.trim(), [...this.marks].map(([item_id, value]) => ({ item_id, value }))];
    this.#complain("");
    $("teach-send").disabled = true;
    $("teach-words").textContent = "Learning …";
    try {
      const body = new Blob([JSON.stringify({ name, examples })], { type: "application/json" });
      const taught = await request("attributes", { method: "POST", body });
      this.#switch(false);
      $("teach-name").value = $("teach-value").value = "";
      await this.onTaught(taught.name);
    } catch (error) {
      this.#show();
      this.#complain(error.message);
    } finally {
      $("teach-send").disabled = false;
    }
  }

  #complain(sentence, field) {
    $("teach-error").textContent = sentence;
    $("teach-error").hidden = !sentence;
    field?.focus();
  }
}

// Attributes that were taught here, and taking one back, which a dialog asks about first.

import { request } from "./api.js";
import { $, make } from "./dom.js";
import { labelOf } from "./words.js";

export class Forget {
  /** `onForgotten(name, attributes)` is called once the service has forgotten; with those left. */
  constructor(onForgotten) {
    this.onForgotten = onForgotten;
    this.name = "";
    $("forget-dialog").addEventListener("close", () => $("forget-dialog").returnValue === "forget" && this.#send());
  }

  /** attributes: of GET /attributes. */
  prepare(attributes) {
    const taught = attributes.filter(({ learned }) => learned);
    $("taught").hidden = !taught.length;
    $("taught-names").replaceChildren(...taught.map(({ name }) => this.#makeRow(name)));
  }

  #makeRow(name) {
    const label = labelOf(name);
    const button = make("button", { type: "button", className: "tool", "aria-label": `Forget ${label.toLowerCase()}` }, "Forget …");
    button.addEventListener("click", () => this.#ask(name));
    const row = make("li", {}, label, button);
    row.dataset.name = name;
    return row;
  }

  #ask(name) {
    this.name = name;
    $("forget-title").textContent = `Forget “${labelOf(name)}”?`;
    $("teach-error").hidden = true;
    $("forget-dialog").returnValue = "";
    $("forget-dialog").showModal();
  }

  async #send() {
    try {
      const { attributes } = await request(`attributes/${encodeURIComponent(this.name)}`, { method: "DELETE" });
      this.onForgotten(this.name, attributes);
      $("teach-name").focus();
    } catch (error) {
      $("teach-error").textContent = error.message;
      $("teach-error").hidden = false;
    }
  }
}

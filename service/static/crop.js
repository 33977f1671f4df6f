// A crop box on the query photo: dragged with mouse or finger, or moved with the arrow keys.

import { $ } from "./dom.js";
import { percent } from "./words.js";

const STEP = 0.02;
const SMALLEST = 0.05;
const FIRST_BOX = [0.15, 0.15, 0.85, 0.85];
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const clamp = (value, low = 0, high = 1) => Math.min(high, Math.max(low, value));

export class Crop {
  /** `onChange` is called with the new box when a drag ends and after each key. */
  constructor(stage, frame, onChange) {
    Object.assign(this, { stage, frame, onChange, box: null, drag: null, isOn: false });
    stage.addEventListener("pointerdown", (event) => this.#begin(event));
    stage.addEventListener("pointermove", (event) => this.drag && this.#follow(event));
    stage.addEventListener("pointerup", () => this.#end(true));
    stage.addEventListener("pointercancel", () => this.#end(false));
    frame.addEventListener("keydown", (event) => this.#press(event));
    $("crop-start").addEventListener("click", () => this.#start());
    $("crop-end").addEventListener("click", () => {
      this.#remove();
      $("crop-start").focus();
    });
  }

  /** box: left, top, right, bottom as fractions of the photo, or null for the whole of it. */
  set(box) {
    this.box = box;
    this.frame.hidden = !box;
    $("crop-start").hidden = !this.isOn || Boolean(box);
    $("crop-end").hidden = !this.isOn || !box;
    if (!box) return;
    const [left, top, right, bottom] = box;
    const place = { left, top, width: right - left, height: bottom - top };
    for (const [side, share] of Object.entries(place)) this.frame.style[side] = `${share * 100}%`;
    const words = `${percent(place.width)} wide and ${percent(place.height)} high, ${percent(left)} from the left and ${percent(top)} from the top`;
    this.frame.setAttribute("aria-label", `Crop box: ${words}. Arrow keys move it, shift and arrow keys resize it, escape removes it.`);
  }

  allow(isOn) {
    this.isOn = isOn;
    this.stage.classList.toggle("croppable", isOn);
    this.set(null);
  }

  // A box for those who do not drag.
  #start() {
    this.set(FIRST_BOX);
    this.frame.focus();
    this.onChange(this.box);
  }

  #remove() {
    this.set(null);
    this.onChange(null);
  }

  #at(event) {
    const { left, top, width, height } = this.stage.getBoundingClientRect();
    return [clamp((event.clientX - left) / width), clamp((event.clientY - top) / height)];
  }

  #begin(event) {
    if (!this.isOn || event.button !== 0) return;
    const at = this.#at(event);
    const corner = event.target.dataset?.corner;
    const isInside = this.box && this.frame.contains(event.target);
    const kind = corner ?? (isInside ? "move" : "new");
    this.drag = { kind, from: at, before: this.box };
    this.stage.setPointerCapture(event.pointerId);
    event.preventDefault();
    if (isInside) this.frame.focus();
  }

  #follow(event) {
    const { kind, from, before } = this.drag;
    const [x, y] = this.#at(event);
    if (kind === "move") return this.set(moved(before, x - from[0], y - from[1]));
    // A corner is dragged against the one that lies opposite.
    const fixed = kind === "new" ? from : [before[kind.includes("w") ? 2 : 0], before[kind.includes("n") ? 3 : 1]];
    this.set([Math.min(x, fixed[0]), Math.min(y, fixed[1]), Math.max(x, fixed[0]), Math.max(y, fixed[1])]);
  }

  #end(isDone) {
    if (!this.drag) return;
    const { before } = this.drag;
    this.drag = null;
    const [left, top, right, bottom] = this.box ?? [0, 0, 0, 0];
    // A click, or a slip of the finger, is no box.
    if (!isDone || right - left < SMALLEST || bottom - top < SMALLEST) return this.set(before);
    if (String(this.box) !== String(before)) this.onChange(this.box);
  }

  #press(event) {
    if (event.key === "Escape") {
      this.#remove();
      return $("crop-start").focus();
    }
    if (!MOVES[event.key]) return;
    const [x, y] = MOVES[event.key].map((step) => step * STEP);
    this.set(event.shiftKey ? resized(this.box, x, y) : moved(this.box, x, y));
    event.preventDefault();
    this.onChange(this.box);
  }
}

function moved([left, top, right, bottom], x, y) {
  const dx = clamp(x, -left, 1 - right);
  const dy = clamp(y, -top, 1 - bottom);
  return [left + dx, top + dy, right + dx, bottom + dy];
}

function resized([left, top, right, bottom], x, y) {
  return [left, top, clamp(right + x, left + SMALLEST), clamp(bottom + y, top + SMALLEST)];
}

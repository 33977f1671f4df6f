// The query: photos that are chosen, dropped, pasted or taken, and how they are shown.

import { Failure, openPhoto } from "./api.js";
import { $, make } from "./dom.js";

/** Call `onFiles(files, isMore)` for every way a photo comes in, `onError` for what is none. */
export function watchPhotos(onFiles, onError) {
  for (const [id, isMore] of [["file", false], ["camera", false], ["file-more", true]]) {
    $(id).addEventListener("change", ({ target }) => {
      if (target.files.length) onFiles([...target.files], isMore);
      target.value = ""; // choosing the same file again counts
    });
  }
  addEventListener("paste", ({ clipboardData }) => {
    if (clipboardData?.files.length) onFiles([...clipboardData.files], false);
  });
  addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dragging");
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dragging");
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    document.body.classList.remove("dragging");
    const files = [...event.dataTransfer.files];
    if (files.length) return onFiles(files, false);
    onError(new Failure("That was a link or a text; save the photo and drop the file itself."));
  });
}

/** Raises Failure with a sentence when the photos cannot be sent. */
export function checkFiles(files, limits) {
  const megabyte = 1024 * 1024;
  const most = limits?.max_upload_mb ?? Infinity;
  const tooLarge = files.find((file) => file.size > most * megabyte);
  if (tooLarge) {
    const size = (tooLarge.size / megabyte).toFixed(1);
    throw new Failure(`${tooLarge.name} has ${size} MB; the service takes up to ${most} MB.`);
  }
  const together = files.reduce((sum, file) => sum + file.size, 0);
  if (together > most * megabyte) {
    throw new Failure(`These photos have ${(together / megabyte).toFixed(1)} MB together; the service takes up to ${most} MB.`);
  }
  const photos = limits?.max_photos ?? 8;
  if (files.length > photos) throw new Failure(`These are ${files.length} photos; a search takes up to ${photos} of one garment.`);
}

/** The photo on the stage, and a strip to change between several. */
export class Stage {
  /** `onShow(index)`: another photo came on stage; `onRemove(index)`: one was taken away. */
  constructor(onShow, onRemove) {
    Object.assign(this, { onShow, onRemove, urls: [], shown: 0, isBroken: false, spare: "" });
    this.image = $("preview");
    this.image.addEventListener("load", () => {
      $("stage").style.setProperty("--ratio", this.image.naturalWidth / this.image.naturalHeight);
      $("stage").hidden = false;
      this.onShow(this.shown);
    });
    this.image.addEventListener("error", () => {
      $("stage").hidden = true;
      this.isBroken = true;
      this.#useSpare();
    });
  }

  get url() {
    return $("stage").hidden ? "" : this.image.src;
  }

  showFiles(files, name) {
    this.#open(name);
    this.urls = files.map((file) => URL.createObjectURL(file));
    $("strip").hidden = files.length < 2;
    $("strip").replaceChildren(...(files.length < 2 ? [] : files.map((file, index) => this.#makeTile(index))));
    this.show(Math.min(this.shown, files.length - 1));
  }

  /** A photo that the service keeps: an item's, or that of an earlier search. */
  showAddress(address, name) {
    this.#open(name);
    this.shown = 0;
    $("strip").hidden = true;
    this.#load(address);
  }

  /** A file that the browser cannot draw may be one that the service can. */
  offerSpare(address) {
    this.spare = address;
    if (this.isBroken) this.#useSpare();
  }

  show(index) {
    this.shown = index;
    this.image.src = this.urls[index];
    this.#mark();
  }

  #open(name) {
    this.urls.forEach((url) => URL.revokeObjectURL(url));
    Object.assign(this, { urls: [], isBroken: false, spare: "" });
    $("strip").replaceChildren();
    $("main").className = "asked";
    $("query-name").textContent = $("query-name").title = name;
  }

  async #load(address) {
    const url = await openPhoto(address).catch(() => "");
    if (url.startsWith("blob:")) this.urls.push(url);
    this.image.src = url || address;
  }

  #useSpare() {
    const { spare } = this;
    this.spare = "";
    if (spare && !this.shown) this.#load(spare);
  }

  #makeTile(index) {
    const photo = make("img", { src: this.urls[index], alt: "" });
    const choose = make("button", { type: "button", className: "tile", "aria-label": `Show photo ${index + 1}` }, photo);
    choose.addEventListener("click", () => this.show(index));
    const remove = make("button", { type: "button", className: "remove", "aria-label": `Take photo ${index + 1} away` }, "×");
    remove.addEventListener("click", () => this.onRemove(index));
    return make("li", {}, choose, remove);
  }

  #mark() {
    [...$("strip").children].forEach((tile, index) =>
      tile.firstElementChild.setAttribute("aria-pressed", index === this.shown),
    );
  }
}

// Requests to the service, with the key where one is needed.
// Addresses are relative, so that the page also works behind a path prefix.

import { $ } from "./dom.js";

const STORED_KEY = "selvedge-key";
let key = sessionStorage.getItem(STORED_KEY) ?? "";
let asking = null; // the prompt that is open: many requests may wait for one answer

export class Failure extends Error {
  constructor(message, code = "", requestId = "") {
    super(message);
    Object.assign(this, { code, requestId });
  }
}

/** Fetch JSON; raises Failure with the service's own sentence, or AbortError. */
export async function request(address, options) {
  const response = await fetchWithKey(address, options);
  const body = await response.json().catch(() => null);
  if (response.ok && body) return body;
  throw toFailure(response, body);
}

/** Return what an <img> can show: a key cannot travel with a plain address, so a blob: does. */
export async function openPhoto(address) {
  if (!key) return address;
  const response = await fetchWithKey(address);
  if (!response.ok) throw new Failure(`The photo is missing (${response.status}).`);
  return URL.createObjectURL(await response.blob());
}

/** Show a photo of the service in an <img>; what is missing ends in its error event. */
export async function loadPhoto(image, address) {
  const url = await openPhoto(address).catch(() => "");
  if (!url) return image.dispatchEvent(new Event("error"));
  if (url.startsWith("blob:")) image.addEventListener("load", () => URL.revokeObjectURL(url), { once: true });
  image.src = url;
}

export const thumbnailUrl = (itemId) => `items/${encodeURIComponent(itemId)}/thumbnail`;
export const queryPhotoUrl = (queryId) => `queries/${encodeURIComponent(queryId)}/photo`;

async function fetchWithKey(address, options = {}) {
  for (;;) {
    const sent = key;
    const response = await fetchOnce(address, { ...options, headers: sent ? { "X-API-Key": sent } : {} });
    if (response.status !== 401) return response;
    // While this request was under way, another one may have asked and got a key.
    if (key !== sent) continue;
    const body = await response.json().catch(() => null);
    asking ??= askForKey(sent ? toFailure(response, body).message : "").finally(() => (asking = null));
    await asking;
  }
}

async function fetchOnce(address, options) {
  try {
    return await fetch(address, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure("The service cannot be reached; check that it is still running.", "unreachable");
  }
}

function toFailure(response, body) {
  const { message, code, request_id: id } = body?.error ?? {};
  return new Failure(message ?? `The service answered ${response.status} and no reason.`, code, id);
}

function askForKey(complaint) {
  const dialog = $("key-dialog");
  $("key-complaint").textContent = complaint;
  $("key-complaint").hidden = !complaint;
  $("key-input").value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve, reject) => {
    dialog.addEventListener(
      "close",
      () => {
        const given = $("key-input").value.trim();
        if (dialog.returnValue !== "use" || !given) {
          return reject(new Failure("This service answers only with a key; reload the page to give one."));
        }
        key = given;
        sessionStorage.setItem(STORED_KEY, key);
        resolve();
      },
      { once: true },
    );
  });
}

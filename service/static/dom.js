// Small helpers around the document.

export const $ = (id) => document.getElementById(id);

/** Make an element: properties (or attributes, where the name has a dash), then its children. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children);
  return element;
}

export function makeSvg(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** Call `action` once the calls have paused for `ms`; `.now()` skips the wait. */
export function debounce(action, ms) {
  let timer;
  const later = () => {
    clearTimeout(timer);
    timer = setTimeout(action, ms);
  };
  later.now = () => {
    clearTimeout(timer);
    action();
  };
  later.cancel = () => clearTimeout(timer);
  return later;
}

export const isCalm = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

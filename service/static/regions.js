// Matched regions: numbered ellipses over a photo, in the same colour on both sides.

import { makeSvg } from "./dom.js";
import { labelOf, likenessOf, percent, placeOf } from "./words.js";

const COLOURS = ["#c2410c", "#1864ab", "#2b8a3e", "#c2255c", "#6741d9", "#0b7285", "#a16207", "#495057", "#9c36b5", "#364fc7"];
const BADGE_PX = 9;
const SHOWN_GAZES = 2; // regions of one attribute: the rest is faint

export const EXPLAINED_PAIRS = 5; // the colours after them are those of attributes

export const colourOf = (index) => COLOURS[index % COLOURS.length];

/**
 * Draw regions [{index, ellipse}] over a photo, and gazes [{index, name, ellipse}] where attributes
 * look; ellipses are in the photo's unit square.
 * The photo may be cut to its frame (object-fit: cover): the drawing is cut the same way.
 */
export function drawRegions(svg, image, regions, gazes = []) {
  const height = 100;
  const width = (100 * image.naturalWidth) / image.naturalHeight || 100;
  const fit = getComputedStyle(image).objectFit === "cover" ? "slice" : "meet";
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("preserveAspectRatio", `xMidYMid ${fit}`);
  const scales = [svg.clientWidth / width, svg.clientHeight / height].filter(Boolean);
  const found = 1 / (fit === "slice" ? Math.max(...scales) : Math.min(...scales));
  const pixel = Number.isFinite(found) ? found : 0.4;
  const seen = gazes.map(({ index, ellipse }) => drawGaze(index, ellipse, width, height));
  const drawn = regions.map(({ index, ellipse }) => drawOne(index, ellipse, width, height));
  // Badges last, so that no ellipse covers a number.
  const badges = regions.map(({ index, ellipse }) =>
    drawBadge(index, ellipse.x * width, ellipse.y * height, pixel * BADGE_PX),
  );
  const plates = placeNames(gazes.filter(({ name }) => name), width, height, pixel);
  svg.replaceChildren(...seen, ...drawn, ...badges, ...plates.map((plate) => drawName(plate, pixel)));
}

export const clearRegions = (svg) => svg.replaceChildren();

/** The regions that an explanation's attributes look at; side: "query" or "item". */
export function listGazes(attributes, places, side) {
  return Object.entries(attributes ?? {}).flatMap(([name, regions]) =>
    regions[side].slice(0, SHOWN_GAZES).map((ellipse, rank) => ({
      index: places.get(name) ?? EXPLAINED_PAIRS,
      name: rank === 0 ? labelOf(name) : "",
      ellipse,
      photo: ellipse.photo,
    })),
  );
}

function drawOne(index, ellipse, width, height) {
  return makeSvg("g", {}, drawEllipse("halo", "#fff", ellipse, width, height), drawEllipse("ring", colourOf(index), ellipse, width, height));
}

function drawGaze(index, ellipse, width, height) {
  const drawn = drawEllipse("gaze", colourOf(index), ellipse, width, height);
  drawn.style.fill = colourOf(index);
  return drawn;
}

function drawEllipse(name, stroke, { x, y, rx, ry, angle }, width, height) {
  // Turned in the unit square first, then stretched over the photo.
  const transform = `scale(${width} ${height}) translate(${x} ${y}) rotate(${angle})`;
  return makeSvg("ellipse", { class: name, rx, ry, transform, stroke, "vector-effect": "non-scaling-stroke" });
}

/** Room for attributes' names: under the middles of their regions, in the photo, not on each other. */
function placeNames(gazes, width, height, pixel) {
  const high = 19 * pixel;
  const inside = (at, size, most) => Math.max(pixel * 2, Math.min(at, most - size - pixel * 2));
  const placed = [];
  for (const { index, name, ellipse } of gazes) {
    const wide = (name.length * 6.6 + 14) * pixel;
    const plate = { index, name, wide, high, x: inside(ellipse.x * width - wide / 2, wide, width), y: inside(ellipse.y * height + pixel * 12, high, height) };
    const covers = (other) => Math.abs(other.y - plate.y) < high && other.x < plate.x + wide && plate.x < other.x + other.wide;
    for (let other; (other = placed.find(covers)); ) plate.y = other.y + high * 1.1;
    placed.push(plate);
  }
  return placed;
}

function drawName({ index, name, x, y, wide, high }, pixel) {
  const text = makeSvg("text", { x: x + wide / 2, y: y + high / 2, "font-size": 12 * pixel, "text-anchor": "middle", dy: "0.36em" });
  text.textContent = name;
  const plate = makeSvg("rect", { x, y, width: wide, height: high, rx: high / 2, fill: colourOf(index) });
  return makeSvg("g", { class: "gaze-name" }, plate, text);
}

function drawBadge(index, x, y, radius) {
  const number = makeSvg("text", { x, y, "font-size": radius * 1.3, "text-anchor": "middle", dy: "0.36em" });
  number.textContent = index + 1;
  return makeSvg("g", { class: "badge" }, makeSvg("circle", { cx: x, cy: y, r: radius, fill: colourOf(index) }), number);
}

/** One pair in words, for the list beside the photos. */
export function describePair(pair, tokenScore, photos) {
  const photo = photos > 1 ? `your photo ${pair.photo + 1}` : "your photo";
  // Other pairs, or a constant, may take from the score: then a part of it is not what this is.
  const part = pair.share <= tokenScore ? `, ${percent(pair.share / tokenScore)} of the details` : "";
  return `${capital(placeOf(pair.query))} of ${photo} with ${placeOf(pair.item)} of the item: similarity ${pair.similarity.toFixed(2)}${part}`;
}

/** Where an attribute looks, in words. */
export function describeGaze(name, { query, item }, likeness) {
  const places = (regions) => [...new Set(regions.slice(0, SHOWN_GAZES).map(placeOf))].join(" and ") || "nowhere";
  return `${labelOf(name)}, likeness ${likenessOf(likeness)}: it looks at ${places(query)} of your photo and at ${places(item)} of the item`;
}

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

// Matched regions: numbered ellipses over a photo, in the same colour on both sides.

import { makeSvg } from "./dom.js";
import { percent, placeOf } from "./words.js";

const COLOURS = ["#c2410c", "#1864ab", "#2b8a3e", "#c2255c", "#6741d9", "#0b7285", "#a16207", "#495057", "#9c36b5", "#364fc7"];
const BADGE_PX = 9;

export const colourOf = (index) => COLOURS[index % COLOURS.length];

/**
 * Draw regions [{index, ellipse}] over a photo; ellipses are in the photo's unit square.
 * The photo may be cut to its frame (object-fit: cover): the drawing is cut the same way.
 */
export function drawRegions(svg, image, regions) {
  const height = 100;
  const width = (100 * image.naturalWidth) / image.naturalHeight || 100;
  const fit = getComputedStyle(image).objectFit === "cover" ? "slice" : "meet";
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("preserveAspectRatio", `xMidYMid ${fit}`);
  const scales = [svg.clientWidth / width, svg.clientHeight / height].filter(Boolean);
  const pixel = 1 / (fit === "slice" ? Math.max(...scales) : Math.min(...scales));
  const drawn = regions.map(({ index, ellipse }) => drawOne(index, ellipse, width, height));
  // Badges last, so that no ellipse covers a number.
  const badges = regions.map(({ index, ellipse }) =>
    drawBadge(index, ellipse.x * width, ellipse.y * height, (Number.isFinite(pixel) ? pixel : 0.4) * BADGE_PX),
  );
  svg.replaceChildren(...drawn, ...badges);
}

export const clearRegions = (svg) => svg.replaceChildren();

function drawOne(index, { x, y, rx, ry, angle }, width, height) {
  // Turned in the unit square first, then stretched over the photo.
  const transform = `scale(${width} ${height}) translate(${x} ${y}) rotate(${angle})`;
  const ring = (name, colour) =>
    makeSvg("ellipse", { class: name, rx, ry, transform, stroke: colour, "vector-effect": "non-scaling-stroke" });
  return makeSvg("g", {}, ring("halo", "#fff"), ring("ring", colourOf(index)));
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

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

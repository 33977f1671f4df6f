// Numbers and places in plain words.

const TITLE_COLUMNS = ["title", "name", "product_name"];
const CONFIDENCE_WORDS = [
  [0.9, "very likely"],
  [0.6, "likely"],
  [0.3, "maybe"],
  [0, "unlikely"],
];

export const isTitle = (column) => TITLE_COLUMNS.includes(column);

export function titleOf(hit) {
  const column = TITLE_COLUMNS.find((name) => hit.metadata[name]);
  return column ? String(hit.metadata[column]) : hit.item_id;
}

export function priceOf({ metadata: { price, currency } }) {
  if (typeof price !== "number") return price ?? "";
  const digits = Number.isInteger(price) ? 0 : 2;
  const options = { minimumFractionDigits: digits, maximumFractionDigits: 2 };
  if (/^[A-Za-z]{3}$/.test(currency ?? "")) Object.assign(options, { style: "currency", currency });
  return new Intl.NumberFormat(undefined, options).format(price);
}

export const percent = (share) => `${Math.round(share * 100)}\u00a0%`;

/** The word for a probability, 0 to 1; null is one that nobody knows. */
export function confidenceWord(confidence) {
  if (confidence === null) return "not calibrated";
  return CONFIDENCE_WORDS.find(([least]) => confidence >= least)[1];
}

/**
 * A likeness in one attribute, -1 to 1, as its number: how high it is where the values are the same
 * differs from attribute to attribute and from checkpoint to checkpoint, so that no word fits all.
 */
export const likenessOf = (likeness) => (likeness === null ? "not known" : likeness.toFixed(2));

/** The word for an attribute's mean average precision, 0 to 1; null was not measured. */
export function qualityWord(quality) {
  if (quality === null) return "How well is not measured";
  const word = quality >= 0.75 ? "Mostly right" : quality >= 0.5 ? "Often right" : "Rough";
  return `${word} (mAP ${quality.toFixed(2)})`;
}

const WEIGHT_WORDS = [
  [0.95, "counts fully"],
  [0.65, "counts much"],
  [0.35, "counts half"],
  [0.01, "counts a little"],
  [0, "does not count"],
];

/** The word for a weight, 0 to 1. */
export const weightWord = (weight) => WEIGHT_WORDS.find(([least]) => weight >= least)[1];

export const count = (number, word) => `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`;

export const milliseconds = (value) => `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;

export const score = (value) => (value === null ? "none" : value.toFixed(3));

/** A column's name as a label: "sleeve_length" is "Sleeve length". */
export function labelOf(column) {
  const words = column.replace(/[_-]+/g, " ").trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** Where an ellipse lies on its photo. */
export function placeOf({ x, y }) {
  const third = (value) => Math.min(2, Math.max(0, Math.floor(value * 3)));
  const row = ["top", "middle", "bottom"][third(y)];
  const column = ["left", "centre", "right"][third(x)];
  return row === "middle" && column === "centre" ? "centre" : `${row} ${column}`;
}

export function alphaWords(alpha) {
  return `${percent(alpha)} whole look, ${percent(1 - alpha)} details`;
}

const BALANCES = [
  [0.97, "only the whole look"],
  [0.62, "mostly the whole look"],
  [0.38, "both alike"],
  [0.03, "mostly details"],
  [0, "only details"],
];

/** The balance of whole look and details, 0 to 1, in a few words. */
export const balanceWord = (alpha) => BALANCES.find(([least]) => alpha >= least)[1];

// The address bar holds the search: its options always, its item or photo where it can.

const OPTIONS = ["k", "alpha", "candidates", "group_by", "sort", "min_confidence", "filter"];

/** Read {itemId, queryId, box, options, selection, choice} from a query string. */
export function readAddress(search) {
  const given = new URLSearchParams(search);
  const read = { options: {}, selection: { values: {}, ranges: {} }, choice: { weights: {}, overall: "" } };
  read.itemId = given.get("item");
  read.queryId = given.get("query");
  read.box = readBox(given.get("box"));
  for (const name of OPTIONS) if (given.has(name)) read.options[name] = given.get(name);
  for (const [name, value] of given) {
    const [, kind, column] = /^(in|min|max|same)\.(.+)$/s.exec(name) ?? [];
    if (kind === "same") read.choice.weights[column] = value;
    else if (kind === "in") (read.selection.values[column] ??= []).push(value);
    else if (kind) (read.selection.ranges[column] ??= { min: "", max: "" })[kind] = value;
  }
  if (given.has("overall")) read.choice.overall = given.get("overall");
  return read;
}

/** Write what `readAddress` reads; "" when there is nothing to say. */
export function writeAddress({ itemId, queryId, box, options, selection, choice }) {
  const written = new URLSearchParams();
  if (itemId) written.set("item", itemId);
  if (queryId) written.set("query", queryId);
  if (box) written.set("box", box.map((edge) => edge.toFixed(3)).join(","));
  for (const name of OPTIONS) if (options[name]) written.set(name, options[name]);
  for (const [name, weight] of Object.entries(choice.weights)) written.set(`same.${name}`, weight);
  if (choice.overall) written.set("overall", choice.overall);
  for (const [column, chosen] of Object.entries(selection.values)) {
    for (const value of chosen) written.append(`in.${column}`, value);
  }
  for (const [column, range] of Object.entries(selection.ranges)) {
    for (const end of ["min", "max"]) if (range[end]) written.set(`${end}.${column}`, range[end]);
  }
  return String(written);
}

function readBox(text) {
  const box = (text ?? "").split(",").map(Number);
  const [left, top, right, bottom] = box;
  const inside = box.length === 4 && box.every((edge) => edge >= 0 && edge <= 1);
  return inside && left < right && top < bottom ? box : null;
}

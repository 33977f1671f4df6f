// Ticked values, ranges and the expert's text, as one filter of the service.

/** Whether a column holds numbers, dates, truth values or texts; "" for what has no control. */
export function kindOf(type) {
  if (/^u?int|^float|^double|^decimal|^number/.test(type)) return "number";
  if (/^date|^time/.test(type)) return "date";
  if (/^bool/.test(type)) return "bool";
  return /string|utf8/.test(type) && !/list|struct|map/.test(type) ? "text" : "";
}

/**
 * selection: {values: {column: [text]}, ranges: {column: {min, max}}}, all as text.
 * types: column to type, as in /info.
 */
export function composeFilter({ values, ranges }, types, expert) {
  const parts = [];
  for (const [column, chosen] of Object.entries(values)) {
    if (chosen.length) parts.push(`${name(column)} IN (${chosen.map(literal(types[column])).join(", ")})`);
  }
  for (const [column, { min, max }] of Object.entries(ranges)) {
    const write = literal(types[column]);
    if (min) parts.push(`${name(column)} >= ${write(min)}`);
    if (max) parts.push(`${name(column)} <= ${write(endOf(max, types[column]))}`);
  }
  if (expert.trim()) parts.push(parts.length ? `(${expert.trim()})` : expert.trim());
  return parts.join(" AND ");
}

const name = (column) => (column.includes('"') ? `\`${column}\`` : `"${column}"`);

function literal(type = "") {
  const kind = kindOf(type);
  if (kind === "number") return (text) => text;
  if (kind === "bool") return (text) => text.toUpperCase();
  return (text) => `'${text.replaceAll("'", "''")}'`;
}

// A day chosen as the end of a range counts as a whole.
const endOf = (text, type = "") => (type.startsWith("time") ? `${text} 23:59:59` : text);

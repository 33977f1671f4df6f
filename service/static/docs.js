// The list of endpoints, made from openapi.json: works without the internet.

const base = new URL(".", location.href).href.replace(/\/$/, "");

function make(tag, text = "", children = []) {
  const element = Object.assign(document.createElement(tag), { textContent: text });
  element.append(...children);
  return element;
}

/** Follow `$ref`s and the `anyOf [type, null]` of optional fields. */
function resolve(spec, schema = {}) {
  if (schema.$ref) return resolve(spec, schema.$ref.slice(2).split("/").reduce((at, key) => at[key], spec));
  const option = schema.anyOf?.find((entry) => entry.type !== "null");
  return option ? { ...resolve(spec, option), ...schema } : schema;
}

function listInputs(spec, operation) {
  const parameters = (operation.parameters ?? [])
    .filter((parameter) => parameter.in !== "header")
    .map((parameter) => ({
      name: parameter.name,
      place: parameter.in,
      required: parameter.required,
      schema: resolve(spec, parameter.schema),
      text: parameter.description,
    }));
  const form = resolve(spec, operation.requestBody?.content["multipart/form-data"]?.schema);
  const fields = Object.entries(form.properties ?? {}).map(([name, schema]) => ({
    name,
    place: "form",
    required: form.required?.includes(name) ?? false,
    schema: resolve(spec, schema),
    text: schema.description,
  }));
  return [...parameters, ...fields.sort((a, b) => b.required - a.required)];
}

function describe({ schema, required, text }) {
  const range = schema.minimum !== undefined ? `${schema.minimum} to ${schema.maximum}` : "";
  const type = schema.enum?.join(" | ") ?? (schema.format === "binary" || schema.contentMediaType ? "file" : schema.type);
  return [type, range, required ? "required" : "", text].filter(Boolean).join("; ");
}

function makeCurl(method, path, inputs) {
  const address = path.replace(/\{(\w+)\}/g, (_, name) => name.toUpperCase());
  const photo = inputs.some((input) => input.place === "form") ? "-F image=@photo.jpg -F k=5 " : "";
  const output = path.endsWith("thumbnail") ? "-o thumbnail.jpg " : "";
  return `curl ${photo}${output}${base}${address}`;
}

function makeEndpoint(spec, method, path, operation) {
  const inputs = listInputs(spec, operation);
  const rows = inputs.map((input) => make("tr", "", [make("td", input.name), make("td", describe(input))]));
  const answers = Object.entries(operation.responses)
    .map(([status, { description }]) => `${status} ${description.toLowerCase()}`)
    .join("; ");
  const article = make("article", "", [
    make("h3", "", [make("span", method.toUpperCase()), path]),
    make("p", operation.description),
    ...(rows.length ? [make("table", "", rows)] : []),
    make("pre", makeCurl(method, path, inputs)),
  ]);
  article.append(Object.assign(make("p", `Answers: ${answers}.`), { className: "answers" }));
  article.className = "endpoint";
  return article;
}

const response = await fetch("openapi.json");
const spec = await response.json();
const groups = new Map();
for (const [path, methods] of Object.entries(spec.paths)) {
  for (const [method, operation] of Object.entries(methods)) {
    const tag = operation.tags?.[0] ?? "other";
    if (!groups.has(tag)) groups.set(tag, make("section", "", [make("h2", tag)]));
    groups.get(tag).append(makeEndpoint(spec, method, path, operation));
  }
}
document.getElementById("endpoints").replaceChildren(...groups.values());

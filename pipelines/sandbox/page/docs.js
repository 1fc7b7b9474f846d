// The documentation, drawn from the sandbox's own OpenAPI description.
import { element } from "./words.js";

const METHODS = ["get", "post", "put", "patch", "delete"];
const api = await (await fetch("/openapi.json")).json();

function named(reference) {
  return reference.split("/").slice(1).reduce((node, key) => node[key], api);
}

// A schema as the JSON that would fit it.
function sample(schema, depth = 0) {
  if (!schema || depth > 6) return null;
  if (schema.$ref) return sample(named(schema.$ref), depth + 1);
  if (schema.examples?.length) return schema.examples[0];
  if (schema.default !== undefined) return schema.default;
  if (schema.const !== undefined) return schema.const;
  if (schema.enum) return schema.enum[0];
  if (schema.anyOf) return sample(schema.anyOf[0], depth + 1);
  if (schema.type === "array") return [sample(schema.items, depth + 1)];
  if (schema.type === "object") return Object.fromEntries(Object.entries(schema.properties ?? {}).map(([key, value]) => [key, sample(value, depth + 1)]));
  return { string: "", integer: 0, number: 0, boolean: false }[schema.type] ?? null;
}

function example(operation) {
  const [type, content] = Object.entries(operation.requestBody?.content ?? {})[0] ?? [];
  return type ? { type, body: content.example ?? sample(content.schema) } : null;
}

function curl(method, path, operation, body) {
  const values = (where) => (operation.parameters ?? []).filter((one) => one.in === where && one.example !== undefined);
  const filled = values("path").reduce((text, one) => text.replace(`{${one.name}}`, encodeURIComponent(one.example)), path);
  const query = new URLSearchParams(values("query").map((one) => [one.name, one.example])).toString();
  const lines = [`curl -X ${method.toUpperCase()} '${location.origin}${filled}${query && `?${query}`}'`];
  for (const [name, value] of Object.entries(operation["x-headers"] ?? {})) lines.push(`  -H '${name}: ${value}'`);
  if (body && !("content-type" in (operation["x-headers"] ?? {}))) lines.push(`  -H 'Content-Type: ${body.type}'`);
  if (body) lines.push(`  -d '${JSON.stringify(body.body)}'`);
  return lines.join(" \\\n");
}

// A text with `code` in it.
function prose(name, text) {
  const node = element(name);
  text.split("`").forEach((piece, index) => node.append(index % 2 ? element("code", { textContent: piece }) : piece));
  return node;
}

function table(rows) {
  const node = element("table");
  for (const cells of rows) {
    const row = node.insertRow();
    cells.forEach((text, index) => row.append(Object.assign(prose("td", text), { className: index ? "" : "mono" })));
  }
  return node;
}

function part(title, node) {
  return [element("h3", { textContent: title }), node];
}

function endpoint(method, path, operation) {
  const details = element("details", { className: "endpoint" });
  const summary = element("summary");
  summary.append(
    element("span", { className: `method ${method}`, textContent: method.toUpperCase() }),
    element("span", { className: "path mono", textContent: path }),
    element("span", { className: "summary", textContent: operation.summary ?? "" }),
  );
  const body = element("div", { className: "body" });
  body.append(prose("p", operation.description ?? ""));
  const parameters = operation.parameters ?? [];
  if (parameters.length) body.append(...part("Parameters", table(parameters.map(({ name, in: where, description }) => [name, where, description ?? ""]))));
  const sent = example(operation);
  if (sent) body.append(...part(`Body, ${sent.type}`, element("pre", { textContent: JSON.stringify(sent.body, null, 2) })));
  const answers = Object.entries(operation.responses ?? {}).filter(([status]) => status !== "422");
  body.append(...part("Answers", table(answers.map(([status, { description }]) => [status, description]))));
  body.append(...part("Try it", element("pre", { textContent: curl(method, path, operation, sent) })));
  details.append(summary, body);
  return details;
}

const groups = new Map();
for (const [path, operations] of Object.entries(api.paths)) {
  for (const method of METHODS.filter((name) => operations[name])) {
    const tag = operations[method].tags?.[0] ?? "";
    groups.set(tag, [...(groups.get(tag) ?? []), endpoint(method, path, operations[method])]);
  }
}
for (const [tag, endpoints] of groups) {
  const section = element("section");
  const head = element("div", { className: "head" });
  head.append(element("h2", { textContent: tag }));
  const about = api.tags.find(({ name }) => name === tag)?.description ?? "";
  section.append(head, Object.assign(prose("p", about), { className: "about" }), ...endpoints);
  document.getElementById("apis").append(section);
}

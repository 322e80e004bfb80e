// What GitHub's description of its REST API says of a request, where Prism does not ask: Prism lets unknown fields and
// unknown query parameters pass, because the description does not forbid them, and it does not read prose.

import { text } from './packages.mjs';

/** The description, and where the package keeps it. */
export const FILE = ['@octokit', 'openapi', 'generated', 'api.github.com.json'];
const api = JSON.parse(text(...FILE));

const resolve = (node) =>
  node?.$ref ? resolve(node.$ref.slice(2).split('/').reduce((at, key) => at[key], api)) : node;

// Operations

/** A template as a pattern: one group for each parameter; only the parameters so marked take slashes. */
function pattern(template, parameters) {
  const wide = new Set(parameters.filter((one) => one['x-multi-segment']).map((one) => one.name));
  const source = template.split(/\{(\w+)\}/).map((part, index) => {
    if (index % 2) return wide.has(part) ? '(.+)' : '([^/]+)';
    return part.replace(/[.*+?^$()|[\]\\]/g, '\\$&');
  });
  return new RegExp(`^${source.join('')}$`);
}

function* allOperations() {
  for (const [template, item] of Object.entries(api.paths)) {
    for (const method of ['get', 'post', 'put', 'patch', 'delete'].filter((one) => item[one])) {
      const operation = item[method];
      const parameters = [...(item.parameters ?? []), ...(operation.parameters ?? [])].map(resolve);
      yield { name: `${method.toUpperCase()} ${template}`, template, operation, parameters };
    }
  }
}

const operations = [...allOperations()].map((one) => ({ ...one, pattern: pattern(one.template, one.parameters) }));
const fixed = (template) => template.split('/').filter((part) => !part.startsWith('{')).length;

/** The operation a request asks for: of several that fit, the one with the most fixed parts. */
export function find(method, path) {
  const fits = operations.filter((one) => one.name.startsWith(`${method} `) && one.pattern.test(path));
  return fits.sort((one, other) => fixed(other.template) - fixed(one.template))[0];
}

/** The path as Prism can route it: no slash inside the value of a parameter. */
export function routable(path, { template, pattern }) {
  const values = pattern.exec(path).slice(1).map((value) => value.replaceAll('/', '%2F'));
  return template.replace(/\{\w+\}/g, () => values.shift());
}

// Fields

/** All schemas that a value has to satisfy or may choose from, in one list. */
function alternatives(schema) {
  const one = resolve(schema);
  const nested = ['allOf', 'anyOf', 'oneOf'].flatMap((key) => one[key] ?? []);
  return [one, ...nested.flatMap(alternatives)];
}

function* unknownKeys(schemas, value, at) {
  const described = schemas.flatMap((one) => (one.properties ? [one.properties] : []));
  const rest = schemas.map((one) => one.additionalProperties).filter((one) => typeof one === 'object');
  const open = described.length === 0 && rest.length === 0;
  for (const [key, item] of open ? [] : Object.entries(value)) {
    const found = described.flatMap((properties) => (Object.hasOwn(properties, key) ? [properties[key]] : []));
    const known = found.length > 0 ? found : rest;
    if (known.length === 0) yield [...at, key].join('.');
    yield* unknownFields(known, item, [...at, key]);
  }
}

/** The places in a value that no schema of a list knows. An object of which nothing is described is open. */
function* unknownFields(schemas, value, at = []) {
  const flat = schemas.flatMap(alternatives);
  if (Array.isArray(value)) {
    const items = flat.flatMap((one) => (one.items ? [one.items] : []));
    for (const item of value) yield* unknownFields(items, item, at);
  } else if (value !== null && typeof value === 'object') {
    yield* unknownKeys(flat, value, at);
  }
}

function bodyProblems({ operation }, body) {
  if (body === null || body === undefined) return [];
  const content = resolve(operation.requestBody)?.content;
  if (!content) return ['a body, where the description has none'];
  const unknown = unknownFields([content['application/json'].schema], body);
  return [...new Set(unknown)].map((place) => `unknown field ${place}`);
}

function queryProblems({ parameters }, query) {
  const known = new Set(parameters.filter((one) => one.in === 'query').map((one) => one.name));
  const names = [...new URLSearchParams(query).keys()];
  return names.filter((name) => !known.has(name)).map((name) => `unknown query parameter ${name}`);
}

// The description lists `application/json` only, and names the other media types of an operation in its prose.
// `application/vnd.github+json` is what GitHub recommends for every operation.
function acceptProblems({ operation }, accept = 'application/vnd.github+json') {
  const usual = ['application/json', 'application/vnd.github+json'];
  const known = usual.includes(accept) || operation.description.includes(`\`${accept}\``);
  return known ? [] : [`unknown media type ${accept}`];
}

// Limits that stand in prose

const bytes = (value) => Buffer.byteLength(value);
const characters = (value) => value.length;

// Which operations, which strings, and how much they hold. GitHub counts the texts of a check run in bytes, whatever
// the description says.
const LIMITS = [
  [/\/check-runs/, /^output\.(summary|text)$/, bytes, 65_535],
  [/\/check-runs/, /^output\.annotations\.(message|raw_details)$/, bytes, 65_536],
  [/\/check-runs/, /^output\.annotations\.title$/, characters, 255],
  [/\/comments/, /^body$/, characters, 65_536],
  [/\/statuses/, /^description$/, characters, 140],
];

/** Every value of a body that is not a container, with its place. */
function* leaves(value, at = []) {
  if (value === null || typeof value !== 'object') return yield [at.join('.'), value];
  for (const [key, item] of Object.entries(value)) yield* leaves(item, Array.isArray(value) ? at : [...at, key]);
}

function* longTexts({ template }, body) {
  for (const [place, value] of leaves(body)) {
    for (const [where, which, measure, limit] of LIMITS) {
      if (typeof value !== 'string' || !where.test(template) || !which.test(place)) continue;
      if (measure(value) > limit) yield `${place} holds ${measure(value)} ${measure.name}, more than ${limit}`;
    }
  }
}

function* annotationProblems({ template }, body) {
  const annotations = template.includes('/check-runs') ? (body?.output?.annotations ?? []) : [];
  if (annotations.length > 50) yield `${annotations.length} annotations, more than 50`;
  for (const { start_line: start, end_line: end, start_column: column } of annotations) {
    if (start < 1 || end < start) yield `an annotation on the lines ${start} to ${end}`;
    if (column !== undefined && start !== end) yield 'an annotation with columns on more than one line';
  }
}

// A summary is required of every output; the description of the update says it of the title in prose only.
function* outputProblems({ template }, body) {
  const output = template.includes('/check-runs') && body?.output;
  if (output && !output.title) yield 'an output without a title';
}

function pageProblems(query) {
  const size = new URLSearchParams(query).get('per_page');
  return size > 100 ? [`per_page is ${size}, more than 100`] : [];
}

/** What is wrong with a request by the letter of the description and by its prose. */
export function problems(found, { query, headers, body }) {
  return [
    ...bodyProblems(found, body),
    ...queryProblems(found, query),
    ...acceptProblems(found, headers?.accept),
    ...longTexts(found, body),
    ...annotationProblems(found, body),
    ...outputProblems(found, body),
    ...pageProblems(query),
  ];
}

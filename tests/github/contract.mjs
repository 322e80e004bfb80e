// Holds every request that was recorded against GitHub's own description of its API.
//
//     node contract.mjs REQUESTS.jsonl
//
// One request a line: {"method", "path", "query", "headers", "body"}. Prints a line for each distinct request and what
// is wrong with it. Exit code 0 if nothing is, 1 if anything is, 2 if the recording does not hold every operation.

import { existsSync, readFileSync } from 'node:fs';

import * as description from './description.mjs';
import * as graphql from './graphql.mjs';
import * as prism from './prism.mjs';

const DEADLINE = 110_000;
const REPOSITORY = '/repos/{owner}/{repo}';

// What must have been recorded, field by field: a recording that lacks it proves nothing of it.
const OUTPUT = ['output.title', 'output.summary'];
const ANNOTATION = ['path', 'start_line', 'end_line', 'annotation_level', 'message', 'title'];
const REQUIRED = {
  [`POST ${REPOSITORY}/check-runs`]: ['name', 'head_sha', 'status', 'external_id', ...OUTPUT],
  [`PATCH ${REPOSITORY}/check-runs/{check_run_id}`]: [
    ...['status', 'conclusion', ...OUTPUT],
    ...ANNOTATION.map((field) => `output.annotations.${field}`),
  ],
  [`GET ${REPOSITORY}/commits/{ref}/check-runs`]: ['check_name', 'filter', 'per_page'],
  [`POST ${REPOSITORY}/statuses/{sha}`]: ['state', 'context', 'description'],
  [`POST ${REPOSITORY}/issues/{issue_number}/comments`]: ['body'],
  [`PATCH ${REPOSITORY}/issues/comments/{comment_id}`]: ['body'],
  [`DELETE ${REPOSITORY}/issues/comments/{comment_id}`]: [],
  [`GET ${REPOSITORY}/contents/{path}`]: ['ref'],
  [`GET ${REPOSITORY}/pulls/{pull_number}/reviews`]: ['per_page'],
  [`GET ${REPOSITORY}/pulls`]: ['head', 'state', 'per_page'],
  'POST /graphql query Comments': ['query', 'variables.owner', 'variables.name', 'variables.number'],
  'POST /graphql mutation Minimize': ['query', 'variables.id'],
};

// Reading

/** A recorded request with its operation. An enterprise server keeps the same API below `/api/v3`. */
function understand(recorded) {
  const request = { ...recorded, path: recorded.path.replace(/^\/api\/v3(?=\/)/, '') };
  const { method, path, body } = request;
  if (method === 'POST' && path.endsWith('/graphql')) return { request, name: graphql.name(body), isGraphql: true };
  const found = description.find(method, path);
  return { request, found, name: found?.name ?? `${method} ${path}` };
}

function read(file) {
  const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : [];
  return lines.filter((line) => line.trim()).map((line) => understand(JSON.parse(line)));
}

const queryOf = ({ query }) => Object.fromEntries(new URLSearchParams(query ?? ''));

/** Whether a value has a field, looking into every item of a list on the way. */
function has(value, [key, ...rest]) {
  if (key === undefined) return true;
  if (Array.isArray(value)) return value.some((item) => has(item, [key, ...rest]));
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key) && has(value[key], rest);
}

/** What should have been recorded and was not. */
function missing(entries) {
  const lacks = ([name, fields]) => {
    const requests = entries.filter((entry) => entry.name === name).map((entry) => entry.request);
    if (requests.length === 0) return [name];
    const sent = (field) => requests.some((one) => has({ ...queryOf(one), ...one.body }, field.split('.')));
    return fields.filter((field) => !sent(field)).map((field) => `${name} with ${field}`);
  };
  return Object.entries(REQUIRED).flatMap(lacks);
}

// Grouping

/** The shape of a value. A single word stands for itself, as it may be one of a list of allowed words. */
function shape(value) {
  if (Array.isArray(value)) return `[${[...new Set(value.map(shape))].sort().join(' | ')}]`;
  if (typeof value === 'string') return /^[a-z_]{1,20}$/.test(value) ? value : 'string';
  if (value === null || typeof value !== 'object') return value === null ? 'null' : typeof value;
  return `{${Object.keys(value).sort().map((key) => `${key}: ${shape(value[key])}`).join(', ')}}`;
}

function label({ name, request, isGraphql }) {
  const sent = isGraphql ? (request.body?.variables ?? {}) : { ...queryOf(request), ...request.body };
  return `${name} ${shape(sent)}`;
}

/** The requests of each shape, the largest first. */
function group(entries) {
  const groups = new Map();
  for (const entry of entries) {
    const key = label(entry);
    groups.set(key, [...(groups.get(key) ?? []), entry]);
  }
  const size = ({ request }) => JSON.stringify(request.body ?? null).length;
  return [...groups].map(([key, members]) => [key, members.sort((one, other) => size(other) - size(one))]);
}

// Judging

function ownProblems({ request, found, isGraphql }) {
  if (isGraphql) return graphql.problems(request);
  return found ? description.problems(found, request) : ['no such operation in the description'];
}

/** What is wrong with the requests of one shape. Prism sees the largest, our own rules see all of them. */
async function judge(base, members) {
  const { found, request } = members[0];
  const refused = found ? await prism.replay(base, found, request) : [];
  return [...new Set([...members.flatMap(ownProblems), ...refused])];
}

async function judgeAll(base, groups) {
  let failed = 0;
  for (const [key, members] of groups) {
    const wrong = await judge(base, members);
    failed += wrong.length > 0;
    console.log(`${wrong.length > 0 ? 'FAIL' : 'ok  '} ${key} x${members.length}`);
    wrong.forEach((problem) => console.log(`     ${problem}`));
  }
  console.log(`${groups.length - failed} passed, ${failed} failed`);
  return failed > 0 ? 1 : 0;
}

async function main([file]) {
  const entries = read(file);
  const absent = missing(entries);
  if (absent.length > 0) {
    absent.forEach((one) => console.error(`not recorded: ${one}`));
    return 2;
  }
  const { base, stop } = await prism.start();
  return judgeAll(base, group(entries)).finally(stop);
}

setTimeout(() => {
  console.error(`no end after ${DEADLINE / 1000} seconds`);
  process.exit(1);
}, DEADLINE).unref();
process.exitCode = await main(process.argv.slice(2));

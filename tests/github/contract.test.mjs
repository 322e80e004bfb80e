// Proof that `contract.mjs` notices what it is there to notice: `node --test contract.test.mjs`.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import test from 'node:test';

const SCRIPT = new URL('contract.mjs', import.meta.url).pathname;
const REPOSITORY = '/repos/octo/models';
const SHA = 'f'.repeat(40);

const request = (method, path, body = null, query = '', accept = 'application/vnd.github+json') => {
  return { method, path: REPOSITORY + path, query, headers: { accept, authorization: 'Bearer x' }, body };
};
const graphql = (query, variables) => ({ method: 'POST', path: '/graphql', query: '', body: { query, variables } });

const output = (fields) => ({ title: '2 of 7 claims failed', summary: '| claim |', ...fields });
const annotation = { path: 'modelgate.yaml', start_line: 3, end_line: 3, annotation_level: 'failure', message: 'AUC' };
const annotations = (count, fields) => Array.from({ length: count }, () => ({ ...annotation, ...fields }));
const annotated = (count, fields) => ({ output: output({ annotations: annotations(count, fields) }) });

const created = { name: 'Model gate: a (pr)', head_sha: SHA, status: 'in_progress', external_id: 'modelgate:1' };
const completed = { status: 'completed', conclusion: 'failure' };
const status = { state: 'failure', context: 'modelgate/flights/pr', description: 'fail: 2 of 7 claims' };

const LIST = `query Comments($owner: String!, $name: String!, $number: Int!, $after: String) {
  repository(owner: $owner, name: $name) { pullRequest(number: $number) { comments(first: 100, after: $after) {
    pageInfo { hasNextPage endCursor } nodes { id databaseId body isMinimized viewerDidAuthor url } } } } }`;
const HIDE = `mutation Minimize($id: ID!) {
  minimizeComment(input: {subjectId: $id, classifier: OUTDATED}) { minimizedComment { isMinimized } } }`;
const thread = { owner: 'octo', name: 'models', number: 7, after: null };

// No two of these and those below have one shape: what has one shape is judged as one.
const GOOD = [
  request('POST', '/check-runs', { ...created, output: output() }),
  request('POST', '/check-runs', { ...created, details_url: 'https://x.org/1', output: output() }),
  request('PATCH', '/check-runs/4', { ...completed, ...annotated(50, { title: 'auc' }) }),
  request('PATCH', '/check-runs/4', annotated(1, { annotation_level: 'warning' })),
  request('GET', `/commits/${SHA}/check-runs`, null, 'check_name=Model%20gate%3A%20a&filter=all&per_page=100'),
  request('POST', `/statuses/${SHA}`, status),
  request('POST', '/issues/7/comments', { body: 'a'.repeat(65_536) }),
  request('PATCH', '/issues/comments/9', { body: 'same' }),
  request('DELETE', '/issues/comments/9'),
  request('GET', '/contents/gates/modelgate.yaml', null, `ref=${SHA}`, 'application/vnd.github.raw+json'),
  request('GET', '/pulls/7/reviews', null, 'per_page=100&page=2'),
  request('GET', '/pulls', null, 'head=octo:better&state=open&per_page=100'),
  graphql(LIST, thread),
  graphql(LIST, { ...thread, after: 'Y3Vyc29y' }),
  graphql(HIDE, { id: 'IC_1' }),
];

// Each with everything that is to be said against it.
const BAD = [
  [request('POST', '/check-runs', { ...created, external_url: 'https://x.org' }), /^unknown field external_url$/],
  [
    request('PATCH', '/check-runs/4', { output: output({ images: [{ alt: 'a', image_url: 'b', size: 1 }] }) }),
    /^unknown field output\.images\.size$/,
  ],
  [request('GET', '/pulls', null, 'head=octo:better&sate=open'), /^unknown query parameter sate$/],
  [request('GET', '/pulls', null, 'per_page=101'), /^per_page is 101, more than 100$/],
  [request('GET', '/pulls', null, '', 'application/vnd.github.raw'), /^unknown media type \S+\.raw$/],
  [request('DELETE', '/issues/comments/9', { reason: 'old' }), /^a body, where the description has none$/],
  [request('POST', '/check-runs', { head_sha: SHA }), /must have required property 'name'$/],
  [request('POST', '/issues/7/comments', {}), /must have required property 'body'$/],
  [request('POST', `/statuses/${SHA}`, { ...status, state: 'passed' }), /body property state must be equal to one of/],
  [request('GET', `/commits/${SHA}/check-runs`, null, 'filter=any'), /parameter filter must be equal to one of/],
  [request('PATCH', '/check-runs/four', { name: 'a', ...completed }), /parameter check_run_id must be integer$/],
  [
    request('PATCH', '/check-runs/4', annotated(51)),
    /^51 annotations, more than 50$/,
    /annotations must NOT have more than 50 items$/,
  ],
  [
    request('PATCH', '/check-runs/4', annotated(1, { end_line: 2, title: 'auc' })),
    /^an annotation on the lines 3 to 2$/,
  ],
  [request('PATCH', '/check-runs/4', { output: { summary: 'a' } }), /^an output without a title$/],
  [
    request('PATCH', '/check-runs/4', { output: output({ summary: 'ä'.repeat(32_768) }) }),
    /^output.summary holds 65536 bytes, more than 65535$/,
  ],
  [
    request('PATCH', '/issues/comments/9', { body: 'A'.repeat(65_537) }),
    /^body holds 65537 characters, more than 65536$/,
  ],
  [
    request('POST', `/statuses/${SHA}`, { state: 'failure', description: 'A'.repeat(141) }),
    /^description holds 141 characters, more than 140$/,
  ],
  [request('POST', '/check_runs', created), /^no such operation in the description$/],
  [graphql(LIST.replace('url', 'link'), { ...thread, owner: 'Octo' }), /^Cannot query field "link" on type/],
  [graphql(LIST.replace('100', '101'), { ...thread, name: 'Models' }), /^a page of 101$/],
  [graphql(HIDE, { id: 'IC_1', reason: 'OUTDATED' }), /^unknown variable reason$/],
  [graphql(LIST, { ...thread, number: '7' }), /Int cannot represent/],
];

/** Runs the script over these requests. */
async function run(requests) {
  const folder = mkdtempSync(join(tmpdir(), 'contract-'));
  const file = join(folder, 'requests.jsonl');
  writeFileSync(file, requests.map((one) => JSON.stringify(one)).join('\n'));
  const child = spawn(process.execPath, [SCRIPT, file]);
  const ended = once(child, 'close');
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const [status] = await ended;
  rmSync(folder, { recursive: true });
  return { status, stdout, stderr };
}

test('good requests pass, and each bad one fails for its reason and for no other', async () => {
  const { status, stdout, stderr } = await run([...GOOD, ...BAD.map(([request]) => request)]);
  assert.equal(status, 1, stdout + stderr);
  assert.match(stdout, new RegExp(`\\n${GOOD.length} passed, ${BAD.length} failed\\n$`));
  const told = stdout.split('\n').filter((line) => line.startsWith('     ')).map((line) => line.trim());
  const expected = BAD.flatMap(([, ...reasons]) => reasons);
  for (const reason of expected) assert.ok(told.some((line) => reason.test(line)), `${reason} in\n${stdout}`);
  for (const line of told) assert.ok(expected.some((reason) => reason.test(line)), line);
});

test('a recording that lacks an operation or a field proves nothing', async () => {
  assert.equal((await run([])).status, 2);
  const shorter = GOOD.filter(({ method }) => method !== 'DELETE').map((one) => ({ ...one, query: '' }));
  const { status, stderr } = await run(shorter);
  assert.equal(status, 2);
  assert.match(stderr, /^not recorded: DELETE \S+\/issues\/comments\/\{comment_id\}$/m);
  assert.match(stderr, /^not recorded: GET \S+\/contents\/\{path\} with ref$/m);
});

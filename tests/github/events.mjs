// Writes event files as a step of a workflow finds them at GITHUB_EVENT_PATH.
//
//     node events.mjs OUTDIR
//
// `<event>.<number>.json` is one of GitHub's example payloads, `<event>.<what>.json` a variant of one that the examples
// lack. There is no webhook for `schedule`, so that one is made by hand.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { text } from './packages.mjs';

// The gate knows all but the last two.
const EVENTS = [
  ...['pull_request', 'push', 'release', 'workflow_dispatch', 'merge_group', 'workflow_run'],
  ...['check_run', 'issues'],
];
const ZERO = '0'.repeat(40);
const all = JSON.parse(text('@octokit', 'webhooks-examples', 'api.github.com', 'index.json'));

// An event file is the webhook's payload, but Actions leaves the lists of files out of the commits of a push.
const trimmed = ({ added, removed, modified, ...commit }) => commit;
const asInActions = (name, payload) => {
  if (name !== 'push') return payload;
  const { commits, head_commit: head } = payload;
  return { ...payload, commits: commits.map(trimmed), head_commit: head && trimmed(head) };
};

function examples(name) {
  const { examples: payloads = [] } = all.find((one) => one.name === name) ?? {};
  if (payloads.length === 0) throw new Error(`no example of ${name}`);
  return payloads.map((payload) => asInActions(name, payload));
}

/** The first example of an event that fits, changed in place by `change`. */
function variant(name, fits, change) {
  const payload = structuredClone(examples(name).find(fits));
  change(payload);
  return payload;
}

const pullRequest = (change) => variant('pull_request', ({ action }) => action === 'synchronize', change);
const push = (ref, change) => variant('push', (one) => one.ref.startsWith(ref) && one.created, change);

function stranger(payload) {
  payload.full_name = 'stranger/Hello-World';
  payload.owner = { ...payload.owner, login: 'stranger', id: 1 };
  payload.fork = true;
}

const PULL_REQUESTS = {
  'no-labels': pullRequest(({ pull_request: it }) => (it.labels = [])),
  'deleted-fork': pullRequest(({ pull_request: { head } }) => (head.repo = null)),
  fork: pullRequest(({ pull_request: { head } }) => stranger(head.repo)),
};

const PUSHES = {
  // The tag is an object of its own, and `after` is its sha, not that of the commit.
  'annotated-tag': push('refs/tags/', (it) => Object.assign(it, { ref: 'refs/tags/v1.2.0', after: 'a'.repeat(40) })),
  'deleted-branch': push('refs/heads/', (it) => {
    Object.assign(it, { before: it.after, after: ZERO, created: false, deleted: true, commits: [], head_commit: null });
  }),
  update: push('refs/heads/', (it) => Object.assign(it, { before: 'b'.repeat(40), created: false })),
};

// Values are strings here, whatever the type of the input.
const inputs = { suite: 'nightly', strict: 'true', rows: '1000' };
const DISPATCHES = {
  'null-inputs': variant('workflow_dispatch', () => true, (it) => (it.inputs = null)),
  inputs: variant('workflow_dispatch', () => true, (it) => (it.inputs = inputs)),
};

// The list of pull requests is empty for a fork.
const RUNS = {
  fork: variant('workflow_run', ({ action }) => action === 'completed', ({ workflow_run: it }) => {
    Object.assign(it, { event: 'pull_request', pull_requests: [] });
    stranger(it.head_repository);
  }),
};

function schedule() {
  const { repository, organization, sender, workflow } = examples('workflow_dispatch')[0];
  return { schedule: '0 5 * * 1', repository, organization, sender, workflow };
}

const numbered = (name) => Object.fromEntries(examples(name).map((payload, index) => [index + 1, payload]));
const files = {
  ...Object.fromEntries(EVENTS.map((name) => [name, numbered(name)])),
  pull_request: { ...numbered('pull_request'), ...PULL_REQUESTS },
  pull_request_target: { ...numbered('pull_request'), ...PULL_REQUESTS },
  push: { ...numbered('push'), ...PUSHES },
  workflow_dispatch: { ...numbered('workflow_dispatch'), ...DISPATCHES },
  workflow_run: { ...numbered('workflow_run'), ...RUNS },
  schedule: { 1: schedule() },
};

const [folder] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
for (const [name, payloads] of Object.entries(files)) {
  for (const [which, payload] of Object.entries(payloads)) {
    writeFileSync(join(folder, `${name}.${which}.json`), `${JSON.stringify(payload, null, 2)}\n`);
  }
}

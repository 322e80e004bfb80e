// Prism, serving GitHub's description of its REST API on a port of this machine.

import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';

import { FILE, routable } from './description.mjs';
import { installed } from './packages.mjs';

const HOP = ['host', 'connection', 'content-length', 'transfer-encoding', 'accept-encoding'];

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

/** Waits until the server answers: it reads 13 MB first, for some 15 seconds. */
async function answers(base, worker) {
  let ended;
  worker.once('exit', () => (ended = 'it ended')).once('error', (error) => (ended = error));
  while (!ended) {
    if (await fetch(base).catch(() => undefined)) return;
    await sleep(200);
  }
  throw new Error(`Prism does not serve: ${ended}`);
}

/**
 * Starts Prism's own command line in a thread, so that it cannot outlive this process, however that ends.
 * Hands back the address and a way to stop it.
 */
export async function start() {
  const port = await freePort();
  const argv = ['mock', '--errors', '--multiprocess', 'false', '-h', '127.0.0.1', '-p', `${port}`, installed(...FILE)];
  const worker = new Worker(installed('@stoplight', 'prism-cli', 'dist', 'index.js'), { argv, stdout: true });
  worker.stdout.resume();
  const base = `http://127.0.0.1:${port}`;
  await answers(base, worker);
  return { base, stop: () => worker.terminate() };
}

// The description offers `application/json` only, and Prism answers 406 to anything else: what was really accepted is
// looked at in `description.mjs`.
function headersOf({ headers = {}, body }) {
  const kept = Object.entries(headers).filter(([name]) => !HOP.includes(name));
  const type = body ? { 'content-type': 'application/json' } : {};
  return { authorization: 'Bearer none', ...type, ...Object.fromEntries(kept), accept: 'application/json' };
}

/** The violations that Prism names: in a header, or in a problem document of its own. */
async function violations(response) {
  const header = JSON.parse(response.headers.get('sl-violations') ?? '[]');
  const problem = await response.json().catch(() => ({}));
  const named = [...header, ...(problem.validation ?? [])];
  return named.length > 0 ? named : [{ location: [], message: `status ${response.status} ${problem.title ?? ''}` }];
}

/**
 * Sends a recorded request to Prism, and hands back what Prism says against it.
 *
 * Seen by trying: a valid request gets the lowest 2xx answer that is declared. An invalid one gets the declared 422
 * and its violations in the header `sl-violations`, or where none is declared a problem document that lists them; an
 * unknown path or method gets a problem document that lists none. But a valid request may get a 500, with violations
 * located in `response`, where the description's example does not fit its own schema, as that of the pull requests does
 * not. So it is the violations that count, except those of the response.
 */
export async function replay(base, found, request) {
  const { method, path, query, body } = request;
  const url = `${base}${routable(path, found)}${query ? `?${query}` : ''}`;
  const content = found.operation.requestBody && body ? JSON.stringify(body) : undefined;
  const response = await fetch(url, { method, headers: headersOf(request), body: content });
  if (response.ok && !response.headers.has('sl-violations')) return [];
  const ours = (await violations(response)).filter(({ location }) => location[0] !== 'response');
  return ours.map(({ location, message }) => `${location.join('.')}: ${message}`);
}

// Where `install.sh` put the packages, since they are not above these files.

import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';

const FOLDER = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'modelgate', 'github');

if (!existsSync(join(FOLDER, 'installed-lock.json'))) {
  throw new Error(`nothing is installed in ${FOLDER}: run tests/github/install.sh`);
}

/** Loads an installed package. */
export const load = createRequire(join(FOLDER, 'package.json'));

/** The path of an installed file. */
export const installed = (...parts) => join(FOLDER, 'node_modules', ...parts);

/** The text of an installed file. */
export const text = (...parts) => readFileSync(installed(...parts), 'utf8');

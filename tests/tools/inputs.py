"""Compares how workflows use the action with what it declares: no input and no output that it does not have.

Usage: inputs.py WORKFLOW...
"""

import re
import sys
from pathlib import Path

from ruamel.yaml import YAML


def read(path):
    return YAML(typ="safe", pure=True).load(Path(path))


def uses_action(step):
    return re.fullmatch(r"\./|modelgate/modelgate@.+", step.get("uses", "")) is not None


def unknown(job, text, action):
    """What a job names of the action that is not there."""
    for step in filter(uses_action, job.get("steps", [])):
        yield from (f"input {name}" for name in step.get("with", {}) if name not in action["inputs"])
        named = re.findall(rf"\bsteps\.{re.escape(step['id'])}\.outputs\.([\w-]+)", text) if "id" in step else []
        yield from (f"output {name}" for name in named if name not in action["outputs"])


def main(paths):
    action = read("action.yml")
    found = [
        f"{path}: the action has no {what}"
        for path in paths
        for job in read(path)["jobs"].values()
        for what in unknown(job, Path(path).read_text(), action)
    ]
    print(*found, sep="\n")
    sys.exit(bool(found))


main(sys.argv[1:])

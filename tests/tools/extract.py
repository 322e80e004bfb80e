"""Puts what is inside other files into files of their own, for the linters.

Usage: extract.py INTO FILE...

From Markdown, every fenced YAML block that is a workflow becomes INTO/workflows/*.yml. From workflows, those included,
every script becomes INTO/scripts/*.sh.
"""

import re
import sys
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,}) *ya?ml\b[^\n]*\n(?P<block>.*?)^ *(?P=fence) *$", re.M | re.S)


def read(text):
    """The value of a YAML text; nothing where it is none, as in a template."""
    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError:
        return None


def is_workflow(text):
    value = read(text)
    return isinstance(value, dict) and {"on", "jobs"} <= value.keys()


def blocks(markdown):
    """The fenced YAML blocks and the lines that they start on."""
    for match in FENCE.finditer(markdown):
        indent = re.compile("^" + match["indent"], re.M)
        yield markdown.count("\n", 0, match.start("block")) + 1, indent.sub("", match["block"])


def scripts(workflow):
    """The scripts of all steps. Those of other shells are not ours to read."""
    for job in read(workflow)["jobs"].values():
        for step in job.get("steps", []):
            if "run" in step and step.get("shell", "bash") == "bash":
                yield step["run"]


def main(into, files):
    for kind in ("workflows", "scripts"):
        (into / kind).mkdir(parents=True)
    workflows = {}
    for path in files:
        name, text = re.sub(r"[^\w.]+", "-", str(path)).strip("-."), path.read_text()
        if path.suffix in (".yml", ".yaml"):
            workflows[name] = text
            continue
        for line, block in blocks(text):
            if is_workflow(block):
                workflows[f"{name}-{line}.yml"] = block
                (into / "workflows" / f"{name}-{line}.yml").write_text(block)
    for name, text in workflows.items():
        for number, script in enumerate(scripts(text), 1):
            (into / "scripts" / f"{name}-{number}.sh").write_text(f"#!/usr/bin/env bash\nset -eo pipefail\n{script}")


main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])

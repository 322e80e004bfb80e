"""Runs modelgate and what a user would otherwise pick side by side, and writes `results.json` and `README.md`.

The commands of a study take turns, round after round, so that a machine that slows down slows all of them down.
`make bench` calls this; `make bench ONLY="performance rows"` runs a part and keeps the rest, if it is of this machine.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from process import answer, run
from studies import HERE, STUDIES, Bench, Command

# How far two programs may differ in the same number: both add floats up, each in its own order.
AGREEMENT = 1e-9


def main() -> None:
    bench = arguments()
    install = HERE.parent / "tests" / "tools" / "environments.sh"
    subprocess.run([install, HERE / "peers" / "requirements", bench.folder / "environments"], check=True)
    for folder in ("said", "out"):
        (bench.folder / folder).mkdir(exist_ok=True)
    forget_older_data(bench.folder / "data")
    # A trial at another scale says nothing of the promises.
    home = HERE if bench.scale == 1 else bench.folder
    path = home / "results.json"
    results = known(path) | {"machine": machine(), "versions": versions(bench)}
    for name, commands in STUDIES.items():
        if not bench.only or name in bench.only:
            results["studies"][name] = study(bench, name, commands(bench))
            write(path, results)
    if not bench.only or "summaries" in bench.only:
        results["summaries"] = summaries()
        write(path, results)
    render = [bench.python("current"), HERE / "render.py", path, home / "README.md"]
    subprocess.run(render, check=True)
    sys.exit(complaints(results))


def arguments() -> Bench:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", type=Path, required=True, help="modelgate")
    parser.add_argument("--folder", type=Path, required=True, help="where data, environments and records are kept")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="0.1 for a trial with a tenth of the rows")
    parser.add_argument("only", nargs="*", metavar="STUDY", help=f"without any, all: {', '.join(STUDIES)}, summaries")
    asked = parser.parse_args()
    unknown = set(asked.only) - {*STUDIES, "summaries"}
    if unknown:
        parser.error(f"no such study: {', '.join(sorted(unknown))}; there are {', '.join(STUDIES)} and summaries")
    if not asked.binary.exists():
        parser.error("there is no such program: build it, or name another with `make bench BINARY=...`")
    return Bench(asked.binary.resolve(), asked.folder.resolve(), asked.rounds, asked.scale, asked.only)


def known(path: Path) -> dict:
    """What was measured before on this kind of machine."""
    results = json.loads(path.read_text()) if path.exists() else {}
    return results if results.get("machine") == machine() else {"studies": {}, "summaries": {}}


def forget_older_data(folder: Path) -> None:
    """Removes data that another version of `data.py` has written."""
    maker, made_by = HERE / "data.py", folder / "made-by.py"
    if not made_by.exists() or made_by.read_bytes() != maker.read_bytes():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        shutil.copy(maker, made_by)


def study(bench: Bench, name: str, commands: list[Command]) -> dict:
    """All rounds of all commands; a command that fails is not tried again."""
    said = {command.name: bench.folder / "said" / f"{command.slug}.json" for command in commands}
    found = {command.name: {"runs": []} for command in commands}
    for number in range(bench.rounds):
        for command in commands:
            if "failed" in found[command.name]:
                continue
            measured = run(command, said[command.name])
            if "failed" in measured:
                found[command.name] = measured
            else:
                found[command.name]["runs"].append(measured)
            say(f"{name}, round {number + 1}: {command.name}: {described(measured)}")
    result = {"scale": bench.scale, "commands": found}
    judge, *peers = [command for command in commands if "runs" in found[command.name]] or [None]
    if peers and judge is commands[0] and all(peer.is_peer for peer in peers):
        answers = {peer.name: answer(said[peer.name])["numbers"] for peer in peers}
        result["agreement"] = agreement(json.loads(judge.record.read_text()), answers)
    return result


def described(measured: dict) -> str:
    if "failed" in measured:
        return f"failed: {measured['failed']}"
    return f"{measured['wall']:.2f} s, {measured['peak_mib']:.0f} MiB"


def agreement(record: dict, answers: dict[str, dict]) -> dict:
    """How far each peer is from modelgate's record in the numbers that both have: in those that are exact, and in those that
    come with a bound of how far cells may put them off, beside the share of that bound."""
    ours, found = estimates(record), {}
    for peer, theirs in answers.items():
        shared = ours.keys() & theirs.keys()
        found[peer] = {"numbers": len(shared), "of": len(theirs)}
        apart = [(abs(ours[name][0] - theirs[name]), ours[name][1]) for name in shared]
        found[peer]["apart"] = max((distance for distance, bound in apart if bound is None), default=None)
        binned = [(distance, distance / bound) for distance, bound in apart if bound is not None]
        found[peer]["binned_apart"] = max((distance for distance, _ in binned), default=None)
        found[peer]["binned_share"] = max((share for _, share in binned), default=None)
    return found


def estimates(record: dict) -> dict[str, tuple[float, float | None]]:
    """The estimates of a record and the bounds of those in cells, named as the peers name them: `MODEL/METRIC/SLICE`."""
    found = {}
    for claim in record["claims"]:
        sides = ("baseline", "candidate") if claim["candidate"] else ("difference",)
        subject = f"{claim['subject']['metric']}/{claim['subject']['slice']}"
        bound = claim["details"].get("binning_error")
        found |= {f"{side}/{subject}": (claim[side]["value"], bound) for side in sides if claim[side]}
    return found


def summaries() -> dict:
    """What criterion measures, in nanoseconds. Only this crate is optimised as in a release."""
    words = [os.environ.get("CARGO", "cargo"), "bench", "--locked", "--profile", "dev", "--bench", "summaries"]
    subprocess.run(words, cwd=HERE.parent, env=os.environ | {"CARGO_PROFILE_DEV_OPT_LEVEL": "3"}, check=True)
    found = {}
    target = Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent / "target"))
    for path in sorted((target / "criterion").glob("*/*/new/estimates.json")):
        about = json.loads((path.parent / "benchmark.json").read_text())
        summary = found.setdefault(about["group_id"], {"rows": about["throughput"]["Elements"]})
        summary[about["function_id"]] = json.loads(path.read_text())["median"]["point_estimate"]
    return found


def machine() -> dict:
    processor = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    kibibytes = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    name = processor[1] if processor else os.uname().machine
    return {"processor": name, "cores": len(os.sched_getaffinity(0)), "memory_gib": round(int(kibibytes[1]) / 1024**2)}


def versions(bench: Bench) -> dict[str, str]:
    """Of modelgate as it says, of its peers as they are pinned."""
    said = subprocess.run([bench.binary, "--version"], capture_output=True, text=True, check=True).stdout.split()
    pins = "\n".join(path.read_text() for path in sorted((HERE / "peers" / "requirements").glob("*.txt")))
    names = {
        "DataFusion": "datafusion",
        "ONNX Runtime": "onnxruntime",
        "DuckDB": "duckdb",
        "Polars": "polars",
        "scikit-learn": "scikit-learn",
        "Evidently": "evidently",
        "Deepchecks": "deepchecks",
    }
    pinned = {name: re.search(rf"^{pin}==(.*)$", pins, re.MULTILINE)[1] for name, pin in names.items()}
    return {"modelgate": said[-1], **pinned}


def write(path: Path, results: dict) -> None:
    path.write_text(json.dumps(results, indent=1) + "\n")


def complaints(results: dict) -> int:
    """1 if a command failed or a peer disagrees."""
    bad = []
    for name, found in results["studies"].items():
        bad += [f"{name}: {command} failed" for command, runs in found["commands"].items() if "failed" in runs]
        compared = found.get("agreement", {}).items()
        bad += [f"{name}: {peer} disagrees" for peer, them in compared if disagrees(them)]
    for line in bad:
        say(line)
    return int(bool(bad))


def disagrees(peer: dict) -> bool:
    return (peer["apart"] or 0.0) > AGREEMENT or (peer["binned_share"] or 0.0) > 1.0


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()

"""Writes the tables of the results: `render.py RESULTS README`. The prose is in `README.md.jinja`."""

import json
import math
import sys
from pathlib import Path
from statistics import median

import jinja2

from run import AGREEMENT

HERE = Path(__file__).parent
PERFORMANCE = "modelgate performance"
FEATURES = "modelgate drift of features"
SUITES = ("performance", "drift of scores")
CURVES = ("rows", "slices", "claims")


def main() -> None:
    results = json.loads(Path(sys.argv[1]).read_text())
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    environment.filters |= {"number": number, "rows": lambda rows: f"{rows:,}"}
    template = environment.from_string((HERE / "README.md.jinja").read_text())
    studies = results["studies"]
    shown = {
        "results": results,
        "promises": promises(studies),
        "tables": {name: table(study) for name, study in studies.items()},
        "curves": {name: curve(studies[name]) for name in CURVES if name in studies},
        "agreement": agreement(studies),
        "tolerance": AGREEMENT,
    }
    Path(sys.argv[2]).write_text(template.render(shown) + "\n")


def number(value: float | None) -> str:
    """Three digits that count."""
    if value is None:
        return ""
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}" if value else "0"


def runs(study: dict | None, command: str, key: str) -> list[float]:
    """A figure of every run of a command; none where there is none or it failed."""
    found = (study or {}).get("commands", {}).get(command, {})
    return [run[key] for run in found.get("runs", []) if key in run]


def middle(values: list[float]) -> float | None:
    return median(values) if values else None


def ratio(study: dict | None, ours: str, theirs: str, key: str = "wall") -> float | None:
    """Our time over theirs: the median of the rounds' ratios."""
    return middle([our / their for our, their in zip(runs(study, ours, "wall"), runs(study, theirs, key))])


def table(study: dict) -> list[dict]:
    """A line for each command of a study, and how long the first one takes beside it."""
    commands = study["commands"]
    first = next(iter(commands))
    return [
        {
            "name": name,
            "failed": found.get("failed"),
            "wall": middle(runs(study, name, "wall")),
            "inside": middle(runs(study, name, "inside")),
            "cpu": middle(runs(study, name, "cpu")),
            "peak": middle(runs(study, name, "peak_mib")),
            "ratio": ratio(study, first, name),
        }
        for name, found in commands.items()
    ]


def agreement(studies: dict) -> list[tuple[str, dict]]:
    """The peers that have numbers in common with modelgate."""
    compared = [item for study in studies.values() for item in study.get("agreement", {}).items()]
    return [(peer, found) for peer, found in compared if found["numbers"]]


def curve(study: dict) -> list[dict]:
    """A line for each size, and what one more of it costs since the size before, in milliseconds."""
    lines = [line | {"size": int(line["name"].split()[-1])} for line in table(study)]
    for line in lines:
        line["more"] = None
    for before, line in zip(lines, lines[1:]):
        if before["wall"] and line["wall"]:
            line["more"] = 1_000 * (line["wall"] - before["wall"]) / (line["size"] - before["size"])
    return lines


def growth(study: dict | None) -> float | None:
    """The power of the size with which the cost grows between the two largest sizes: 1 is linear, less is better."""
    lines = curve(study)[-2:] if study else []
    if len(lines) < 2 or not all(line["wall"] for line in lines):
        return None
    small, large = lines
    return math.log(large["wall"] / small["wall"]) / math.log(large["size"] / small["size"])


def promises(studies: dict) -> list[dict]:
    """What is promised, what was measured, and whether it is kept: `most` is the most that it may be."""
    ten, memory = studies.get("performance-10"), studies.get("memory")
    peaks = {f"{suite} {n}": middle(runs(memory, f"{suite} {n}", "peak_mib")) for suite in SUITES for n in (10, 40)}

    def grown(suite: str) -> float | None:
        small, large = peaks[f"{suite} 10"], peaks[f"{suite} 40"]
        return large / small if small and large else None

    scan, averages = "DataFusion, scan of the same columns", "DuckDB, six plain averages"
    features, preset = "DataFusion, scan of thirty features", "Evidently, drift preset"
    scored = ratio(studies.get("scoring"), "modelgate scoring", "ONNX Runtime in a loop", "inside")
    lines = [
        ("performance of 10 M rows, times the scan's query", ratio(ten, PERFORMANCE, scan, "inside"), 3),
        ("performance of 10 M rows, times DuckDB's six averages", ratio(ten, PERFORMANCE, averages, "inside"), 1),
        ("drift of 10 M rows, times the scan's query", ratio(studies.get("drift-10"), FEATURES, features, "inside"), 3),
        ("drift of 1 M rows, times Evidently's preset", ratio(studies.get("drift"), FEATURES, preset, "inside"), 0.01),
        ("scoring, times ONNX Runtime in a loop: 1 / 70 %", scored, 1 / 0.7),
        *[(f"peak of {suite}, 10 M rows, MiB", peaks[f"{suite} 10"], 1024) for suite in SUITES],
        *[(f"peak of {suite}, 40 M rows, times that of 10 M", grown(suite), 1.1) for suite in SUITES],
        *[(f"growth by {name}, as a power of them", growth(studies.get(name)), 1.1) for name in CURVES],
    ]
    return [{"what": what, "measured": found, "most": most} for what, found, most in lines]


if __name__ == "__main__":
    main()

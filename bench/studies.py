"""What is compared with what."""

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import specs

HERE = Path(__file__).parent
MILLION = 1_000_000
# What modelgate says when it has judged: pass, fail, inconclusive.
JUDGED = (0, 1, 3)


@dataclass
class Command:
    """What is run, and the exit codes that are no failure. Peers print their numbers, modelgate writes its record."""

    name: str
    words: list[str]
    fine: tuple[int, ...] = (0,)
    record: Path | None = None
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def is_peer(self) -> bool:
        return self.record is None

    @property
    def slug(self) -> str:
        return slug(self.name)


@dataclass
class Bench:
    """Where things are, and what was asked for."""

    binary: Path
    folder: Path
    rounds: int
    scale: float
    only: list[str]

    def rows(self, millions: int) -> int:
        return int(millions * MILLION * self.scale)

    def data(self, millions: int, reference: bool = False) -> Path:
        """A data file, made unless it is there."""
        rows = self.rows(millions)
        path = self.folder / "data" / f"{'reference' if reference else 'rows'}-{rows}.parquet"
        if not path.exists():
            print(f"writes {path.name}", flush=True)
            more = ["--reference"] if reference else []
            subprocess.run([self.python("current"), HERE / "data.py", *more, path, str(rows)], check=True)
        return path

    def python(self, environment: str) -> str:
        return str(self.folder / "environments" / environment / "bin" / "python")

    def peer(self, name: str, environment: str, script: str, *files: Path) -> Command:
        return Command(name, [self.python(environment), str(HERE / "peers" / f"{script}.py"), *map(str, files)])

    def models(self) -> list[Path]:
        """Two ONNX models beside the data, made unless they are there."""
        paths = [self.folder / "data" / f"{model}.onnx" for model in ("baseline", "candidate")]
        if not all(path.exists() for path in paths):
            print("trains two models", flush=True)
            words = [self.python("current"), HERE / "peers" / "onnx_models.py", self.data(1), self.folder / "data"]
            subprocess.run(words, check=True)
        return paths

    def modelgate(self, name: str, millions: int, suite: dict) -> Command:
        """A run of a suite over a data file. The spec stands beside the data."""
        data, out = self.data(millions), self.folder / "out" / slug(name)
        spec = specs.write(data.parent / f"{slug(name)}.yaml", data, suite)
        words = [str(self.binary), "run", str(spec), "--out", str(out)]
        libraries = (self.folder / "environments" / "current").glob("lib/*/site-packages/onnxruntime/capi/lib*.so.*")
        environment = {"ORT_DYLIB_PATH": str(library) for library in libraries}
        return Command(name, words, JUDGED, out / "record.json", environment)


def slug(name: str) -> str:
    return re.sub("[^a-z0-9]+", "-", name.lower())


def performance(bench: Bench, millions: int) -> list[Command]:
    """Five metrics of both models over all rows and 82 slices; at a million rows beside those who are slow with ten."""
    data = bench.data(millions)
    commands = [
        bench.modelgate("modelgate performance", millions, specs.performance(specs.SLICES)),
        bench.peer("DataFusion, scan of the same columns", "current", "datafusion_scan", data),
        bench.peer("DuckDB, six plain averages", "current", "duckdb_averages", data),
        bench.peer("DuckDB, all metrics", "current", "duckdb_metrics", data),
        bench.peer("Polars, all metrics", "current", "polars_metrics", data),
    ]
    if millions > 1:
        return commands
    return [
        *commands,
        bench.peer("scikit-learn, all metrics", "current", "scikit_learn_metrics", data),
        bench.peer("Evidently, classification preset, no slices", "evidently", "evidently_classification", data),
        bench.peer("Deepchecks, performance, no slices", "deepchecks", "deepchecks_performance", data),
    ]


def drift(bench: Bench, millions: int) -> list[Command]:
    """Thirty features against a reference of a million rows."""
    data, reference = bench.data(millions), bench.data(1, reference=True)
    commands = [
        bench.modelgate("modelgate drift of features", millions, specs.features(data, reference)),
        bench.peer("DataFusion, scan of thirty features", "current", "datafusion_drift_scan", data, reference),
    ]
    if millions > 1:
        return commands
    return [
        *commands,
        bench.peer("Evidently, drift preset", "evidently", "evidently_drift", data, reference),
        bench.peer("Deepchecks, feature drift", "deepchecks", "deepchecks_drift", data, reference),
    ]


def scores(bench: Bench, millions: int) -> list[Command]:
    """The scores of two models on the same rows."""
    return [
        bench.modelgate("modelgate drift of scores", millions, specs.scores()),
        bench.peer("scipy, drift of the scores", "current", "scipy_scores", bench.data(millions)),
    ]


def scoring(bench: Bench) -> list[Command]:
    """Two ONNX models on a million rows, and a metric of each."""
    return [
        bench.modelgate("modelgate scoring", 1, specs.scoring()),
        bench.peer("ONNX Runtime in a loop", "current", "onnxruntime_loop", bench.data(1), *bench.models()),
    ]


def memory(bench: Bench) -> list[Command]:
    """The peak of both suites where rows are four times as many."""
    suites = {"performance": specs.performance(specs.SLICES), "drift of scores": specs.scores()}
    return [bench.modelgate(f"{name} {n}", n, suite) for name, suite in suites.items() for n in (10, 40)]


def rows(bench: Bench) -> list[Command]:
    return [bench.modelgate(f"rows {bench.rows(n)}", n, specs.performance(specs.SLICES)) for n in (1, 2, 5, 10)]


def slices(bench: Bench) -> list[Command]:
    """Every number of slices is that of the values of one column."""
    columns = {10: "plan", 100: "product", 300: "store", 1_000: "campaign"}
    return [bench.modelgate(f"slices {count}", 1, specs.performance([by])) for count, by in columns.items()]


def claims(bench: Bench) -> list[Command]:
    return [bench.modelgate(f"claims {count}", 1, specs.claims(count)) for count in (1, 10, 50, 100, 250, 500)]


STUDIES = {
    "performance": lambda bench: performance(bench, 1),
    "performance-10": lambda bench: performance(bench, 10),
    "drift": lambda bench: drift(bench, 1),
    "drift-10": lambda bench: drift(bench, 10),
    "scores": lambda bench: scores(bench, 1),
    "scores-10": lambda bench: scores(bench, 10),
    "scoring": scoring,
    "memory": memory,
    "rows": rows,
    "slices": slices,
    "claims": claims,
}

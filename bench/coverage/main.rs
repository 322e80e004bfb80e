//! Keeps the promises of the statistics by simulation: `make coverage` writes `bench/coverage.json`, `bench/COVERAGE.md` and
//! the power curves.
#![expect(clippy::expect_used, clippy::print_stderr, reason = "it runs at a desk, and says what it does")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{Environment, context};
use modelgate::calibrate::Verdicts;
use modelgate::stats::Metric;
use modelgate::stats::distribution::Reference;
use modelgate::stats::proportion::Proportion;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

mod cases;
mod chart;
mod gates;
mod world;

use cases::{Asked, Case, Coverage};
use gates::{Candidate, GATES, Gate, Margin, Promise};

/// Replicates of an interval: the Monte-Carlo error of a coverage of 95 % is then 0.2 %.
const REPLICATES: u64 = 10_000;
/// Replicates of a band, which is itself a simulation: 0.5 %.
const REPLICATES_OF_BANDS: u64 = 2_000;
/// Replicates of a bootstrap, which is a longer one: 1.1 %, and at ten times the smallest size 2.2 %.
const REPLICATES_OF_BOOTSTRAPS: [u64; 2] = [400, 100];
/// Replicates of a point of a power curve: it is known to five points at worst.
const REPLICATES_OF_POWER: u64 = 100;
/// Rows of a gate, over nineteen slices.
const ROWS_OF_GATES: u64 = 3_800;

/// What a nominal 95 % has to be.
const KEPT: std::ops::RangeInclusive<f64> = 0.935..=0.965;

#[derive(Serialize)]
struct Results {
    intervals: Vec<Interval>,
    gates: Vec<Judged>,
    power: Vec<Power>,
}

#[derive(Serialize)]
struct Interval {
    method: &'static str,
    of: String,
    world: &'static str,
    clustered: bool,
    smallest: u64,
    rows: u64,
    truth: f64,
    share: f64,
    error: f64,
    kept: bool,
    naive_share: Option<f64>,
    #[serde(flatten)]
    coverage: Coverage,
}

#[derive(Serialize, Default)]
struct Together {
    method: String,
    /// How many times the smallest size there are.
    times: u64,
    cases: u64,
    given: u64,
    covered: u64,
    share: f64,
    error: f64,
}

#[derive(Serialize)]
struct Judged {
    gate: &'static str,
    rows: u64,
    promise: Promise,
    verdicts: Verdicts,
    /// The share that the promise is about, with its 95 % interval.
    share: (f64, f64, f64),
    kept: bool,
}

#[derive(Serialize, Deserialize)]
struct Power {
    rows: u64,
    /// What the candidate loses of ROC AUC in truth.
    loss: f64,
    verdicts: Verdicts,
}

fn main() {
    // `cargo bench` puts a flag of its own among the arguments.
    let arguments = std::env::args().skip(1).filter(|argument| argument != "--bench").collect::<Vec<_>>();
    match arguments.as_slice() {
        [] => save(&to_json(&Results { intervals: intervals(), gates: gates(), power: power() })),
        [new] if new == "new" => measure_new(),
        [text, numbers @ ..] => {
            look(text, &numbers.iter().map(|number| number.parse().expect("a number")).collect::<Vec<_>>())
        }
    }
}

/// Prints the coverage of the intervals in whose line a text stands, with so many replicates, at these numbers of rows.
fn look(text: &str, numbers: &[u64]) {
    for case in &cases::cases() {
        let line = format!("{} {} {}", case.method, case.asked, case.world.name);
        if !line.contains(text) {
            continue;
        }
        let (times, rows) = numbers
            .split_first()
            .map_or((replicates(case, case.smallest), [].as_slice()), |(first, rest)| (*first, rest));
        let sizes = [case.smallest, 10 * case.smallest];
        for &rows in if rows.is_empty() { &sizes } else { rows } {
            let started = Instant::now();
            let Interval { share, error, coverage, .. } = interval(case, case.truth(), rows, times);
            let (above, below) =
                (coverage.above as f64 / coverage.given as f64, coverage.below as f64 / coverage.given as f64);
            eprintln!(
                "{line}, {rows} rows: {:.1} +- {:.1} % ({:.1} above, {:.1} below), {} of {times} given, {:?}, {:.1} s",
                100.0 * share,
                100.0 * error,
                100.0 * above,
                100.0 * below,
                coverage.given,
                coverage.methods,
                started.elapsed().as_secs_f64()
            );
        }
    }
}

/// Measures the intervals that the results lack, and drops those that are no longer in the table. What is there is not
/// measured again: numbers depend on nothing but the code, so whoever changes a method measures everything.
fn measure_new() {
    let text = fs::read_to_string(folder().join("coverage.json")).expect("there are results");
    let mut results: Json = serde_json::from_str(&text).expect("results are JSON");
    let known = results["intervals"].take();
    let known = known.as_array().expect("intervals are a list");
    let sized = |case: Case| [(case.clone(), case.smallest), (case.clone(), 10 * case.smallest)];
    let table = cases::cases().into_iter().flat_map(sized).collect::<Vec<_>>();
    let known = |(case, rows): &(Case, u64)| {
        let of = case.asked.to_string();
        let place = [&Json::from(case.method), &of.into(), &case.world.name.into(), &(*rows).into()];
        known.iter().find(|old| [&old["method"], &old["of"], &old["world"], &old["rows"]] == place).cloned()
    };
    let mut found = table.iter().map(known).collect::<Vec<_>>();
    // The quick ones first.
    let mut order = (0..found.len()).collect::<Vec<_>>();
    order.sort_by_key(|number| table[*number].1);
    for number in order {
        if found[number].is_none() {
            let (case, rows) = &table[number];
            let measured = to_json(&interval(case, case.truth(), *rows, replicates(case, *rows)));
            eprintln!("{} of {}, {rows} rows: {}", case.method, case.asked, measured["share"]);
            found[number] = Some(measured);
            // Saved each time, since it takes an hour.
            results["intervals"] = found.iter().flatten().cloned().collect();
            save(&results);
        }
    }
}

fn to_json(results: &impl Serialize) -> Json {
    serde_json::to_value(results).expect("numbers are finite")
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("bench")
}

fn save(results: &Json) {
    let bench = folder();
    write(&bench.join("coverage.json"), &(serde_json::to_string_pretty(results).expect("it is JSON") + "\n"));
    let written = fs::read_to_string(bench.join("coverage/COVERAGE.md.jinja")).expect("the template is there");
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().expect("a usual syntax");
    let mut environment = Environment::new();
    environment.set_syntax(syntax);
    environment.add_filter("percent", |share: f64| format!("{:.1}", 100.0 * share));
    let shown = context! { results => Value::from(Serde(results)), methods => Value::from(Serde(methods(results))) };
    write(&bench.join("COVERAGE.md"), &environment.render_str(&written, shown).expect("the template fits"));
    let power: Vec<Power> = serde_json::from_value(results["power"].clone()).expect("power is there");
    let curve = |of: fn(&Verdicts) -> u64| lines(&power, of);
    let fails = curve(|verdicts| verdicts.fail);
    let held = curve(|verdicts| verdicts.replicates() - verdicts.ships());
    let across = "true loss of ROC AUC; 0.01 is allowed";
    write(&bench.join("power-fails.svg"), &chart::shares("How often the gate fails", across, &fails));
    write(&bench.join("power-held.svg"), &chart::shares("How often the gate does not let through", across, &held));
}

/// All intervals of each method together, at their smallest sizes and at ten times these.
fn methods(results: &Json) -> Vec<Together> {
    let mut found = Vec::<Together>::new();
    for one in results["intervals"].as_array().into_iter().flatten() {
        let number = |name: &str| one[name].as_u64().expect("a number");
        let (method, times) = (one["method"].as_str().expect("a method"), number("rows") / number("smallest"));
        let place = found.iter().position(|known| known.method == method && known.times == times);
        let place = place.unwrap_or_else(|| {
            found.push(Together { method: method.to_owned(), times, ..Together::default() });
            found.len() - 1
        });
        let together = &mut found[place];
        together.cases += 1;
        together.given += number("given");
        together.covered += number("covered");
        together.share = together.covered as f64 / together.given as f64;
        together.error = error(together.share, together.given);
    }
    found
}

fn write(path: &PathBuf, text: &str) {
    fs::write(path, text).expect("the folder can be written");
}

fn intervals() -> Vec<Interval> {
    let mut found = Vec::new();
    for case in &cases::cases() {
        let (started, truth) = (Instant::now(), case.truth());
        for rows in [case.smallest, 10 * case.smallest] {
            found.push(interval(case, truth, rows, replicates(case, rows)));
        }
        eprintln!("{} of {}: {:.1} s", case.method, case.asked, started.elapsed().as_secs_f64());
    }
    found
}

fn interval(case: &Case, truth: f64, rows: u64, replicates: u64) -> Interval {
    let coverage = case.coverage(truth, rows, replicates);
    let share = coverage.share();
    let widest = if may_be_wide(case, truth) { 1.0 } else { *KEPT.end() };
    Interval {
        method: case.method,
        of: case.asked.to_string(),
        world: case.world.name,
        clustered: case.clustered,
        smallest: case.smallest,
        rows,
        truth,
        share,
        error: error(share, coverage.given),
        kept: (*KEPT.start()..=widest).contains(&share),
        naive_share: coverage.naive.map(|naive| naive as f64 / coverage.replicates as f64),
        coverage,
    }
}

/// The standard error of a share of so many.
fn error(share: f64, given: u64) -> f64 {
    (share * (1.0 - share) / given as f64).sqrt()
}

fn replicates(case: &Case, rows: u64) -> u64 {
    match case.method {
        "bootstrap" | "bootstrap-clustered" => REPLICATES_OF_BOOTSTRAPS[usize::from(rows > case.smallest)],
        "simulated-band" | "two-sample-band" => REPLICATES_OF_BANDS,
        _ => REPLICATES,
    }
}

/// Whether the interval is meant to be wider than it has to be: an exact one, and those that allow for a bias.
fn may_be_wide(case: &Case, truth: f64) -> bool {
    match &case.asked {
        Asked::Distance | Asked::Numbers => truth > 0.0,
        Asked::Texts(_) => true,
        Asked::One(metric) | Asked::Difference(metric) => {
            case.method == "clopper-pearson" || matches!(metric, Metric::ExpectedCalibrationError { .. })
        }
    }
}

fn gates() -> Vec<Judged> {
    let judged = |gate: &Gate| {
        let started = Instant::now();
        let verdicts = gate.run(ROWS_OF_GATES);
        eprintln!("{}: {verdicts:?} {:.1} s", gate.name, started.elapsed().as_secs_f64());
        let (count, most) = match gate.promise {
            Promise::SeldomFails => (verdicts.fail, Some(0.05)),
            Promise::SeldomShips => (verdicts.ships(), Some(0.05)),
            Promise::AlwaysPasses => (verdicts.replicates() - verdicts.pass, Some(0.0)),
            Promise::Nothing => (verdicts.ships(), None),
        };
        let share = Proportion { successes: count as f64, trials: verdicts.replicates() as f64 };
        let (low, high) = share.interval(Reference::Normal.critical(0.025));
        let value = share.successes / share.trials;
        let kept = most.is_none_or(|most| low <= most);
        Judged {
            gate: gate.name,
            rows: ROWS_OF_GATES,
            promise: gate.promise,
            verdicts,
            share: (value, low, high),
            kept,
        }
    };
    GATES.iter().map(judged).collect()
}

fn power() -> Vec<Power> {
    let mut found = Vec::new();
    for rows in [1_900, 7_600, 30_400] {
        for lost in [0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4] {
            let candidate = Candidate::Worse(lost);
            let gate = Gate {
                name: "power",
                candidate,
                margin: Margin::Of(0.01),
                slices_may_warn: true,
                promise: Promise::Nothing,
                replicates: REPLICATES_OF_POWER,
            };
            // No loss is 0, and not -0.
            let loss = (candidate.loss(&Metric::RocAuc) * 1e4).round() / 1e4 + 0.0;
            found.push(Power { rows, loss, verdicts: gate.run(rows) });
        }
    }
    found
}

fn lines(power: &[Power], of: fn(&Verdicts) -> u64) -> Vec<chart::Line> {
    let share = |power: &Power| of(&power.verdicts) as f64 / power.verdicts.replicates() as f64;
    power
        .chunk_by(|left, right| left.rows == right.rows)
        .map(|same| chart::Line {
            name: format!("{} rows", same[0].rows),
            points: same.iter().map(|power| (power.loss, share(power))).collect(),
        })
        .collect()
}

//! From measurements to verdicts: what holds of every claim, whatever the numbers are.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, UInt64Array};
use modelgate::evidence::{Evidence, Finding, Limits, Search, Subject};
use modelgate::measure::{Answer, measure};
use modelgate::spec::written::{Policy, Severity};
use modelgate::stats::bound::{Bound, Test};
use modelgate::stats::multiplicity::Dependence;
use modelgate::stats::power::{self, POWER};
use modelgate::stats::random::{normal, uniform};
use modelgate::stats::{Direction, Family, Measurement, Method, Metric, Source, Undefined};
use modelgate::summaries::{Columns, Task, Threshold};
use modelgate::summary::Summary;
use modelgate::verdict::{Claim, Statement, Verdict, judge, of_gate, strictest_levels};
use proptest::prelude::*;

use crate::catalogue::every_metric;

/// Labels, two models' scores, and clusters if there are any.
#[derive(Debug, Clone)]
struct Rows {
    labels: Vec<f64>,
    scores: [Vec<f64>; 2],
    clusters: Option<Vec<u64>>,
}

impl Rows {
    fn columns(&self, metric: &Metric) -> Columns {
        let regression = metric.families().contains(&Family::Regression);
        let binary = Task::Binary { threshold: Threshold::From(vec![0.5; 2]) };
        let task = if regression { Task::Regression } else { binary };
        Columns { task, scores: 2, clustered: self.clusters.is_some(), weighted: false, grouped: false }
    }

    fn summary<S: Summary<Params: From<Columns>>>(&self, metric: &Metric) -> S {
        let params = self.columns(metric);
        let floats = |values: &Vec<f64>| Arc::new(Float64Array::from(values.clone())) as ArrayRef;
        let mut arrays = vec![floats(&self.labels)];
        arrays.extend(self.scores.iter().map(floats));
        arrays.extend(self.clusters.iter().map(|keys| Arc::new(UInt64Array::from(keys.clone())) as ArrayRef));
        let mut summary = S::default();
        summary.update(&params.into(), &arrays).unwrap();
        summary
    }

    fn measure(&self, metric: &Metric, weights: [f64; 2]) -> Result<Measurement, Undefined> {
        match metric.source() {
            Source::Moments => measure(metric, Answer::Moments(&self.summary(metric)), &weights),
            _ => measure(metric, Answer::Ranks(&self.summary(metric), &self.columns(metric)), &weights),
        }
    }

    /// The claim that the contrast of the models (baseline first) keeps all bounds.
    fn claim(&self, metric: &Metric, weights: [f64; 2], bounds: &[Bound], level: f64) -> Evidence {
        let subject = Subject::all("test", &metric.name());
        match self.measure(metric, weights) {
            Ok(measured) => {
                let test = |bound: &Bound| Test { measured: measured.clone().into(), bound: *bound, equal: 0.0 };
                Evidence::tested(subject, Limits::new(), bounds.iter().map(test).collect(), level)
            }
            Err(reason) => {
                let finding = Finding::Undecided { reason: reason.to_string(), needs_rows: None };
                Evidence::new(subject, Limits::new(), finding)
            }
        }
    }
}

/// Any number that a file may hold, and often the same again.
fn number(ordinary: impl Strategy<Value = f64> + 'static) -> BoxedStrategy<f64> {
    let odd = prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.0, 1.0, 1e300, -1e-300]);
    prop_oneof![12 => ordinary, 1 => odd].boxed()
}

/// Hundredths, so that there are ties.
fn hundredth() -> impl Strategy<Value = f64> {
    (0..=100_u8).prop_map(|hundredths| f64::from(hundredths) / 100.0)
}

fn rows(score: BoxedStrategy<f64>) -> impl Strategy<Value = Rows> {
    let row = (prop::bool::ANY, score.clone(), score, 0..6_u64);
    let flags = (prop::bool::ANY, prop::bool::weighted(0.1), prop::bool::weighted(0.1), prop::bool::weighted(0.1));
    (prop::collection::vec(row, 0..40), flags).prop_map(|(rows, (clustered, one_class, constant, same))| {
        let labels = rows.iter().map(|(label, ..)| f64::from(u8::from(*label && !one_class))).collect();
        let old: Vec<f64> = rows.iter().map(|row| if constant { 0.5 } else { row.1 }).collect();
        let new = rows.iter().map(|row| if same { row.1 } else { row.2 }).collect();
        let scores = [old, new];
        Rows { labels, scores, clusters: clustered.then(|| rows.iter().map(|row| row.3).collect()) }
    })
}

fn metric() -> impl Strategy<Value = Metric> {
    let fits = |metric: &Metric| {
        metric.families().iter().any(|family| *family != Family::Multiclass && *family != Family::Ranking)
    };
    prop::sample::select(
        every_metric().into_iter().filter(|metric| fits(metric) && metric.source() != Source::Sums).collect::<Vec<_>>(),
    )
}

fn statement(evidence: Evidence, severity: Severity) -> Statement {
    Statement { check: "performance.regression", line: 1, severity, evidence }
}

fn judged(evidence: Evidence, policy: &Policy) -> Claim {
    judge(vec![statement(evidence, Severity::Block)], policy).remove(0)
}

/// The bound at which a metric is not worse than the baseline's by more than a margin, for the contrast `[-1, 1]`.
fn not_worse(metric: &Metric, margin: f64) -> Bound {
    if metric.direction() == Direction::Higher { Bound::AtLeast(-margin) } else { Bound::AtMost(margin) }
}

/// Whether a metric has its interval by the bootstrap.
fn is_drawn(metric: &Metric) -> bool {
    let rows = Rows {
        labels: (0..60).map(|row| f64::from(row % 2)).collect(),
        scores: [7, 11].map(|step| (0..60).map(|row| f64::from((step * row) % 60) / 60.0).collect()),
        clusters: None,
    };
    let found = rows.measure(metric, [-1.0, 1.0]);
    found.is_ok_and(|found| matches!(found.method, Method::Bootstrap | Method::BootstrapClustered))
}

proptest! {
    #[test]
    fn no_claim_holds_a_number_that_is_none(
        rows in rows(number(hundredth())), metric in metric(), margin in number(0.0..0.5), level in 0.001..0.49,
    ) {
        let policy = Policy::default();
        let bounds = [Bound::AtLeast(-margin), Bound::AtMost(margin)];
        for weights in [[-1.0, 1.0], [0.0, 1.0], [-0.99, 1.0]] {
            if let Ok(measured) = rows.measure(&metric, weights) {
                let (low, high) = measured.interval(level);
                prop_assert!(measured.value.is_finite() && measured.standard_error().is_finite());
                prop_assert!(low <= measured.value && measured.value <= high, "{low} {measured:?} {high}");
            }
            for bounds in [&bounds[..1], &bounds[1..], &bounds] {
                let evidence = rows.claim(&metric, weights, bounds, level);
                let undefined = matches!(evidence.finding, Finding::Undecided { .. });
                let claim = judged(evidence, &policy);
                prop_assert!(!undefined || claim.verdict == Verdict::Inconclusive && claim.p_value.is_none());
                for number in [claim.p_value, claim.adjusted_p_value, claim.level].into_iter().flatten() {
                    prop_assert!((0.0..=1.0).contains(&number), "{claim:?}");
                }
                prop_assert!(claim.verdict != Verdict::Pass || !margin.is_nan(), "{claim:?}");
            }
        }
    }

    #[test]
    fn an_improvement_never_fails(
        rows in rows(hundredth().boxed()), metric in metric(), margin in 0.0..0.3_f64, share in 0.0..0.5_f64,
    ) {
        let policy = Policy { false_block: 0.49, ..Policy::default() };
        let Ok(difference) = rows.measure(&metric, [-1.0, 1.0]) else { return Ok(()) };
        let sign = if metric.direction() == Direction::Higher { 1.0 } else { -1.0 };
        if sign * difference.value >= 0.0 {
            let baseline = rows.measure(&metric, [1.0, 0.0]).map_or(0.0, |measured| measured.value);
            let absolute = rows.claim(&metric, [-1.0, 1.0], &[not_worse(&metric, margin)], 0.05);
            let weight = 1.0 - sign * share.copysign(baseline);
            let relative = rows.claim(&metric, [-weight, 1.0], &[not_worse(&metric, 0.0)], 0.05);
            for evidence in [absolute, relative] {
                prop_assert_ne!(judged(evidence, &policy).verdict, Verdict::Fail);
            }
        }
    }

    #[test]
    fn a_pass_has_its_interval_inside_and_a_fail_its_p_value_below_the_level(
        all in prop::collection::vec((rows(hundredth().boxed()), metric(), -0.2..0.2_f64), 1..8), level in 0.001..0.3,
    ) {
        let policy = Policy { false_ship: level, ..Policy::default() };
        let bound = |metric: &Metric, margin: &f64| not_worse(metric, *margin);
        let stated = all.iter().map(|(rows, metric, margin)| {
            statement(rows.claim(metric, [-1.0, 1.0], &[bound(metric, margin)], level), Severity::Block)
        });
        for (claim, (rows, metric, margin)) in judge(stated.collect(), &policy).into_iter().zip(&all) {
            let measured = rows.measure(metric, [-1.0, 1.0]);
            match claim.verdict {
                Verdict::Pass => {
                    let (low, high) = measured.unwrap().interval(level);
                    let inside = match bound(metric, margin) {
                        Bound::AtLeast(limit) => low >= limit,
                        Bound::AtMost(limit) => high <= limit,
                    };
                    prop_assert!(inside, "{claim:?}");
                }
                Verdict::Fail => {
                    prop_assert!(claim.adjusted_p_value.unwrap() <= policy.false_block + 1e-15, "{claim:?}");
                    prop_assert!(claim.p_value.unwrap() <= claim.level.unwrap(), "{claim:?}");
                }
                Verdict::Inconclusive => prop_assert!(claim.reason.is_some(), "{claim:?}"),
                Verdict::Warn => prop_assert!(false, "{claim:?}"),
            }
        }
    }

    /// Who of the two is called the baseline changes nothing, but for the draws of a bootstrap.
    #[test]
    fn both_ends_are_alike(rows in rows(hundredth().boxed()), metric in metric(), margin in 0.0..0.3_f64) {
        prop_assume!(!is_drawn(&metric));
        let both = [Bound::AtLeast(-margin), Bound::AtMost(margin)];
        let [old, new] = rows.scores.clone();
        let swapped = Rows { scores: [new, old], ..rows.clone() };
        let found = [&rows, &swapped].map(|rows| rows.claim(&metric, [-1.0, 1.0], &both, 0.05).finding);
        let tested = |finding: &Finding| match finding {
            Finding::Tested { inside, p_value, needs_rows } => Some((*inside, *p_value, needs_rows.is_some())),
            _ => None,
        };
        match found.each_ref().map(tested) {
            [Some((inside, p_value, needs)), Some((i, p, n))] => {
                prop_assert!((p_value - p).abs() <= 1e-9 * p || p_value.max(p) < 1e-100, "{p_value} {p}");
                // An end that touches the bound may fall to either side of it in the last bit.
                let touches = rows.measure(&metric, [-1.0, 1.0]).is_ok_and(|measured| {
                    let (low, high) = measured.interval(0.05);
                    (low + margin).abs() < 1e-9 || (high - margin).abs() < 1e-9
                });
                prop_assert!(touches || inside == i);
                prop_assert_eq!(needs, n);
            }
            // The reason may be told of the model that is looked at first.
            _ => prop_assert!(found.iter().all(|found| matches!(found, Finding::Undecided { .. })), "{found:?}"),
        }
    }

    /// Of any evidence: what may fail, what only warns, and what the order of the claims does to it, which is nothing.
    #[test]
    fn alarms_and_findings_of_a_search_only_warn(all in prop::collection::vec(any_statement(), 0..20)) {
        let policy = Policy::default();
        let claims = judge(all.clone(), &policy);
        let mut turned = all.clone();
        turned.reverse();
        let mut back = judge(turned, &policy);
        back.reverse();
        let told = |claims: &[Claim]| claims.iter().map(|claim| (claim.verdict, claim.level)).collect::<Vec<_>>();
        prop_assert_eq!(told(&claims), told(&back));
        for claim in &claims {
            let promised = claim.statement.evidence.standing.name() == "promised";
            let rejected = claim.p_value.zip(claim.level).is_some_and(|(p_value, level)| p_value <= level);
            match claim.verdict {
                Verdict::Fail => prop_assert!(promised),
                Verdict::Warn => prop_assert!(!promised && claim.reason.is_some()),
                Verdict::Pass => prop_assert!(!rejected, "{claim:?}"),
                Verdict::Inconclusive => prop_assert!(!rejected && claim.reason.is_some(), "{claim:?}"),
            }
        }
        let unpromised: Vec<Claim> =
            claims.into_iter().filter(|claim| claim.statement.evidence.standing.name() != "promised").collect();
        prop_assert!(unpromised.is_empty() || of_gate(&unpromised, &policy) <= Verdict::Warn);
    }
}

fn any_statement() -> impl Strategy<Value = Statement> {
    let tested = (any::<bool>(), 0.0..1.0_f64).prop_map(|(inside, small)| {
        // What is inside speaks for the claim.
        let p_value = if inside { 1.0 - small / 20.0 } else { small.powi(4) };
        Finding::Tested { inside, p_value, needs_rows: None }
    });
    let finding = prop_oneof![
        6 => tested,
        1 => any::<bool>().prop_map(|holds| Finding::Fact { holds, reason: (!holds).then(|| "so it is".to_owned()) }),
        1 => Just(Finding::Undecided { reason: "nobody knows".to_owned(), needs_rows: None }),
    ];
    (finding, any::<bool>(), 0..4_usize).prop_map(|(finding, blocks, kind)| {
        let evidence = Evidence::new(Subject::all("test", "roc_auc"), Limits::new(), finding);
        let evidence = match kind {
            0 => evidence.advisory("look"),
            1 => evidence.exploratory(Search { searched: 50, dependence: Dependence::Positive }),
            _ => evidence,
        };
        statement(evidence, if blocks { Severity::Block } else { Severity::Warn })
    })
}

fn with_p_value(p_value: f64) -> Evidence {
    let finding = Finding::Tested { inside: p_value >= 0.95, p_value, needs_rows: None };
    Evidence::new(Subject::all("test", "roc_auc"), Limits::new(), finding)
}

#[test]
fn an_alarm_goes_off_or_passes_and_never_blocks() {
    let policy = Policy::default();
    let alarm = |p_value| judged(with_p_value(p_value).advisory("it smells"), &policy);
    let (loud, silent, unsure) = (alarm(0.001), alarm(0.99), alarm(0.4));
    assert_eq!((loud.verdict, loud.reason.as_deref()), (Verdict::Warn, Some("it smells")));
    assert_eq!((silent.verdict, unsure.verdict), (Verdict::Pass, Verdict::Pass));
    assert_eq!(of_gate(&[loud], &policy), Verdict::Warn);
    assert_eq!(of_gate(&[unsure], &policy), Verdict::Pass);
    assert_eq!(judged(with_p_value(0.4), &policy).verdict, Verdict::Inconclusive);
}

/// The promises share `false_block`, whatever else is claimed; what warns shares another; searches share a third, each
/// of them with all that it looked at.
#[test]
fn every_family_has_a_budget_of_its_own() {
    let search = |searched| Search { searched, dependence: Dependence::Positive };
    let on_line = |line, evidence| Statement { line, ..statement(evidence, Severity::Block) };
    let statements = vec![
        on_line(1, with_p_value(0.5)),
        on_line(2, with_p_value(0.5)),
        on_line(2, with_p_value(0.5).advisory("look")),
        statement(with_p_value(0.5), Severity::Warn),
        on_line(3, with_p_value(0.5).exploratory(search(100))),
        on_line(4, with_p_value(0.5).exploratory(search(10))),
        on_line(4, with_p_value(0.5).exploratory(search(10))),
    ];
    let policy = Policy::default();
    let levels: Vec<f64> = strictest_levels(&statements, &policy).into_iter().flatten().collect();
    let expected = [0.025, 0.025, 0.025, 0.025, 0.025 / 100.0, 0.0025, 0.0025];
    assert!(levels.iter().zip(expected).all(|(level, expected)| (level - expected).abs() < 1e-15), "{levels:?}");
    let judged = judge(statements, &policy).into_iter().map(|claim| claim.level.unwrap());
    assert_eq!(judged.collect::<Vec<_>>(), levels, "nothing was rejected, so the strictest levels judged");
}

#[test]
fn what_a_search_found_says_among_how_many() {
    let search = Search { searched: 40, dependence: Dependence::Any };
    let found = judged(with_p_value(1e-6).exploratory(search), &Policy::default());
    assert_eq!((found.verdict, found.reason.as_deref()), (Verdict::Warn, Some("found among 40 that were searched")));
    assert_eq!(found.statement.evidence.details["searched"], 40);
    assert!(!found.statement.blocks());
    let lost = judged(with_p_value(0.01).exploratory(search), &Policy::default());
    assert_eq!(lost.verdict, Verdict::Pass);
}

/// Rows on which the candidate is right as often as the baseline, less `loss`, and the two differ on a tenth; or, for a
/// metric of probabilities, whose log-loss is so much larger.
fn drawn(metric: &Metric, seed: u64, loss: f64, clustered: bool) -> Rows {
    const ROWS: u64 = 600;
    let shared = if clustered { 0.1 } else { 0.0 };
    let row = |row: u64| match metric {
        Metric::Accuracy => {
            let cell = uniform(seed, 0, row);
            let (old, new) = match cell {
                _ if cell < (0.1 + loss) / 2.0 => (0.9, 0.1),
                _ if cell < 0.1 => (0.1, 0.9),
                _ => (0.9, 0.9),
            };
            (1.0, old, new)
        }
        _ => {
            let noise = |stream| 0.3 * normal(seed, stream, row) + shared * normal(seed, stream + 9, row % 30);
            (1.0, (-1.0 - noise(1)).exp().min(1.0), (-1.0 - noise(2) - loss).exp().min(1.0))
        }
    };
    let rows: Vec<_> = (0..ROWS).map(row).collect();
    Rows {
        labels: rows.iter().map(|row| row.0).collect(),
        scores: [rows.iter().map(|row| row.1).collect(), rows.iter().map(|row| row.2).collect()],
        clusters: clustered.then(|| (0..ROWS).map(|row| row % 30).collect()),
    }
}

/// The power that one sample of equal models foretells, against how often other samples fail and pass. Of 300 with a
/// chance of 80 %, 216 to 262 come out so with a chance above 99.8 %; the foretold noise is itself off by some percent.
#[test]
fn as_many_fail_and_pass_as_the_power_foretells() {
    let level = 0.01;
    for (metric, clustered, margin) in
        [(&Metric::Accuracy, false, 0.03), (&Metric::LogLoss, false, 0.05), (&Metric::LogLoss, true, 0.06)]
    {
        let bound = [not_worse(metric, margin)];
        let foretold = |seed| {
            let tests = drawn(metric, seed, 0.0, clustered).claim(metric, [-1.0, 1.0], &bound, 0.05).tests;
            power::of_claim(&tests, level, 0.05).unwrap()
        };
        let mean = |of: &dyn Fn(power::Power) -> f64| (0..20).map(|seed| of(foretold(seed))).sum::<f64>() / 20.0;
        let (found, passes) = (mean(&|power| power.found.unwrap().abs()), mean(&|power| power.passes));
        let count = |loss: f64, holds: &dyn Fn(bool, f64) -> bool| {
            let hits = (1000..1300_u64).filter(|&seed| {
                let evidence = drawn(metric, seed, loss, clustered).claim(metric, [-1.0, 1.0], &bound, 0.05);
                matches!(evidence.finding, Finding::Tested { inside, p_value, .. } if holds(inside, p_value))
            });
            hits.count() as f64 / 300.0
        };
        let failed = count(found, &|_, p_value| p_value <= level);
        assert!((failed - POWER).abs() < 0.08, "{metric:?} {clustered}: {failed} fail at {found}");
        let passed = count(0.0, &|inside, _| inside);
        assert!((passed - passes).abs() < 0.09, "{metric:?} {clustered}: {passed} pass, {passes} were foretold");
        assert!((0.3..0.97).contains(&passes), "{metric:?} {clustered}: {passes} tells little");
    }
}

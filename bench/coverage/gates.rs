//! Whole gates of sixty claims, judged by the code that judges in earnest: three metrics, correlated as they are on the
//! same rows, over all rows and nineteen slices.

use modelgate::calibrate::Verdicts;
use modelgate::evidence::{Evidence, Finding, Subject, allowed};
use modelgate::measure::{Answer, measure};
use modelgate::spec::limit::Amount;
use modelgate::spec::written::{Consequence, OnInconclusive, Policy, Severity};
use modelgate::stats::bound::{Bound, Test};
use modelgate::stats::random::seed;
use modelgate::stats::{Direction, Measurement, Metric, Source, Undefined};
use modelgate::summaries::{Columns, Moments, Ranks};
use modelgate::verdict::{self, Statement};
use serde::Serialize;

use super::cases::in_parallel;
use super::world::{Link, Rows, World};

const METRICS: [Metric; 3] = [Metric::RocAuc, Metric::LogLoss, Metric::Accuracy];
const SLICES: usize = 19;

/// Two models that are equally good and disagree: baseline and candidate.
const EQUAL: World = World {
    name: "equally good",
    link: Link::Logistic { prevalence: 0.3 },
    skill: [1.2, 1.2],
    shared: 0.8,
    own: 0.6,
    cluster: 0.0,
    cluster_rows: 1,
    confidence: [1.0; 2],
    weighted: false,
    top_share: None,
};

/// A gate that is simulated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gate {
    /// What it is called.
    pub(crate) name: &'static str,
    /// The candidate.
    pub(crate) candidate: Candidate,
    /// What is allowed.
    pub(crate) margin: Margin,
    /// Whether an undecided slice lets the gate through, with a warning.
    pub(crate) slices_may_warn: bool,
    /// What is promised of it.
    pub(crate) promise: Promise,
    /// How often it is judged: as often as its promise asks for.
    pub(crate) replicates: u64,
}

/// A candidate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Candidate {
    /// It disagrees with the baseline and is as good, except by so much skill in all slices.
    Worse(f64),
    /// It disagrees with the baseline and is as good, except by so much skill in the first slice.
    WorseInOneSlice(f64),
    /// Its scores are the baseline's, to the bit.
    Same,
}

/// What every claim allows.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Margin {
    /// The same of all.
    Of(f64),
    /// What the candidate loses in truth where it is worse, and so much where it is not: the claims are false by a hair.
    Truth(f64),
}

/// What is promised.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Promise {
    /// It fails in at most `false_block`.
    SeldomFails,
    /// It lets the candidate through in at most `false_ship`.
    SeldomShips,
    /// It passes always.
    AlwaysPasses,
    /// Nothing: shown for comparison.
    Nothing,
}

/// The gates, one line each.
pub(crate) const GATES: &[Gate] = &[
    Gate {
        name: "as good, and nothing may be lost",
        candidate: Candidate::Worse(0.0),
        margin: Margin::Of(0.0),
        slices_may_warn: true,
        promise: Promise::SeldomFails,
        replicates: 4_000,
    },
    Gate {
        name: "as good, and 0.02 may be lost",
        candidate: Candidate::Worse(0.0),
        margin: Margin::Of(0.02),
        slices_may_warn: true,
        promise: Promise::SeldomFails,
        replicates: 4_000,
    },
    Gate {
        name: "every claim false by a hair",
        candidate: Candidate::Worse(0.15),
        margin: Margin::Truth(0.0),
        slices_may_warn: true,
        promise: Promise::SeldomShips,
        replicates: 4_000,
    },
    Gate {
        name: "one slice false by a hair, 0.2 allowed elsewhere, slices block",
        candidate: Candidate::WorseInOneSlice(0.3),
        margin: Margin::Truth(0.2),
        slices_may_warn: false,
        promise: Promise::SeldomShips,
        replicates: 1_000,
    },
    Gate {
        name: "one slice false by a hair, 0.2 allowed elsewhere, slices may warn",
        candidate: Candidate::WorseInOneSlice(0.3),
        margin: Margin::Truth(0.2),
        slices_may_warn: true,
        promise: Promise::Nothing,
        replicates: 1_000,
    },
    Gate {
        name: "a refactor that changes no score, and nothing may be lost",
        candidate: Candidate::Same,
        margin: Margin::Of(0.0),
        slices_may_warn: false,
        promise: Promise::AlwaysPasses,
        replicates: 1_000,
    },
    Gate {
        name: "a refactor that changes no score, and 0.01 may be lost",
        candidate: Candidate::Same,
        margin: Margin::Of(0.01),
        slices_may_warn: false,
        promise: Promise::AlwaysPasses,
        replicates: 1_000,
    },
];

impl Gate {
    /// Judges its replicates, of so many rows each.
    pub(crate) fn run(&self, rows: u64) -> Verdicts {
        let policy = self.policy();
        let losses = METRICS.map(|metric| self.candidate.loss(&metric));
        let first = seed(&[self.name, &format!("{:?}", self.candidate), &rows.to_string()]);
        let mut verdicts = Verdicts::default();
        let one = |replicate| {
            let slices = self.candidate.draw(first.wrapping_add(replicate), rows);
            let claims = verdict::judge(self.statements(&slices, losses, &policy), &policy);
            assert_eq!(claims.len(), METRICS.len() * (1 + SLICES));
            verdict::of_gate(&claims, &policy)
        };
        in_parallel(self.replicates, one).into_iter().for_each(|verdict| verdicts.take(verdict));
        verdicts
    }

    fn policy(&self) -> Policy {
        let slice = if self.slices_may_warn { Consequence::Warn } else { Consequence::Fail };
        Policy { on_inconclusive: OnInconclusive { overall: Consequence::Fail, slice }, ..Policy::default() }
    }

    fn statements(&self, slices: &[Rows], losses: [f64; 3], policy: &Policy) -> Vec<Statement> {
        let mut statements = Vec::new();
        let all = slices.concat_rows();
        for (number, rows) in std::iter::once(&all).chain(slices).enumerate() {
            let name = if number == 0 { "all".to_owned() } else { format!("slice {number}") };
            let summaries = summaries(rows);
            for (metric, loss) in METRICS.iter().zip(losses) {
                let margin = self.margin.at(number, self.candidate, loss);
                let subject = Subject::slice("test", &metric.name(), &name);
                let evidence = claim(metric, &summaries, subject, margin, policy.false_ship);
                statements.push(Statement {
                    check: "performance.regression",
                    line: 1,
                    severity: Severity::Block,
                    evidence,
                });
            }
        }
        statements
    }
}

impl Margin {
    fn at(self, group: usize, candidate: Candidate, loss: f64) -> f64 {
        let hair = loss * (1.0 - 1e-9);
        match (self, candidate) {
            (Self::Of(margin), _) => margin,
            (Self::Truth(_), Candidate::Worse(_)) => hair,
            (Self::Truth(_), Candidate::WorseInOneSlice(_)) if group == 1 => hair,
            (Self::Truth(otherwise), _) => otherwise,
        }
    }
}

impl Candidate {
    /// The world of the rows in which it is worse.
    fn world(self) -> World {
        let lost = match self {
            Self::Worse(lost) | Self::WorseInOneSlice(lost) => lost,
            Self::Same => 0.0,
        };
        World { skill: [EQUAL.skill[0], EQUAL.skill[0] - lost], ..EQUAL }
    }

    /// What it loses in truth where it is worse.
    pub(crate) fn loss(self, metric: &Metric) -> f64 {
        let population = self.world().population();
        let difference = difference(metric, &summaries(&population)).expect("the world has this metric").value;
        if metric.direction() == Direction::Higher { -difference } else { difference }
    }

    /// Rows of all slices, equally many of each.
    fn draw(self, seed: u64, rows: u64) -> Vec<Rows> {
        let slice = |number: usize| {
            let everywhere = !matches!(self, Self::WorseInOneSlice(_));
            let world = if everywhere || number == 0 { self.world() } else { EQUAL };
            let mut rows = world.draw(seed ^ (number as u64 + 1) << 48, rows / SLICES as u64);
            if self == Self::Same {
                rows.scores[1] = rows.scores[0].clone();
            }
            rows
        };
        (0..SLICES).map(slice).collect()
    }
}

type Summaries = (Moments, Ranks, Columns);

fn summaries(rows: &Rows) -> Summaries {
    let columns = EQUAL.columns(false);
    (rows.summary(&columns), rows.summary(&columns), columns)
}

fn difference(metric: &Metric, (moments, ranks, columns): &Summaries) -> Result<Measurement, Undefined> {
    match metric.source() {
        Source::Moments => measure(metric, Answer::Moments(moments), &[-1.0, 1.0]),
        _ => measure(metric, Answer::Ranks(ranks, columns), &[-1.0, 1.0]),
    }
}

/// The claim as `performance.regression` makes it.
fn claim(metric: &Metric, summaries: &Summaries, subject: Subject, margin: f64, level: f64) -> Evidence {
    let limits = allowed("margin", Amount::Absolute(margin));
    let bound = match metric.direction() {
        Direction::Higher => Bound::AtLeast(-margin),
        Direction::Lower | Direction::Neither => Bound::AtMost(margin),
    };
    match difference(metric, summaries) {
        Ok(measured) => {
            Evidence::tested(subject, limits, vec![Test { measured: measured.into(), bound, equal: 0.0 }], level)
        }
        Err(reason) => {
            Evidence::new(subject, limits, Finding::Undecided { reason: reason.to_string(), needs_rows: None })
        }
    }
}

trait Concat {
    fn concat_rows(&self) -> Rows;
}

impl Concat for [Rows] {
    fn concat_rows(&self) -> Rows {
        let column = |of: fn(&Rows) -> &[f64]| self.iter().flat_map(|rows| of(rows).to_vec()).collect::<Vec<f64>>();
        Rows {
            labels: column(|rows| &rows.labels),
            scores: vec![column(|rows| &rows.scores[0]), column(|rows| &rows.scores[1])],
            ..Rows::default()
        }
    }
}

//! Logistic recalibration: how the labels depend on the logit of the score (Cox, Biometrika 45 (1958) 562-565).
//!
//! A fit is a root of score equations, so its influence is the inverse information times a row's part of them, and the
//! variance that follows is the sandwich (Huber 1967; White, Econometrica 50 (1982) 1-25), which needs no logistic curve to
//! be true. Scores are clipped as for log-loss, since 0 and 1 have no finite logit.

use crate::stats::influence::Influence;
use crate::stats::sample::Sample;
use crate::stats::undefined::Undefined;

/// The most steps of Newton's method. Some ten are taken, in the flat tails of the curve one for each unit of the logit.
const STEPS: usize = 200;

/// The most halvings of a step that makes the fit worse.
const HALVINGS: usize = 50;

/// After a step of this size Newton's next one, of about its square, is rounding.
const SETTLED: f64 = 1e-10;

/// The slope of the logistic regression of the label on the logit of the score.
///
/// # Errors
/// Without rows or weight, with labels of one class, with constant scores, or when a score parts the classes.
pub fn slope(sample: &Sample, model: usize) -> Result<Influence, Undefined> {
    let rows = Rows::new(sample, model)?;
    rows.overlap()?;
    // Centred and scaled, the information is far from singular.
    let center = rows.mean(|row| row.logit);
    let scale = rows.mean(|row| (row.logit - center).powi(2)).sqrt();
    let rows = Rows { rows: rows.rows.iter().map(|row| Row { logit: (row.logit - center) / scale, ..*row }).collect() };
    let (intercept, slope) = rows.line()?;
    let Slopes { constant, mixed, square, .. } = rows.slopes(intercept, slope);
    let determinant = constant * square - mixed * mixed;
    let influence = |row: &Row| (constant * row.logit - mixed) / determinant * row.residual(intercept, slope) / scale;
    finite(slope / scale, rows.rows.iter().map(influence).collect())
}

/// The intercept of the logistic regression of the label with the logit of the score as offset.
///
/// # Errors
/// Without rows or weight, or with labels of one class.
pub fn intercept(sample: &Sample, model: usize) -> Result<Influence, Undefined> {
    let rows = Rows::new(sample, model)?;
    let intercept = rows.level();
    let constant = rows.slopes(intercept, 1.0).constant;
    finite(intercept, rows.rows.iter().map(|row| row.residual(intercept, 1.0) / constant).collect())
}

fn finite(value: f64, of_entry: Vec<f64>) -> Result<Influence, Undefined> {
    let all = value.is_finite() && of_entry.iter().all(|influence| influence.is_finite());
    if all { Ok(Influence { value, of_entry }) } else { Err(Undefined::Separated) }
}

struct Rows {
    rows: Vec<Row>,
}

#[derive(Clone, Copy)]
struct Row {
    logit: f64,
    positive: bool,
    mass: f64,
}

/// The mean log-likelihood's first and second derivatives by intercept and slope, the second with their sign turned.
struct Slopes {
    intercept: f64,
    slope: f64,
    constant: f64,
    mixed: f64,
    square: f64,
}

impl Row {
    /// The label minus its chance on the curve.
    fn residual(&self, intercept: f64, slope: f64) -> f64 {
        let exponent = intercept + slope * self.logit;
        if self.positive { 1.0 / (1.0 + exponent.exp()) } else { -1.0 / (1.0 + (-exponent).exp()) }
    }

    fn log_likelihood(&self, intercept: f64, slope: f64) -> f64 {
        let exponent = intercept + slope * self.logit;
        let wrong = if self.positive { -exponent } else { exponent };
        -wrong.max(0.0) - (-wrong.abs()).exp().ln_1p()
    }
}

impl Rows {
    fn new(sample: &Sample, model: usize) -> Result<Self, Undefined> {
        let (scores, positive) = (sample.model(model)?, sample.positive());
        let row = |((&score, positive), mass): ((&f64, bool), f64)| {
            let clipped = score.clamp(f64::EPSILON, 1.0 - f64::EPSILON);
            Row { logit: clipped.ln() - (-clipped).ln_1p(), positive, mass }
        };
        let rows = Self { rows: scores.iter().zip(positive).zip(sample.masses()).map(row).collect() };
        let [negatives, positives] = [false, true].map(|class| rows.weighing(class).next().is_some());
        match (negatives, positives) {
            (false, false) => Err(Undefined::NoWeight),
            (false, true) => Err(Undefined::NoNegatives),
            (true, false) => Err(Undefined::NoPositives),
            (true, true) => Ok(rows),
        }
    }

    /// The logits of the rows of a class that weigh anything.
    fn weighing(&self, positive: bool) -> impl Iterator<Item = f64> {
        self.rows.iter().filter(move |row| row.positive == positive && row.mass > 0.0).map(|row| row.logit)
    }

    fn mean(&self, of: impl Fn(&Row) -> f64) -> f64 {
        let mass = self.rows.iter().map(|row| row.mass).sum::<f64>();
        self.rows.iter().map(|row| row.mass * of(row)).sum::<f64>() / mass
    }

    /// The smallest and the largest logit of a class.
    fn ends(&self, positive: bool) -> (f64, f64) {
        self.weighing(positive).fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)))
    }

    /// A best slope exists just when the classes overlap by more than one score (Albert and Anderson, Biometrika 71 (1984)
    /// 1-10).
    fn overlap(&self) -> Result<(), Undefined> {
        let (negatives, positives) = (self.ends(false), self.ends(true));
        let is_constant = negatives.0.min(positives.0) == negatives.1.max(positives.1);
        match negatives.1 <= positives.0 || positives.1 <= negatives.0 {
            _ if is_constant => Err(Undefined::ConstantScores),
            true => Err(Undefined::Separated),
            false => Ok(()),
        }
    }

    fn slopes(&self, intercept: f64, slope: f64) -> Slopes {
        let mean = |of: &dyn Fn(&Row, f64) -> f64| self.mean(|row| of(row, row.residual(intercept, slope)));
        // The variance of a label is the product of its two distances from the curve.
        let variance = |residual: f64| residual.abs() * (1.0 - residual.abs());
        Slopes {
            intercept: mean(&|_, residual| residual),
            slope: mean(&|row, residual| residual * row.logit),
            constant: mean(&|_, residual| variance(residual)),
            mixed: mean(&|row, residual| variance(residual) * row.logit),
            square: mean(&|row, residual| variance(residual) * row.logit * row.logit),
        }
    }

    /// The likeliest line, by Newton's method; the log-likelihood is concave, so a step that is short enough makes it
    /// larger.
    fn line(&self) -> Result<(f64, f64), Undefined> {
        let prevalence = self.mean(|row| f64::from(u8::from(row.positive)));
        let (mut intercept, mut slope) = ((prevalence / (1.0 - prevalence)).ln(), 0.0);
        for _ in 0..STEPS {
            let at = self.slopes(intercept, slope);
            let determinant = at.constant * at.square - at.mixed * at.mixed;
            let step = [
                (at.square * at.intercept - at.mixed * at.slope) / determinant,
                (at.constant * at.slope - at.mixed * at.intercept) / determinant,
            ];
            let step = self.shortened(intercept, slope, step).ok_or(Undefined::Separated)?;
            (intercept, slope) = (intercept + step[0], slope + step[1]);
            if step.iter().all(|step| step.abs() <= SETTLED * (1.0 + intercept.abs() + slope.abs())) {
                return Ok((intercept, slope));
            }
        }
        Err(Undefined::Separated)
    }

    /// The step, halved until the fit is no worse, apart from rounding.
    fn shortened(&self, intercept: f64, slope: f64, step: [f64; 2]) -> Option<[f64; 2]> {
        let likelihood = |[a, b]: [f64; 2]| self.mean(|row| row.log_likelihood(intercept + a, slope + b));
        let before = likelihood([0.0, 0.0]);
        let mut halved = std::iter::successors(Some(step), |step| Some(step.map(|step| step / 2.0))).take(HALVINGS);
        halved.find(|step| likelihood(*step) >= before - SETTLED * SETTLED.sqrt() * before.abs())
    }

    /// The likeliest level at a slope of 1, by Newton's method between bounds: with the largest logit instead of each, the
    /// curve is everywhere too high, with the smallest too low.
    fn level(&self) -> f64 {
        let prevalence = self.mean(|row| f64::from(u8::from(row.positive)));
        let middle = (prevalence / (1.0 - prevalence)).ln();
        let (negatives, positives) = (self.ends(false), self.ends(true));
        let (mut low, mut high) = (middle - negatives.1.max(positives.1), middle - negatives.0.min(positives.0));
        let mut level = f64::midpoint(low, high);
        for _ in 0..STEPS {
            let at = self.slopes(level, 1.0);
            if at.intercept > 0.0 {
                low = level
            } else {
                high = level
            }
            let next = level + at.intercept / at.constant;
            let next = if low <= next && next <= high { next } else { f64::midpoint(low, high) };
            let settled = (next - level).abs() <= SETTLED * (1.0 + level.abs());
            level = next;
            if settled {
                break;
            }
        }
        level
    }
}

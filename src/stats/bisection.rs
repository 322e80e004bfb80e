//! Solving for a point by halving, to the last bit.

/// The point between `low` and `high` up to which `holds` holds. It must not hold again beyond it.
pub fn bisect(mut low: f64, mut high: f64, holds: impl Fn(f64) -> bool) -> f64 {
    loop {
        let middle = f64::midpoint(low, high);
        if middle <= low || middle >= high {
            return middle;
        }
        if holds(middle) { low = middle } else { high = middle }
    }
}

//! The simulations of `bench/coverage` in small: a guard against intervals and gates that no longer keep their promise.

#[path = "../../bench/coverage/cases.rs"]
mod cases;
#[path = "../../bench/coverage/gates.rs"]
mod gates;
#[path = "../../bench/coverage/world.rs"]
mod world;

use cases::{Case, cases};
use gates::{GATES, Gate, Promise};

/// So few that 45 hits of 60 have a chance below one in a million where 93.5 % are promised.
const REPLICATES: u64 = 60;

#[test]
fn intervals_cover_the_truth_at_their_smallest_size() {
    let (mut given, mut covered) = (0, 0);
    // Not what takes minutes: intervals that are simulated themselves, and truths that are. Nor what is too wide by design.
    let is_simulated = |method: &str| method.starts_with("bootstrap") || method.ends_with("-band");
    let is_quick = |case: &&Case| !is_simulated(case.method) && case.method != "total-variation";
    for case in cases().iter().filter(is_quick).filter(|case| !case.world.is_drawn()) {
        let found = case.coverage(case.truth(), case.smallest, REPLICATES);
        assert!(found.share() > 0.75 && found.methods.contains_key(case.method), "{case:?}: {found:?}");
        (given, covered) = (given + found.given, covered + found.covered);
    }
    // Over all of them together, intervals that are too wide would be seen as well.
    let share = covered as f64 / given as f64;
    assert!((0.92..=0.975).contains(&share), "{share}");
}

#[test]
fn gates_of_sixty_claims_keep_their_promise() {
    for gate in GATES {
        let verdicts = Gate { replicates: 10, ..*gate }.run(3_800);
        let most = match gate.promise {
            Promise::SeldomFails => verdicts.fail <= 4,
            Promise::SeldomShips => verdicts.ships() <= 4,
            Promise::AlwaysPasses => verdicts.pass == verdicts.replicates(),
            Promise::Nothing => true,
        };
        assert!(most, "{}: {verdicts:?}", gate.name);
    }
}

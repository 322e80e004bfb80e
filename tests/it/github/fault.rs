//! What can go wrong at GitHub, on demand: for one operation or for all, once or again and again.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::answer::Answer;
use super::double::Operation;

/// Something that goes wrong.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    on: Option<Operation>,
    times: usize,
    kind: Kind,
}

/// How it goes wrong.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    /// Nothing is done, and this is the answer.
    Refused(Answer),
    /// It is done, and the answer is 502.
    Lost,
    /// It is done, and the answer comes late.
    Late(Duration),
    /// It is done, and half of the answer comes.
    Malformed,
}

/// A header that says how long to wait.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wait {
    /// `retry-after`, in seconds.
    RetryAfter(u64),
    /// The primary limit's reset, so many seconds from now.
    Reset(u64),
    /// None.
    Unsaid,
}

impl Fault {
    /// Once, at an operation.
    pub(super) fn new(on: Operation, kind: Kind) -> Self {
        Self { on: Some(on), times: 1, kind }
    }

    /// At whatever is asked, again and again.
    pub(super) fn everywhere(kind: Kind) -> Self {
        Self { on: None, times: usize::MAX, kind }
    }

    /// So many times.
    pub(super) fn times(self, times: usize) -> Self {
        Self { times, ..self }
    }

    /// Again and again.
    pub(super) fn always(self) -> Self {
        self.times(usize::MAX)
    }

    /// The kind, if this is the operation, and there is still something left of it.
    pub(super) fn strike(&mut self, operation: Operation) -> Option<Kind> {
        let strikes = self.times > 0 && self.on.is_none_or(|on| on == operation);
        self.times -= usize::from(strikes);
        strikes.then(|| self.kind.clone())
    }
}

impl Kind {
    /// Refused with a status.
    pub(super) fn status(status: u16, message: &str) -> Self {
        Self::Refused(Answer::error(status, message))
    }

    /// Too many requests, in the form that a status has.
    pub(super) fn limited(status: u16, wait: Wait) -> Self {
        let message = match wait {
            Wait::Reset(_) => "API rate limit exceeded for installation ID 1.",
            _ => "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
        };
        let answer = Answer::error(status, message);
        Self::Refused(match wait {
            Wait::RetryAfter(seconds) => answer.with_header("retry-after", seconds),
            Wait::Reset(seconds) => {
                answer.with_header("x-ratelimit-remaining", 0).with_header("x-ratelimit-reset", now() + seconds)
            }
            Wait::Unsaid => answer,
        })
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

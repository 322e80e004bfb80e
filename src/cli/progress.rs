//! The progress of a run that takes a while: a line on standard error, on a terminal only.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{HumanBytes, ProgressBar, ProgressStyle};

use crate::engine::Progress;

/// How often the line is drawn.
const TICK: Duration = Duration::from_millis(200);

/// A line that shows how far a run is. Indicatif draws nothing where standard error is no terminal.
pub(super) struct Bar {
    stop: Sender<()>,
    drawing: JoinHandle<()>,
}

impl Bar {
    /// Starts to draw.
    pub(super) fn start(message: impl Fn() -> String + Send + 'static) -> Self {
        let (stop, stopped) = mpsc::channel();
        let drawing = std::thread::spawn(move || {
            let style = ProgressStyle::with_template("{spinner} {msg}  {elapsed}");
            let bar = ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                bar.set_message(message());
                bar.tick();
            }
            bar.finish_and_clear();
        });
        Self { stop, drawing }
    }

    /// Clears the line.
    pub(super) fn finish(self) {
        drop(self.stop);
        // A line that could not be drawn is no reason to fail.
        let _ = self.drawing.join();
    }
}

/// How much was fetched and how fast, then how many rows were scored.
pub(super) fn scored(progress: &Progress) -> String {
    let transfers = &progress.transfers;
    match progress.scored() {
        0 if progress.expected() == 0 && transfers.fetched() > 0 => {
            let [fetched, expected, rate] =
                [transfers.fetched(), transfers.expected(), transfers.rate() as u64].map(HumanBytes);
            format!("fetched {fetched} of {expected}, {rate}/s")
        }
        0 => "reading".to_owned(),
        scored => format!("scored {} of {} rows", thousands(scored), thousands(progress.expected())),
    }
}

/// How many candidates were judged.
pub(super) fn judged(judged: u64, expected: u64) -> String {
    format!("judged {} of {} candidates", thousands(judged), thousands(expected))
}

fn thousands(number: u64) -> String {
    indicatif::HumanCount(number).to_string()
}

//! The progress of a run that takes a while: a line on standard error, on a terminal only.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::engine::Progress;

/// How often the line is drawn.
const TICK: Duration = Duration::from_millis(200);

/// A line that shows how many rows were scored. Indicatif draws nothing where standard error is no terminal.
pub(super) struct Bar {
    stop: Sender<()>,
    drawing: JoinHandle<()>,
}

impl Bar {
    /// Starts to draw.
    pub(super) fn start(progress: &Arc<Progress>) -> Self {
        let (stop, stopped) = mpsc::channel();
        let progress = Arc::clone(progress);
        let drawing = std::thread::spawn(move || {
            let style = ProgressStyle::with_template("{spinner} {msg}  {elapsed}");
            let bar = ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                draw(&bar, &progress);
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

fn draw(bar: &ProgressBar, progress: &Progress) {
    let (scored, expected) = (progress.scored(), progress.expected());
    bar.set_message(match scored {
        0 => "reading".to_owned(),
        _ => format!("scored {} of {} rows", thousands(scored), thousands(expected)),
    });
    bar.tick();
}

fn thousands(number: u64) -> String {
    indicatif::HumanCount(number).to_string()
}

//! How much has been copied, on a terminal.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::output;
use crate::output::units::human_size;

const PERIOD: Duration = Duration::from_millis(75);

// ECMA-48, and the two that keep and find a position.
const SAVE: &str = "\x1b7";
const RESTORE: &str = "\x1b8";
const ERASE_LINE: &str = "\x1b[2K";
const ERASE_REST: &str = "\x1b[0K";
const HIDE_CURSOR: &str = "\x1b[?25l";
const SHOW_CURSOR: &str = "\x1b[?25h";

/// One line, as long as this lives.
pub(super) struct Progress(Option<JoinHandle<()>>);

impl Progress {
    /// Shown if it is wanted and stderr is a terminal. `total` is asked again and again.
    pub(super) fn begin(wanted: bool, header: &'static str, total: &Arc<AtomicU64>) -> Self {
        if !wanted || !rustix::termios::isatty(rustix::stdio::stderr()) {
            return Self(None);
        }
        let total = total.clone();
        output::err(&format!("{SAVE}{HIDE_CURSOR}{RESTORE}{ERASE_LINE}{header}{}", human_size(0.0, 3)));
        Self(Some(tokio::spawn(async move {
            let column = header.len() + 1;
            let mut last = 0;
            loop {
                tokio::time::sleep(PERIOD).await;
                let now = total.load(Ordering::Relaxed);
                if now != last {
                    output::err(&format!("\x1b[{column}G{ERASE_REST}{}", human_size(now as f64, 3)));
                    last = now;
                }
            }
        })))
    }

    /// The line goes.
    pub(super) async fn end(self) {
        let Some(shown) = self.0 else { return };
        shown.abort();
        // Aborted is what it is to be.
        let _ = shown.await;
        output::err(&format!("{SHOW_CURSOR}{RESTORE}{ERASE_LINE}"));
    }
}

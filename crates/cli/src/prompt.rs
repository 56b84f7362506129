//! Questions to the user.

use std::io::BufRead as _;

use tokio::signal::unix::{SignalKind, signal};

use crate::failure::Failure;
use crate::output;

/// Only `y` is a yes; so is an input that ends a no.
///
/// # Errors
/// Interrupted or terminated while it waits, the command ends, as Docker's does: with a new line and status 0, since
/// nothing was done.
pub(crate) async fn confirm(question: &str) -> Result<bool, Failure> {
    let (mut interrupted, mut terminated) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    output::out(&format!("{question} [y/N] "));
    // A read of the terminal cannot be interrupted; the process does not wait for it when it ends.
    let answer = tokio::task::spawn_blocking(|| {
        let mut answer = String::new();
        // What cannot be read is not a yes.
        let _ = std::io::stdin().lock().read_line(&mut answer);
        answer
    });
    tokio::select! {
        answer = answer => Ok(answer.unwrap_or_default().trim().eq_ignore_ascii_case("y")),
        _ = interrupted.recv() => Err(given_up()),
        _ = terminated.recv() => Err(given_up()),
    }
}

fn given_up() -> Failure {
    output::out("\n");
    Failure::status(0)
}

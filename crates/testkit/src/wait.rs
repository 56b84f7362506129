//! Conditions with a deadline, never times; and commands that must succeed.

use std::time::{Duration, Instant};

use crate::output::Output;

/// Long enough for a machine that is busy with other tests.
pub const DEADLINE: Duration = Duration::from_secs(60);
pub(crate) const PAUSE: Duration = Duration::from_millis(10);

/// What a command that succeeded printed, without the newline at its end.
///
/// # Panics
/// When it did not succeed.
#[track_caller]
pub fn good(output: Output) -> String {
    assert_eq!(output.status, 0, "{output:?}");
    output.stdout.trim_end().to_owned()
}

/// # Panics
/// When it does not come true.
#[track_caller]
pub fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not within {DEADLINE:?}");
        std::thread::sleep(PAUSE);
    }
}

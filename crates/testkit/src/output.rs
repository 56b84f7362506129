//! What a command printed and how it ended, as text.

use std::process::Command;

/// The end of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    pub stdout: String,
    pub stderr: String,
    /// The exit status; 128 plus the number where a signal ended it.
    pub status: i32,
}

impl Output {
    /// Runs `command` to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn of(command: &mut Command) -> Self {
        use std::os::unix::process::ExitStatusExt;
        let output = command.output().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
        let status = output.status.code().or_else(|| output.status.signal().map(|signal| 128 + signal));
        Self {
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            status: status.unwrap_or(-1),
        }
    }
}

//! Timing of whole commands. Contenders of a case take turns within each round, so that a machine which
//! gets slower half-way is unfair to nobody.

use std::io::Error;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What one contender needed, one entry per round.
#[derive(Debug, Default, Clone)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    fn sorted(&self) -> Vec<f64> {
        let mut values = self.0.clone();
        values.sort_by(f64::total_cmp);
        values
    }

    /// The middle sample, NaN when there is none.
    pub(crate) fn median(&self) -> f64 {
        let values = self.sorted();
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// Smallest and greatest sample.
    pub(crate) fn spread(&self) -> (f64, f64) {
        let values = self.sorted();
        (values.first().copied().unwrap_or(f64::NAN), values.last().copied().unwrap_or(f64::NAN))
    }
}

/// Runs `command` to its end and returns the wall-clock time.
///
/// # Errors
/// When it can't be started or does not exit with 0: a time of something that failed means nothing.
pub(crate) fn time(command: &[String]) -> Result<Duration, Error> {
    let (program, args) = command.split_first().ok_or_else(|| Error::other("empty command"))?;
    let start = Instant::now();
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let status = child.wait()?;
    let took = start.elapsed();
    if status.success() {
        return Ok(took);
    }
    let mut said = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        std::io::Read::read_to_string(&mut stderr, &mut said)?;
    }
    Err(Error::other(format!("{}: {status}: {}", command.join(" "), said.trim())))
}

/// Milliseconds of a duration.
pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

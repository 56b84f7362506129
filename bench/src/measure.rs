//! Timing of whole commands. Contenders of a case take turns within each round, so that a machine which
//! gets slower half-way is unfair to nobody.

use std::io::{BufRead, BufReader, Error, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// What one contender needed, one entry per round.
#[derive(Debug, Default, Clone)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

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

/// Where commands are timed that need a mount namespace prepared for them: a copy of this program in there, which spawns
/// and times them as this one would, so that entering the place is no part of any figure.
#[derive(Debug)]
pub(crate) struct Place {
    child: Child,
    /// One question at a time.
    pipes: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
}

/// First argument of the copy.
pub(crate) const INSIDE: &str = "--inside";

impl Place {
    /// `prepare` is a shell command, run in the new namespace first.
    pub(crate) fn new(prepare: &str) -> Result<Self, Error> {
        let own = std::env::current_exe()?;
        let line = format!("{prepare}; exec {} {INSIDE}", own.display());
        let mut child = Command::new("unshare")
            .args(["-m", "sh", "-c", &line])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::other("no pipes"));
        };
        Ok(Self { child, pipes: Mutex::new((stdin, BufReader::new(stdout))) })
    }

    /// As [`time`], in there.
    pub(crate) fn time(&self, command: &[String]) -> Result<Duration, Error> {
        let mut pipes = self.pipes.lock().map_err(|_| Error::other("a round panicked"))?;
        writeln!(pipes.0, "{}", serde_json::to_string(command)?)?;
        let mut answer = String::new();
        pipes.1.read_line(&mut answer)?;
        match serde_json::from_str::<(u64, Option<String>)>(&answer)? {
            (nanoseconds, None) => Ok(Duration::from_nanos(nanoseconds)),
            (_, Some(text)) => Err(Error::other(text)),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // It ends with its input; what is left of it after that is of no interest.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the copy in a [`Place`] does: times each line's command until there are no more.
pub(crate) fn inside() -> Result<(), Error> {
    for line in std::io::stdin().lines() {
        let command: Vec<String> = serde_json::from_str(&line?)?;
        let outcome = match time(&command) {
            Ok(took) => (took.as_nanos() as u64, None),
            Err(error) => (0, Some(error.to_string())),
        };
        let mut out = std::io::stdout();
        writeln!(out, "{}", serde_json::to_string(&outcome)?)?;
        out.flush()?;
    }
    Ok(())
}

//! Health: what is checked, how often, and what the results make of a container. Pure; the numbers and rules are
//! Docker's.
//!
//! ```text
//!            exit 0                      retries failures in a row
//! starting ─────────► healthy ─────────────────────────────────► unhealthy ──exit 0──► healthy
//!     └── retries failures, those within the start period not counted ──►┘
//! ```
//!
//! A check that is not running (paused, exited) counts as unhealthy, without an event, as in Docker.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::probe::{self, Probe};
use super::{ContainerSpec, Healthcheck};
use crate::error::{Error, Result};

/// The most that is kept of a check's output.
pub(crate) const OUTPUT_BYTES_MAX: usize = 4096;
const LOG_LENGTH: usize = 5;
const INTERVAL: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(30);
const START_INTERVAL: Duration = Duration::from_secs(5);
const RETRIES: u32 = 3;

/// Where `--health-on-failure` is kept: Docker's API has no field for it, and annotations go through every client.
pub(crate) const ON_FAILURE: &str = "wharf.health-on-failure";

/// `State.Health.Status`. That there is no check at all is the absence of [`Health`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    #[default]
    Starting,
    Healthy,
    Unhealthy,
}

impl HealthStatus {
    pub fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// `State.Health`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Health {
    pub status: HealthStatus,
    pub failing_streak: u32,
    /// The last five, oldest first. Kept over restarts.
    pub log: Vec<HealthResult>,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthResult {
    pub start: Timestamp,
    pub end: Timestamp,
    /// 0 healthy; -1: it could not be run, or took too long.
    pub exit_code: i32,
    pub output: String,
}

/// What a check does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Check {
    Command(Vec<String>),
    Probe(Probe),
}

impl Check {
    /// `None`: there is none, or it is switched off.
    pub(crate) fn of(spec: &ContainerSpec) -> Option<Self> {
        let (kind, words) = spec.healthcheck.as_ref()?.test.split_first()?;
        match kind.as_str() {
            "CMD" => Some(Self::Command(words.to_vec())),
            "CMD-SHELL" => {
                let shell = || ["/bin/sh", "-c"].map(str::to_owned).to_vec();
                let mut command = spec.shell.clone().filter(|words| !words.is_empty()).unwrap_or_else(shell);
                command.extend_from_slice(words);
                Some(Self::Command(command))
            }
            // What cannot be read was refused at create; an image may still say it.
            probe::WORD => Probe::parse(words.first().map_or("", String::as_str)).ok().map(Self::Probe),
            _ => None,
        }
    }
}

/// What becomes of a container that is unhealthy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum OnFailure {
    #[default]
    None,
    Kill,
    Restart,
    Stop,
}

impl OnFailure {
    pub(crate) fn of(annotations: &BTreeMap<String, String>) -> Result<Self> {
        match annotations.get(ON_FAILURE).map(String::as_str) {
            None | Some("none" | "") => Ok(Self::None),
            Some("kill") => Ok(Self::Kill),
            Some("restart") => Ok(Self::Restart),
            Some("stop") => Ok(Self::Stop),
            Some(other) => Err(Error::invalid(format!(
                "invalid health on-failure action \"{other}\": use one of 'none', 'kill', 'restart', or 'stop'"
            ))),
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Kill => "kill",
            Self::Restart => "restart",
            Self::Stop => "stop",
        }
    }
}

/// Before a container is made: what Docker does not know, and so does not check. `spec` has the image's defaults.
pub(crate) fn validate(spec: &ContainerSpec) -> Result<()> {
    if let Some([kind, words @ ..]) = spec.healthcheck.as_ref().map(|check| check.test.as_slice())
        && kind == probe::WORD
    {
        let [probe] = words else {
            return Err(Error::invalid("a health probe is one address, as in [\"PROBE\", \"tcp://:80\"]"));
        };
        Probe::parse(probe).map_err(Error::invalid)?;
    }
    let action = OnFailure::of(&spec.host.annotations)?;
    let unchecked = Check::of(spec).is_none();
    if unchecked && action != OnFailure::None {
        return Err(Error::invalid(format!(
            "cannot set on-failure action to {} without a health check",
            action.word()
        )));
    }
    if unchecked && matches!(spec.host.restart, super::RestartPolicy::OnUnhealthy { .. }) {
        return Err(Error::invalid("invalid restart policy: 'on-unhealthy' needs a health check"));
    }
    Ok(())
}

impl Healthcheck {
    pub(crate) fn timeout(&self) -> Duration {
        or(self.timeout_ns, TIMEOUT)
    }

    fn start_period(&self) -> Duration {
        or(self.start_period_ns, Duration::ZERO)
    }

    fn retries(&self) -> u32 {
        u32::try_from(self.retries).ok().filter(|retries| *retries > 0).unwrap_or(RETRIES)
    }

    /// How long to wait for the next check.
    pub(crate) fn wait(&self, status: HealthStatus, ran: Duration) -> Duration {
        match status {
            HealthStatus::Starting if ran < self.start_period() => or(self.start_interval_ns, START_INTERVAL),
            _ => or(self.interval_ns, INTERVAL),
        }
    }
}

fn or(nanoseconds: i64, default: Duration) -> Duration {
    u64::try_from(nanoseconds).ok().filter(|n| *n > 0).map_or(default, Duration::from_nanos)
}

impl Health {
    /// A process has been started.
    pub(crate) fn begin(&mut self) {
        self.status = HealthStatus::Starting;
        self.failing_streak = 0;
    }

    /// `ran`: how long the process had been running when the check began. True when the status has changed.
    pub(crate) fn take(&mut self, check: &Healthcheck, ran: Duration, result: HealthResult) -> bool {
        let before = self.status;
        if result.exit_code == 0 {
            self.failing_streak = 0;
            self.status = HealthStatus::Healthy;
        } else if before != HealthStatus::Starting || ran >= check.start_period() {
            self.failing_streak += 1;
            if self.failing_streak >= check.retries() {
                self.status = HealthStatus::Unhealthy;
            }
        }
        if self.log.len() >= LOG_LENGTH {
            self.log.drain(..=self.log.len() - LOG_LENGTH);
        }
        self.log.push(result);
        self.status != before
    }

    /// What `ps` puts in parentheses.
    pub fn words(&self) -> &'static str {
        match self.status {
            HealthStatus::Starting => "health: starting",
            status => status.word(),
        }
    }
}

/// A duration as Go prints it: `30s`, `1m0.5s`, `300ms`.
pub(crate) fn go_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    let fraction = |value: u128, unit: u128| {
        let (whole, rest) = (value / unit, value % unit);
        let width = unit.ilog10() as usize;
        let digits = format!("{rest:0width$}");
        match digits.trim_end_matches('0') {
            "" => whole.to_string(),
            digits => format!("{whole}.{digits}"),
        }
    };
    match nanos {
        0 => "0s".into(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => format!("{}µs", fraction(nanos, 1_000)),
        1_000_000..1_000_000_000 => format!("{}ms", fraction(nanos, 1_000_000)),
        _ => {
            let (minutes, rest) = (nanos / 60_000_000_000, nanos % 60_000_000_000);
            let seconds = format!("{}s", fraction(rest, 1_000_000_000));
            match (minutes / 60, minutes % 60) {
                (0, 0) => seconds,
                (0, minutes) => format!("{minutes}m{seconds}"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(exit_code: i32) -> HealthResult {
        let at = Timestamp::UNIX_EPOCH;
        HealthResult { start: at, end: at, exit_code, output: String::new() }
    }

    #[test]
    fn a_streak_of_failures_makes_unhealthy_and_one_success_healthy() {
        let check = Healthcheck { retries: 2, start_period_ns: 10_000_000_000, ..Healthcheck::default() };
        let (early, late) = (Duration::from_secs(9), Duration::from_secs(10));
        let mut health = Health::default();
        // Status letter and streak after each result.
        for (ran, code, changed, status, streak) in [
            (early, 1, false, HealthStatus::Starting, 0),
            (early, 1, false, HealthStatus::Starting, 0),
            (late, 1, false, HealthStatus::Starting, 1),
            (late, -1, true, HealthStatus::Unhealthy, 2),
            (late, 3, false, HealthStatus::Unhealthy, 3),
            (late, 0, true, HealthStatus::Healthy, 0),
            // Once it has been healthy, the start period is over.
            (early, 1, false, HealthStatus::Healthy, 1),
            (early, 1, true, HealthStatus::Unhealthy, 2),
        ] {
            assert_eq!(health.take(&check, ran, result(code)), changed);
            assert_eq!((health.status, health.failing_streak), (status, streak));
        }
        let codes: Vec<_> = health.log.iter().map(|result| result.exit_code).collect();
        assert_eq!(codes, [-1, 3, 0, 1, 1], "the last five");
    }

    #[test]
    fn intervals_and_defaults_are_dockers() {
        let none = Healthcheck::default();
        assert_eq!(none.wait(HealthStatus::Starting, Duration::ZERO), INTERVAL);
        assert_eq!((none.timeout(), none.retries()), (TIMEOUT, 3));
        let check = Healthcheck { interval_ns: 7, start_period_ns: 100, start_interval_ns: 3, ..none };
        let wait = |status, ran| check.wait(status, Duration::from_nanos(ran)).as_nanos();
        assert_eq!(wait(HealthStatus::Starting, 99), 3);
        assert_eq!(wait(HealthStatus::Starting, 100), 7);
        assert_eq!(wait(HealthStatus::Healthy, 0), 7);
    }

    #[test]
    fn tests_are_commands_probes_or_nothing() {
        let of = |test: &[&str], shell: Option<&[&str]>| {
            let strings = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
            let healthcheck = Some(Healthcheck { test: strings(test), ..Healthcheck::default() });
            Check::of(&ContainerSpec { healthcheck, shell: shell.map(strings), ..ContainerSpec::default() })
        };
        let command = |words: &[&str]| Some(Check::Command(words.iter().map(|w| (*w).to_owned()).collect()));
        assert_eq!(of(&["CMD", "a", "b"], None), command(&["a", "b"]));
        assert_eq!(of(&["CMD"], None), command(&[]));
        assert_eq!(of(&["CMD-SHELL", "a b"], None), command(&["/bin/sh", "-c", "a b"]));
        assert_eq!(
            of(&["CMD-SHELL", "a b"], Some(&["/bin/ash", "-ec"])),
            command(&["/bin/ash", "-ec", "a b"])
        );
        assert_eq!(of(&["NONE"], None), None);
        assert_eq!(of(&[], None), None);
        assert_eq!(of(&["FOO", "x"], None), None);
        assert!(matches!(of(&["PROBE", "tcp://:1"], None), Some(Check::Probe(_))));
    }

    #[test]
    fn durations_read_as_in_go() {
        for (nanos, text) in [
            (30_000_000_000, "30s"),
            (1_500_000_000, "1.5s"),
            (90_000_000_000, "1m30s"),
            (3_600_000_000_000, "1h0m0s"),
            (100_000_000, "100ms"),
            (1_500_000, "1.5ms"),
            (1_000, "1µs"),
            (0, "0s"),
        ] {
            assert_eq!(go_duration(Duration::from_nanos(nanos)), text);
        }
    }
}

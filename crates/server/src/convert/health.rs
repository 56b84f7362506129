//! Health: the check inwards and outwards, and what it has found.

use api::container::{self as wire, HealthConfig, HealthStatus, HealthSummary, HealthcheckResult};
use engine::containers::{Health, Healthcheck, StateView};
use engine::{Error, Result};

use super::time;

pub(super) fn check(check: HealthConfig) -> Healthcheck {
    Healthcheck {
        test: check.test,
        interval_ns: check.interval,
        timeout_ns: check.timeout,
        start_period_ns: check.start_period,
        start_interval_ns: check.start_interval,
        retries: check.retries,
    }
}

/// What Docker asks of a check; the words of the test are the container's business.
pub(super) fn validate(check: &HealthConfig) -> Result<()> {
    const MILLISECOND: i64 = 1_000_000;
    let least = |(name, value): (&str, i64)| match value {
        0 | MILLISECOND.. => Ok(()),
        _ => Err(Error::invalid(format!("{name} in Healthcheck cannot be less than 1ms"))),
    };
    least(("Interval", check.interval))?;
    least(("Timeout", check.timeout))?;
    if check.retries < 0 {
        return Err(Error::invalid("Retries in Healthcheck cannot be negative"));
    }
    least(("StartPeriod", check.start_period))?;
    least(("StartInterval", check.start_interval))
}

pub(super) fn config(check: &Healthcheck) -> HealthConfig {
    HealthConfig {
        test: check.test.clone(),
        interval: check.interval_ns,
        timeout: check.timeout_ns,
        start_period: check.start_period_ns,
        start_interval: check.start_interval_ns,
        retries: check.retries,
    }
}

pub(super) fn state(health: &Health) -> wire::Health {
    wire::Health {
        status: health.status.word().into(),
        failing_streak: health.failing_streak.into(),
        log: health
            .log
            .iter()
            .map(|result| HealthcheckResult {
                start: time(Some(result.start)),
                end: time(Some(result.end)),
                exit_code: result.exit_code.into(),
                output: result.output.clone(),
            })
            .collect(),
    }
}

/// Of a list: also a container without a check has one.
pub(super) fn summary(state: &StateView) -> HealthSummary {
    HealthSummary {
        status: HealthStatus::from(state.health_word()),
        failing_streak: state.health.as_ref().map_or(0, |health| health.failing_streak.into()),
    }
}

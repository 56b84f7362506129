//! The `--health-*` flags. Docker's make a test of the API's; of ours, `--health-probe` makes the test `PROBE` and
//! `--health-on-failure` an annotation, so that they go through any client and come back by `inspect`.

use std::collections::BTreeMap;

use api::container::HealthConfig;

use crate::flags::Parsed;

/// Where the engine looks for it.
const ON_FAILURE: &str = "wharf.health-on-failure";

/// `None`: nothing was said, the image's holds.
pub(crate) fn check(line: &Parsed) -> Result<Option<HealthConfig>, String> {
    let (command, probe) = (line.text("health-cmd"), line.text("health-probe"));
    let check = HealthConfig {
        test: match (command, probe) {
            ("", "") => Vec::new(),
            (command, "") => vec!["CMD-SHELL".into(), command.into()],
            ("", probe) => vec!["PROBE".into(), probe.into()],
            _ => return Err("--health-cmd conflicts with --health-probe".into()),
        },
        interval: line.duration("health-interval"),
        timeout: line.duration("health-timeout"),
        start_period: line.duration("health-start-period"),
        start_interval: line.duration("health-start-interval"),
        retries: line.int("health-retries"),
    };
    let said = check != HealthConfig::default();
    if line.switch("no-healthcheck") {
        if said {
            return Err("--no-healthcheck conflicts with --health-* options".into());
        }
        return Ok(Some(HealthConfig { test: vec!["NONE".into()], ..HealthConfig::default() }));
    }
    let numbers = [
        ("interval", check.interval),
        ("timeout", check.timeout),
        ("retries", check.retries),
        ("start-period", check.start_period),
        ("start-interval", check.start_interval),
    ];
    match numbers.iter().find(|(_, value)| *value < 0) {
        Some((name, _)) => Err(format!("--health-{name} cannot be negative")),
        None => Ok(said.then_some(check)),
    }
}

pub(crate) fn annotations(
    line: &Parsed,
    mut annotations: BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, String> {
    match line.text("health-on-failure") {
        "" => {}
        action @ ("none" | "kill" | "restart" | "stop") => {
            annotations.insert(ON_FAILURE.into(), action.into());
        }
        other => {
            return Err(format!(
                "invalid value \"{other}\" for --health-on-failure: use one of 'none', 'kill', 'restart', or 'stop'"
            ));
        }
    }
    Ok(annotations)
}

//! Restart policies, both ways. `on-unhealthy` is ours; where Docker lists its own, its text stays as it is.

use api::host_config as wire;
use engine::containers::RestartPolicy;
use engine::{Error, Result};

pub(super) fn policy(policy: &wire::RestartPolicy) -> Result<RestartPolicy> {
    let invalid = |text: &str| Err(Error::invalid(format!("invalid restart policy: {text}")));
    let retries = policy.maximum_retry_count;
    match (policy.name.as_str(), u32::try_from(retries)) {
        ("on-failure", Ok(max_retries)) => Ok(RestartPolicy::OnFailure { max_retries }),
        ("on-unhealthy", Ok(max_retries)) => Ok(RestartPolicy::OnUnhealthy { max_retries }),
        ("on-failure" | "on-unhealthy", Err(_)) => invalid("maximum retry count cannot be negative"),
        ("no" | "always" | "unless-stopped", _) if retries != 0 => {
            let more = if retries < 0 { " and cannot be negative" } else { "" };
            invalid(&format!("maximum retry count can only be used with 'on-failure'{more}"))
        }
        ("" | "no", _) => Ok(RestartPolicy::No),
        ("always", _) => Ok(RestartPolicy::Always),
        ("unless-stopped", _) => Ok(RestartPolicy::UnlessStopped),
        (other, _) => invalid(&format!(
            "unknown policy '{other}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
        )),
    }
}

pub(super) fn wire(policy: RestartPolicy) -> wire::RestartPolicy {
    let (name, maximum_retry_count) = match policy {
        RestartPolicy::No => (wire::RestartPolicyName::NO, 0),
        RestartPolicy::Always => (wire::RestartPolicyName::ALWAYS, 0),
        RestartPolicy::UnlessStopped => (wire::RestartPolicyName::UNLESS_STOPPED, 0),
        RestartPolicy::OnFailure { max_retries } => (wire::RestartPolicyName::ON_FAILURE, max_retries),
        RestartPolicy::OnUnhealthy { max_retries } => (wire::RestartPolicyName::ON_UNHEALTHY, max_retries),
    };
    wire::RestartPolicy { name, maximum_retry_count: maximum_retry_count.into() }
}

//! What `net` had to put back, for the log and for whoever publishes events.

use std::fmt;
use std::sync::{Arc, OnceLock};

type Tell = Box<dyn Fn(Vec<String>) + Send + Sync>;

#[derive(Clone, Default)]
pub(super) struct Repairs(Arc<OnceLock<Tell>>);

impl fmt::Debug for Repairs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repairs").finish_non_exhaustive()
    }
}

impl Repairs {
    /// Whom to tell, once for all.
    pub(super) fn tell(&self, tell: Tell) {
        let _ = self.0.set(tell);
    }

    /// Called from the watching thread.
    pub(super) fn report(&self, result: net::Result<net::Plan>) {
        let lines = match result {
            Ok(plan) => {
                for step in &plan.steps {
                    tracing::warn!("network: somebody changed it, so: {step}");
                }
                for warning in &plan.warnings {
                    tracing::warn!("{}", warning.trim_start_matches("WARNING: "));
                }
                plan.steps.iter().map(ToString::to_string).chain(plan.warnings).collect()
            }
            Err(error) => {
                tracing::error!(%error, "network: somebody changed it, and it cannot be put back");
                vec![format!("failed: {error}")]
            }
        };
        if let Some(tell) = self.0.get() {
            tell(lines);
        }
    }
}

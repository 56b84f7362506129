//! Operations that touch several resources, as lists of steps.
//!
//! Each step that changed something pushes its undo; success disarms the stack, failure unwinds it, last step
//! first. Between any two steps stands a named fail point: tests (and debug builds, through `WHARF_FAILPOINT`)
//! stop the flow there, either with an error, which must leave nothing behind, or as if the engine had been
//! killed, after which a new engine must be able to tidy up.

pub(crate) mod create;
pub(crate) mod remount;
pub(crate) mod remove;
pub(crate) mod start;
#[cfg(test)]
pub(crate) mod tests;

use crate::error::Result;
use crate::failpoints::is_crash;
use crate::ports::BoxFuture;

/// Undo steps in the order in which the steps were done.
#[derive(Default)]
pub(crate) struct Undo {
    steps: Vec<(&'static str, BoxFuture<'static, Result<()>>)>,
}

impl Undo {
    /// `what` is for the log, should the undo fail too.
    pub(crate) fn push(
        &mut self,
        what: &'static str,
        step: impl Future<Output = Result<()>> + Send + 'static,
    ) {
        self.steps.push((what, Box::pin(step)));
    }

    /// The flow has succeeded: forget everything.
    pub(crate) fn disarm(mut self) {
        self.steps.clear();
    }

    /// Take everything back, last first. An undo that fails is logged and does not stop the others.
    pub(crate) async fn unwind(mut self) {
        while let Some((what, step)) = self.steps.pop() {
            if let Err(error) = step.await {
                tracing::warn!(step = what, %error, "undo failed");
            }
        }
    }
}

/// Finish a flow: disarm on success; on failure unwind, unless the failure plays a killed engine.
pub(crate) async fn finish<T>(undo: Undo, result: Result<T>) -> Result<T> {
    match &result {
        Ok(_) => undo.disarm(),
        Err(_) if is_crash(&result) => undo.disarm(),
        Err(_) => undo.unwind().await,
    }
    result
}

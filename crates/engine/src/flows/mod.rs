//! Operations that touch several resources, as lists of steps.
//!
//! Each step that changed something pushes its undo; success disarms the stack, failure unwinds it, last step
//! first. Between any two steps stands a named fail point: tests (and debug builds, through `WHARF_FAILPOINT`)
//! stop the flow there, either with an error, which must leave nothing behind, or as if the engine had been
//! killed, after which a new engine must be able to tidy up.

pub(crate) mod boot;
pub(crate) mod create;
pub(crate) mod remove;
pub(crate) mod start;
#[cfg(test)]
mod tests;

#[cfg(any(test, debug_assertions))]
use crate::error::Error;
use crate::error::Result;
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

/// Where flows can be made to fail.
#[derive(Debug, Default)]
pub(crate) struct Failpoints {
    #[cfg(any(test, debug_assertions))]
    armed: std::sync::Mutex<Option<String>>,
}

/// The text of the error that stands for a killed engine in tests.
pub(crate) const CRASH: &str = "fail point: crash";

impl Failpoints {
    /// `name` or `name:crash`. Debug builds abort the process at the point named by `WHARF_FAILPOINT`.
    #[cfg(test)]
    pub(crate) fn arm(&self, point: &str) {
        *self.armed.lock().unwrap() = Some(point.to_owned());
    }

    #[cfg(any(test, debug_assertions))]
    pub(crate) fn hit(&self, name: &str) -> Result<()> {
        if let Some(armed) =
            self.armed.lock().expect("nothing panics while it holds the fail point").as_deref()
        {
            if armed == name {
                return Err(Error::internal(format!("fail point {name}")));
            }
            if armed.strip_suffix(":crash") == Some(name) {
                return Err(Error::internal(CRASH));
            }
        }
        if std::env::var_os("WHARF_FAILPOINT").is_some_and(|point| point == name) {
            std::process::abort();
        }
        Ok(())
    }

    #[cfg(not(any(test, debug_assertions)))]
    #[inline]
    pub(crate) fn hit(&self, _name: &str) -> Result<()> {
        Ok(())
    }
}

/// Finish a flow: disarm on success; on failure unwind, unless the failure plays a killed engine.
pub(crate) async fn finish<T>(undo: Undo, result: Result<T>) -> Result<T> {
    match &result {
        Ok(_) => undo.disarm(),
        Err(error) if cfg!(test) && error.message == CRASH => undo.disarm(),
        Err(_) => undo.unwind().await,
    }
    result
}

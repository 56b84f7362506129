//! Named points between the steps of flows, where tests (and debug builds, through `WHARF_FAILPOINT`) make them fail.

#[cfg(any(test, debug_assertions))]
use crate::error::Error;
use crate::error::Result;

/// Whether a failure plays a killed engine, which undoes nothing.
pub(crate) fn is_crash<T>(result: &Result<T>) -> bool {
    cfg!(test) && result.as_ref().is_err_and(|error| error.message == CRASH)
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

//! Where waiting is allowed.

use crate::error::{Code, Error, Result};

/// Storage waits for the disk.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Error::new(Code::Unknown, format!("a handler was broken off: {error}"))))
}

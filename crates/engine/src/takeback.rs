//! Taking back what was begun.

use std::path::Path;
use std::time::Duration;

use crate::error::{Error, Result};

/// How often something is taken back that nobody tries again later, and the pause between two tries.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(10);

/// Taking something back fails, too, when descriptors or memory are what was short in the first place: for a moment,
/// usually. `step` may be repeated.
pub(crate) async fn patiently(mut step: impl FnMut() -> Result<()>) -> Result<()> {
    for _ in 1..TRIES {
        if step().is_ok() {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
    step()
}

/// Idempotent.
pub(crate) fn remove_directory(directory: &Path) -> Result<()> {
    archive::remove_tree(directory).map_err(|error| Error::internal(error.to_string()))
}

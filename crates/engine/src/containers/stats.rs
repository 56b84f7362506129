//! A container's counters, for one who watches.

use super::Containers;
use crate::container::Status;
use crate::error::Result;
use crate::stats::{Sample, Source, StatsRequest, StatsStream};
use std::sync::Arc;

impl Containers {
    /// One that does not run has zeros: one of them, or one a second in case it is started.
    pub async fn stats(&self, reference: &str, request: StatsRequest) -> Result<StatsStream> {
        let handle = self.core.index.find(reference)?;
        let collector = &self.core.stats;
        let mut previous = None;
        let view = handle.view();
        let source = if request.stream {
            Source::Live { samples: collector.watch(&handle).await, is_first: true }
        } else if !matches!(view.state.status, Status::Running | Status::Paused) {
            let nothing = Sample { id: view.id.clone(), name: view.name.clone(), ..Sample::default() };
            Source::Once(Some(Arc::new(nothing)))
        } else if request.one_shot {
            Source::Once(Some(collector.sample(&handle).await))
        } else {
            previous = Some(collector.sample(&handle).await);
            Source::Second(collector.clone(), handle)
        };
        Ok(StatsStream { source, previous })
    }
}

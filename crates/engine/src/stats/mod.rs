//! What containers use, once a second.
//!
//! One task counts for everybody: a container that somebody watches is read once a second, however many watch it, all
//! of them in one go on a thread that may wait, and nobody's files are opened twice. It ends when nobody watches.

mod collector;
mod machine;

pub(crate) use collector::Collector;

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::watch;

use crate::container::index::Handle;
use crate::ports::Usage;

/// `GET /containers/{id}/stats`.
#[derive(Debug, Clone, Copy, Default)]
pub struct StatsRequest {
    /// One sample a second, for as long as there is a container; otherwise one.
    pub stream: bool,
    /// Of one sample: at once, without an earlier one to compare it with.
    pub one_shot: bool,
}

/// A container's counters at one moment.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    pub id: String,
    /// Without slash.
    pub name: String,
    /// `None`: it does not run, or nothing could be read, and all else is zero.
    pub at: Option<Timestamp>,
    pub usage: Usage,
    /// Time of all processors of the machine, in all states.
    pub machine_cpu_ns: u64,
    pub online_cpus: u32,
}

/// Samples as they come.
#[derive(Debug)]
pub struct StatsStream {
    pub(crate) source: Source,
    /// The sample before the next.
    pub(crate) previous: Option<Arc<Sample>>,
}

#[derive(Debug)]
pub(crate) enum Source {
    /// What there is, once.
    Once(Option<Arc<Sample>>),
    /// The second of two, to be taken when an interval has passed.
    Second(Collector, Handle),
    Live {
        samples: watch::Receiver<Arc<Sample>>,
        is_first: bool,
    },
    End,
}

impl StatsStream {
    /// The next sample, with the one before it, as far as the reader has seen one. `None`: the container is gone, or
    /// that was the only one.
    pub async fn next(&mut self) -> Option<(Arc<Sample>, Option<Arc<Sample>>)> {
        let sample = match &mut self.source {
            Source::End => return None,
            Source::Once(sample) => sample.take()?,
            Source::Second(collector, handle) => {
                collector.pause().await;
                let sample = collector.sample(handle).await;
                self.source = Source::End;
                sample
            }
            Source::Live { samples, is_first } => {
                if !std::mem::take(is_first) {
                    // An error: nobody counts any more, for the container is gone.
                    samples.changed().await.ok()?;
                }
                samples.borrow_and_update().clone()
            }
        };
        let previous = self.previous.replace(sample.clone());
        Some((sample, previous))
    }
}

#[cfg(test)]
mod tests;

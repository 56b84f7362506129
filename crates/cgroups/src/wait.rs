//! Waiting for the kernel where it offers nothing to wait on (v1): short pauses that grow, and a deadline.

use std::time::{Duration, Instant};

#[derive(Debug)]
pub(crate) struct Backoff {
    deadline: Instant,
    pause: Duration,
}

impl Backoff {
    pub(crate) fn until(limit: Duration) -> Backoff {
        Backoff { deadline: Instant::now() + limit, pause: Duration::from_micros(20) }
    }

    /// Sleeps a little; `false` once the deadline has passed, without sleeping.
    pub(crate) fn pause(&mut self) -> bool {
        let now = Instant::now();
        if now >= self.deadline {
            return false;
        }
        std::thread::sleep(self.pause.min(self.deadline - now));
        self.pause = (self.pause * 3 / 2).min(Duration::from_millis(5));
        true
    }
}

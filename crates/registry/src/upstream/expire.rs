//! What was fetched is given up when its time is over: a cache does not grow for ever.

use std::sync::Arc;
use std::time::Duration;

use super::Upstream;
use crate::blocking::blocking;
use crate::log::Level;

/// Between two looks, at most; a short life is looked at more often.
const EVERY_MAX: Duration = Duration::from_secs(3600);
const EVERY_MIN: Duration = Duration::from_millis(100);
/// Bytes stay this long after the last link: another upstream may just link them.
const GRACE: Duration = Duration::from_secs(3600);

impl Upstream {
    /// For as long as the registry serves. `None`: what was fetched stays.
    pub(crate) fn expiry(self: &Arc<Self>) -> Option<impl Future<Output = ()> + Send + 'static> {
        let ttl = self.ttl?;
        let upstream = self.clone();
        Some(async move {
            loop {
                tokio::time::sleep((ttl / 10).clamp(EVERY_MIN, EVERY_MAX)).await;
                let (storage, mine) = (upstream.storage.clone(), upstream.clone());
                let done = blocking(move || {
                    let expired = storage.expire(&|name| mine.path(name).is_some(), ttl)?;
                    if expired > 0 {
                        storage.collect(GRACE.min(ttl), false, false)?;
                    }
                    Ok(())
                });
                if let Err(error) = done.await {
                    let message = format!("{}: what is old could not be given up: {error}", upstream.url);
                    upstream.log.say(Level::Error, &message);
                }
            }
        })
    }
}

//! Event `daemon repair`: something of the engine's on this host was taken away or changed, and was put back.

use std::sync::Arc;

use super::service::engine_id;
use crate::core::Core;

/// From now on.
pub(crate) fn tell_repairs(core: &Arc<Core>) {
    // Not the core itself, which has the network that tells.
    let (events, id) = (core.events.clone(), engine_id(core));
    core.ports.network.on_repair(Box::new(move |lines| {
        for line in lines {
            let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
            let attributes = [("name", name), ("what", line)].map(|(key, value)| (key.to_owned(), value));
            events.publish("daemon", "repair", id.clone(), attributes.into());
        }
    }));
}

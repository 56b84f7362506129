//! Event `daemon repair`: something of the engine's on this host was taken away or changed, and was put back.

use std::sync::Arc;
use std::time::Duration;

use crate::container::command::Command;
use crate::core::Core;
use crate::events::Events;
use crate::identity::engine_id;

/// A link that is gone goes with its container as a rule, whose end is heard of a moment later.
const CONTAINER_ENDS: Duration = Duration::from_millis(100);
/// When a start is over.
const AFTER_START: Duration = Duration::from_secs(1);

/// From now on.
pub(crate) fn tell_repairs(core: &Arc<Core>) {
    // Not the core itself, which has the network that tells.
    let (events, id) = (core.events.clone(), engine_id(core));
    core.ports.network.on_repair(Box::new(move |lines| {
        lines.into_iter().for_each(|line| tell(&events, &id, line));
    }));
    let (weak, runtime) = (Arc::downgrade(core), tokio::runtime::Handle::current());
    core.ports.network.on_lost(Box::new(move |lost| {
        let weak = weak.clone();
        runtime.spawn(async move {
            tokio::time::sleep(CONTAINER_ENDS).await;
            if let Some(core) = weak.upgrade() {
                look(&core, lost).await;
            }
        });
    }));
    // While no engine ran nobody looked.
    let weak = Arc::downgrade(core);
    tokio::spawn(async move {
        tokio::time::sleep(AFTER_START).await;
        let Some(core) = weak.upgrade() else { return };
        let all = core.index.views().into_iter().filter(|view| view.state.is_running());
        let lost = all.flat_map(|view| {
            let networks = view.network.endpoints.values().map(|endpoint| endpoint.network_id.clone());
            networks.map(|network| (view.id.clone(), network)).collect::<Vec<_>>()
        });
        look(&core, lost.collect()).await;
    });
}

/// Has containers look for their interfaces on these networks.
async fn look(core: &Core, lost: Vec<(String, String)>) {
    for (container, network) in lost {
        if let Ok(handle) = core.index.find(&container) {
            let _ = handle.commands.send(Command::Reconnect(network)).await;
        }
    }
}

/// Something was put back.
pub(crate) fn repaired(core: &Core, what: String) {
    tell(&core.events, &engine_id(core), what);
}

fn tell(events: &Events, id: &str, what: String) {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let attributes = [("name", name), ("what", what)].map(|(key, value)| (key.to_owned(), value));
    events.publish("daemon", "repair", id.to_owned(), attributes.into());
}

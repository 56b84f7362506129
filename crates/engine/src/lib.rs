//! The engine: what happens to containers, images, execs. Decisions only.
//!
//! It knows no HTTP, no wire type, no flag, no terminal, no netlink and no clone: `server` converts requests
//! into the types here, `daemon` plugs the adapters of [`ports`] in. [`Engine`] is a plain struct of services
//! with a door and a boot; what touches several resources is a flow in `flows/`, a list of steps that each
//! push their undo. `container` says what one is, `flows` does the steps, `containers` owns them: each knows
//! those before it. One task owns each container; list and inspect read what the tasks publish.

mod container;
pub mod containers;
mod core;
mod error;
pub mod events;
pub mod execs;
mod failpoints;
mod flows;
mod identity;
pub mod images;
mod layout;
pub mod networks;
pub mod ports;
mod quota;
mod records;
mod registries;
mod repairs;
mod settings;
pub mod stats;
mod storage;
pub mod system;
mod takeback;
pub mod volumes;

pub use containers::Containers;
pub use core::Ports;
pub use error::{Class, Error, Result};
pub use events::Events;
pub use execs::Execs;
pub use images::Images;
pub use networks::Networks;
pub use quota::StorageDefaults;
pub use settings::{BUILTIN_RUNTIMES, ImageGc, Mark, SeccompSetting, Settings};
pub use storage::Disk;
pub use system::System;
pub use volumes::Volumes;

use std::sync::Arc;

/// The services. Each is cheap to clone and may be used from any task.
#[derive(Debug, Clone)]
pub struct Engine {
    pub containers: Containers,
    pub images: Images,
    pub execs: Execs,
    pub networks: Networks,
    pub volumes: Volumes,
    pub events: Events,
    pub system: System,
}

impl Engine {
    /// Plug the adapters in. Nothing happens until [`Engine::boot`].
    pub fn new(settings: Settings, ports: Ports, store: Arc<store::Store>, facts: system::Facts) -> Self {
        let core = core::Core::new(settings, ports);
        let containers = Containers { core: core.clone() };
        let registries = Arc::new(registries::Registries::new(core.settings().registries.clone()));
        let images = Images::new(core.clone(), store, registries.clone());
        let execs = Execs { core: core.clone() };
        let networks = Networks { core: core.clone() };
        let volumes = Volumes { core: core.clone(), pruning: Arc::default(), registries };
        let events = core.events.clone();
        core.stats.set_machine_memory(facts.memory_bytes);
        let system = System {
            core,
            facts: Arc::new(facts),
            images: images.clone(),
            containers: containers.clone(),
            volumes: volumes.clone(),
        };
        Self { containers, images, execs, networks, volumes, events, system }
    }

    /// Take over what an earlier engine left, before the first request is served. Must run inside the runtime
    /// that the engine lives in.
    ///
    /// # Errors
    /// The records could not be read.
    pub async fn boot(&self) -> Result<()> {
        let bridges = networks::boot::load(&self.containers.core)?;
        repairs::tell_repairs(&self.containers.core);
        containers::boot::run(&self.containers.core, bridges).await?;
        // Not before it is known which images containers need.
        self.images.watch_garbage();
        Ok(())
    }
}

//! The engine: what happens to containers, images, execs. Decisions only.
//!
//! It knows no HTTP, no wire type, no flag, no terminal, no netlink and no clone: `server` converts requests
//! into the types here, `daemon` plugs the adapters of [`ports`] in. [`Engine`] is a plain struct of services
//! without methods of its own; what touches several resources is a flow in `flows/`, a list of steps that each
//! push their undo. One task owns each container; list and inspect read what the tasks publish.

pub mod containers;
mod error;
pub mod events;
pub mod execs;
pub mod images;
pub mod ports;
pub mod system;

pub use containers::Containers;
pub use error::{Class, Error, Result};
pub use events::Events;
pub use execs::Execs;
pub use images::Images;
pub use system::System;

/// The services. Each is cheap to clone and may be used from any task.
#[derive(Debug, Clone)]
pub struct Engine {
    pub containers: Containers,
    pub images: Images,
    pub execs: Execs,
    pub events: Events,
    pub system: System,
}

//! The spawner and the monitors: the processes that stand between the engine and what it runs.
//!
//! The engine has many threads and may die at any moment, so it neither forks nor holds anything that a
//! container needs. Both jobs live here, in processes with one thread each and no event-loop library:
//!
//! * The **spawner** ([`spawner`]) is the engine's only child. It is executed once from a sealed copy of the
//!   binary, waits for requests, and forks a monitor for each one.
//! * A **monitor** is that fork. It creates one process (a container's PID 1, or one exec)
//!   through `runtime`, owns its pty or pipes, writes its log, serves attached clients, and records how the
//!   process ended. It outlives the spawner and the engine.
//!
//! [`protocol`] is the conversation, [`client`] is the engine's end of it, and [`layout`] names the files a
//! monitor leaves for an engine that was not there to listen.

pub mod client;
mod criu;
pub mod error;
pub mod layout;
mod monitor;
mod payload;
pub mod protocol;
pub mod record;
pub mod spawner;
mod tools;
mod wire;

pub use error::Error;
pub use monitor::delete_force;

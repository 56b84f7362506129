//! Names on users' networks: what a container asks at 127.0.0.11.
//!
//! ```text
//!  engine ──seqpacket──► wharf-resolver ◄──UDP, TCP── 127.0.0.11 of each container on a user's network
//!                             └──► the host's servers, from the host; a container's own, from its namespace
//! ```
//!
//! One process for all containers of an engine, since each may ask for each. It is started by need, knows what the
//! engine told it ([`protocol`]), and goes on answering when the engine is killed; the next one tells it what has
//! changed. What it listens at in a container's namespace are sockets that the engine opened there. They would hold
//! the namespace, so it also watches the container's process, and lets go of them when that ends. When it is killed
//! itself, the engine starts another. Without an engine and without containers it ends.
//!
//! One thread: an answer about containers is a look-up in memory, and everything else is waiting.

mod answer;
mod cache;
pub mod client;
mod ears;
mod forward;
mod host;
mod names;
pub mod protocol;
mod server;
mod state;
mod wire;

pub use server::main;

/// `argv[0]` of the process: the binary calls [`main`] when it is called so.
pub const NAME: &str = "wharf-resolver";

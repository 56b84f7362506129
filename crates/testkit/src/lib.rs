//! Throw-away engines and fixtures for black-box tests.
//!
//! [`Engine`] runs the built binary as `wharf daemon` with everything of its own: data and exec root, socket, pid file,
//! bridge and subnet; several run side by side. When it is dropped it removes its containers, ends the engine, and
//! panics if anything is left; when the test is killed, a keeper does the same. [`directory`] is where to put it. [`canned::Server`] answers as an engine would, from a table: for what a client does
//! rather than what an engine does. [`busybox_image`] is a root file system to import.
//! [`Plugin`] gives volumes to an engine. [`Served`] is a registry, and [`Moto`] an S3 server.
//! [`Ground`] is where a test lets an engine of others run. [`vm`] boots another kernel, with cgroup v2 only.

pub mod canned;
mod directory;
mod engine;
mod ground;
mod image;
mod keeper;
mod left;
mod output;
mod place;
mod plugin;
mod pypi;
mod served;
pub mod vm;
mod wait;

pub use directory::directory;
pub use engine::Engine;
pub use ground::Ground;
pub use image::busybox_image;
pub use output::Output;
pub use plugin::Plugin;
pub use pypi::{Moto, is_out_of_reach, python_package};
pub use served::{Served, ask, free_port};
pub use wait::{DEADLINE, good, wait_until};

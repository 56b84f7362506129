//! What a configuration asks for, seen from inside a container and from the host: real containers, made by the
//! command on a real kernel. As root; each test has a bundle of its own with a static busybox, and leaves nothing.

mod bundle;
mod devices;
mod hooks;
mod mounts;
mod namespaces;
mod process;
mod safety;
mod seccomp;
mod terminal;

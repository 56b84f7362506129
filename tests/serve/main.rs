//! Black box: `wharf registry serve` as a user starts it, with the clients that people have.

mod backups;
mod bad;
mod cache;
mod clients;
mod collect;
mod config;
mod kit;
mod page;
mod processes;

//! Black box: `wharf registry serve` as a user starts it, with the clients that people have.

mod config;
mod kit;

//! Black box: the network of containers, each engine in a network namespace of its own, with a world outside.

mod addresses;
mod bridge;
mod check;
mod dns;
mod files;
mod firewall;
mod flags;
mod healing;
mod ipv6;
mod land;
mod links;
mod names;
mod networks;
mod over;
mod ports;
mod respect;
mod update;

use std::time::{Duration, Instant};

/// A loaded machine may take its time, never for ever.
const DEADLINE: Duration = Duration::from_secs(60);

/// Waits for it.
#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

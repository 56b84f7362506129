//! Black box: the network of containers, each engine in a network namespace of its own, with a world outside.

mod addresses;
mod bridge;
mod check;
mod dns;
mod everyday;
mod files;
mod firewall;
mod flags;
mod healing;
mod ipv6;
mod land;
mod links;
mod names;
mod networks;
mod options;
mod over;
mod ports;
mod respect;
mod update;
mod upstreams;

use std::time::{Duration, Instant};

/// A loaded machine may take its time, never for ever.
const DEADLINE: Duration = Duration::from_secs(60);

/// Waits until something is as it was, and shows what is different.
#[track_caller]
fn until_as<T: PartialEq + std::fmt::Debug>(what: &str, before: &T, now: impl Fn() -> T) {
    let deadline = Instant::now() + DEADLINE;
    while now() != *before {
        if Instant::now() > deadline {
            assert_eq!(now(), *before, "{what}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits for it.
#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

//! Our nftables table: what is in it, and putting it back when somebody flushes it.
//!
//! ```text
//! table inet wharf {
//!     set bridges { type ifname; elements = { "docker0" } }
//!     chain forward { type filter hook forward priority filter; policy accept;
//!         ct state established,related accept
//!         iifname @bridges oifname != @bridges accept
//!         iifname "docker0" oifname "docker0" accept       (drop with --icc=false)
//!         oifname @bridges drop                            (nothing reaches a container uninvited)
//!     }
//!     chain postrouting { type nat hook postrouting priority srcnat; policy accept;
//!         ip saddr 172.17.0.0/16 oifname != "docker0" masquerade
//!     }
//! }
//! ```
//!
//! Published ports, isolation between networks and links come as elements of maps beside the set; the number of
//! rules does not grow with containers.

use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::thread::JoinHandle;
use std::time::Duration;

use ipnet::Ipv4Net;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

use crate::desired::Desired;
use crate::error::{Error, Result};
use crate::netlink::Socket;
use crate::nft::{self, Chain, Hook, Match, Rule, Transaction};

const BRIDGES: &str = "bridges";
const PRIORITY_FILTER: i32 = 0;
const PRIORITY_SRCNAT: i32 = 100;

fn chains(desired: &Desired, subnet: Ipv4Net) -> Vec<Chain> {
    let Some(config) = &desired.firewall else { return Vec::new() };
    let bridge = || desired.bridge.name.clone();
    let between = [Match::InputIs(bridge()), Match::OutputIs(bridge())];
    let forward = vec![
        Rule::accept([Match::Established]),
        Rule::accept([Match::InputIn(BRIDGES), Match::OutputNotIn(BRIDGES)]),
        if config.inter_container { Rule::accept(between) } else { Rule::drop(between) },
        Rule::drop([Match::OutputIn(BRIDGES)]),
    ];
    let mut postrouting = Vec::new();
    if config.masquerade {
        postrouting.push(Rule::masquerade([Match::SourceIn(subnet), Match::OutputIsNot(bridge())]));
    }
    vec![
        Chain {
            name: "forward",
            kind: "filter",
            hook: Hook::Forward,
            priority: PRIORITY_FILTER,
            rules: forward,
        },
        Chain {
            name: "postrouting",
            kind: "nat",
            hook: Hook::Postrouting,
            priority: PRIORITY_SRCNAT,
            rules: postrouting,
        },
    ]
}

/// How many rules the complete table has; never what an absent table has.
pub(crate) fn rule_count(desired: &Desired, subnet: Option<Ipv4Net>) -> usize {
    subnet.map_or(usize::MAX, |subnet| chains(desired, subnet).iter().map(|c| c.rules.len()).sum())
}

/// Makes the table anew, in the calling thread's network namespace. Nobody sees it missing.
pub(crate) fn install(desired: &Desired, subnet: Ipv4Net, socket: &mut Socket) -> Result<()> {
    let Some(config) = &desired.firewall else { return Ok(()) };
    let mut transaction = Transaction::on(&config.table);
    // Made first so that there is one to delete.
    transaction.create_table();
    transaction.delete_table();
    transaction.create_table();
    transaction.create_interface_set(BRIDGES, 1, &[&desired.bridge.name]);
    for chain in chains(desired, subnet) {
        transaction.create_chain(&chain);
    }
    transaction.commit(socket)
}

/// Makes and removes a private table, with everything that ours needs, in the calling thread's network
/// namespace (which should be a new one).
///
/// # Errors
///
/// [`Error::NoNftables`] with the reason.
pub fn probe_nftables() -> Result<()> {
    let mut desired = Desired::default();
    let table = "wharf-probe";
    if let Some(config) = &mut desired.firewall {
        table.clone_into(&mut config.table);
    }
    let fatal = |e: Error| match e {
        Error::NoNftables(_) => e,
        other => Error::NoNftables(other.to_string()),
    };
    let mut socket = Socket::netfilter()?;
    install(&desired, Ipv4Net::default(), &mut socket).map_err(fatal)?;
    let mut transaction = Transaction::on(table);
    transaction.delete_table();
    transaction.commit(&mut socket).map_err(fatal)
}

/// How often the watcher lets itself be told of changes: a burst of them is looked at once.
const SETTLE: Duration = Duration::from_millis(20);

/// Watches nftables and puts the table back when it is gone or incomplete. Dropping it ends the watch.
pub struct Watcher {
    stop: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher").finish_non_exhaustive()
    }
}

impl Watcher {
    /// Watches the caller's network namespace, and asks over `questions`. `repaired` is called from the watching thread
    /// after every repair, with what went wrong if it failed.
    pub(crate) fn start(
        desired: Desired,
        subnet: Ipv4Net,
        mut questions: Socket,
        repaired: impl Fn(Result<()>) + Send + 'static,
    ) -> Result<Self> {
        let mut events = Socket::netfilter_events()?;
        let stop = eventfd(0, EventfdFlags::CLOEXEC).map_err(|e| Error::kernel("make an eventfd", e))?;
        let stopped = stop.try_clone().map_err(|e| Error::kernel("copy an eventfd", e))?;
        let watch = move || {
            let table = desired.firewall.as_ref().map_or("", |f| &f.table).to_owned();
            let wanted = rule_count(&desired, Some(subnet));
            loop {
                let (stop_fd, event_fd) = (stopped.as_fd(), events.as_fd());
                let mut fds = [PollFd::new(&stop_fd, PollFlags::IN), PollFd::new(&event_fd, PollFlags::IN)];
                match poll(&mut fds, None) {
                    Ok(_) | Err(rustix::io::Errno::INTR) => {}
                    Err(_) => return,
                }
                if !fds[0].revents().is_empty() {
                    return;
                }
                if !events.drain(|_| ()).unwrap_or(true) {
                    continue;
                }
                if nft::count_rules(&mut questions, &table).is_ok_and(|rules| rules == wanted) {
                    continue;
                }
                repaired(install(&desired, subnet, &mut questions));
                // Somebody who flushes in a loop is not fought with all our strength.
                std::thread::sleep(SETTLE);
            }
        };
        let thread = std::thread::Builder::new()
            .name("wharf-firewall".to_owned())
            .stack_size(128 * 1024)
            .spawn(watch)
            .map_err(|e| Error::kernel("start the firewall thread", e))?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = rustix::io::write(&self.stop, &1u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

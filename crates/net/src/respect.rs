//! `--firewall respect`: what is published is reached only where the host's own input policy lets it in.
//!
//! Whoever reads the rules of others has to understand all of them. So the kernel is asked instead: a packet that opens a
//! connection to a published port is left to the host first, and meets all that stands at the input hook, whoever's it is
//! and in whatever language. What comes out there at the end would have been the host's; it is sent once more, over a pair
//! of links of ours, and only what comes in by that pair is sent on to the container.
//!
//! ```text
//!                  prerouting          input                                                        prerouting
//!  up0 ─► packet ─► iifname != wi ──►  ufw, firewalld, iptables ─► asked: marks ─► asked: dup ─► wo ═ wi ─► dnat ─► container
//!                   return             (drops, rejects)            (inet wharf)    (ip wharf)
//! ```
//!
//! Only the first packet goes that way, as the kernel knows the rest of its connection. It stays what it is, with its own
//! source. `dup` is a thing of the family `ip`, so that there is a second table of our name, and what is meant is told to it
//! by the priority of the packet, which nobody looks at there and forwarding sets anew. The pair has the same hardware
//! address at both ends and asks nobody for another. Its address is that of RFC 7600, which is nobody's: without one the
//! kernel does not check the source of what comes in loosely, but not at all.

use std::fs;
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;
use rustix::io::Errno;

use crate::desired::{Desired, FirewallConfig};
use crate::error::{Error, Result};
use crate::netlink::{Batch, Socket};
use crate::nft::{self, Chain, Family, Hook, MARK, Match, Policy, Rule, Transaction, Verdict};

const DUMMY: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(192, 0, 0, 8), 32);
/// A neighbour of its, who is not there.
const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 9);
pub(crate) const ASKED: &str = "asked";
/// After everybody: `security` is at 50, and connections are confirmed at the very end.
const PRIORITY: i32 = 400;

/// What there is of it on the host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Respect {
    #[default]
    Absent,
    /// Or more than is wanted.
    Partly,
    Whole,
}

/// Names of the pair: by which packets leave, and come back.
pub(crate) fn links(owner: &str) -> [String; 2] {
    let owner: String = owner.chars().take(12).collect();
    [format!("wo-{owner}"), format!("wi-{owner}")]
}

/// In our table: who is sent on, and who is asked about.
pub(crate) fn route(chains: &mut Vec<Chain>, owner: &str) {
    let [_, entry] = links(owner);
    let Some(prerouting) = chains.iter_mut().find(|chain| chain.name == "prerouting") else { return };
    // In sets, since `nft` prints no look-up in a map whose answer nobody wants: what it printed would mean another thing.
    let rules =
        [(ASKED_PORTS, false), (ASKED_MOVED_PORTS_AT, false), (ASKED_MOVED_PORTS, true)].map(|(set, any)| {
            let matches = vec![Match::InputIsNotLoopback, Match::ToThisHost, Match::PortIn(set, any)];
            Rule { matches, verdict: Verdict::Mark }
        });
    prerouting.rules.insert(0, Rule::leave([Match::InputIsNot(entry)]));
    chains.push(Chain {
        name: ASKED,
        kind: "filter",
        hook: Hook::Input,
        priority: PRIORITY,
        policy: Policy::Accept,
        rules: rules.into(),
    });
}

/// The keys of the maps of published ports, once more.
pub(crate) const ASKED_PORTS: &str = "asked_ports";
pub(crate) const ASKED_MOVED_PORTS: &str = "asked_moved_ports";
pub(crate) const ASKED_MOVED_PORTS_AT: &str = "asked_moved_ports_at";

/// With whether they are of ranges, and have an address.
pub(crate) const KEY_SETS: [(&str, bool, bool); 3] =
    [(ASKED_PORTS, true, true), (ASKED_MOVED_PORTS, false, false), (ASKED_MOVED_PORTS_AT, false, true)];

/// Whether all published ports are asked about: how many keys there are to be, in the order of [`KEY_SETS`].
pub(crate) fn is_complete(config: &FirewallConfig, keys: [usize; 3], nft: &mut Socket) -> Result<bool> {
    for ((set, _, _), wanted) in KEY_SETS.into_iter().zip(keys) {
        if config.respect && nft::elements(nft, Family::Inet, &config.table, set)?.len() != wanted {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Looks for the pair and for our table of family `ip`.
pub(crate) fn observe(desired: &Desired, socket: &mut Socket, nft: &mut Socket) -> Result<Respect> {
    let Some(FirewallConfig { table, .. }) = &desired.firewall else { return Ok(Respect::Absent) };
    let mut found = 0;
    for name in links(&desired.owner) {
        match socket.link_index(&name) {
            Ok(_) => found += 1,
            Err(e) if e.errno() == Some(Errno::NODEV) => {}
            Err(e) => return Err(e),
        }
    }
    let rules = nft::rules(nft, Family::Ip, table)?.iter().filter(|rule| rule.chain == ASKED).count();
    Ok(match (found, rules) {
        (0, 0) => Respect::Absent,
        (2, 2) => Respect::Whole,
        _ => Respect::Partly,
    })
}

/// Takes away what there is of it.
pub(crate) fn remove(desired: &Desired, socket: &mut Socket, nft: &mut Socket) -> Result<()> {
    let Some(FirewallConfig { table, .. }) = &desired.firewall else { return Ok(()) };
    let mut transaction = Transaction::on(Family::Ip, table);
    transaction.create_table();
    transaction.delete_table();
    transaction.commit(nft)?;
    // With one end goes the other.
    for name in links(&desired.owner) {
        let Ok(index) = socket.link_index(&name) else { continue };
        let mut batch = Batch::default();
        batch.remove_link(index);
        socket.send(&batch)?;
    }
    Ok(())
}

/// Makes it, in place of what there is of it.
pub(crate) fn set_up(desired: &Desired, socket: &mut Socket, nft: &mut Socket) -> Result<()> {
    let Some(FirewallConfig { table, .. }) = &desired.firewall else { return Ok(()) };
    remove(desired, socket, nft)?;
    let [exit, entry] = links(&desired.owner);
    let mut batch = Batch::default();
    batch.create_loop(&exit, &entry);
    socket.send(&batch)?;
    for name in [&exit, &entry] {
        // Nobody speaks IPv6 there.
        let _ = fs::write(format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "1");
    }
    // The way back to whoever sent it leads elsewhere.
    let path = format!("/proc/sys/net/ipv4/conf/{entry}/rp_filter");
    fs::write(&path, "2").map_err(|e| Error::kernel(format!("write {path}"), e))?;
    let (out, back) = (socket.link_index(&exit)?, socket.link_index(&entry)?);
    let mut batch = Batch::default();
    batch.add_address(back, DUMMY.into());
    batch.set_up(back);
    batch.set_up(out);
    socket.send(&batch)?;

    let mut transaction = Transaction::on(Family::Ip, table);
    transaction.create_table();
    let chain = Chain {
        name: ASKED,
        kind: "filter",
        hook: Hook::Input,
        priority: PRIORITY + 1,
        policy: Policy::Accept,
        rules: vec![
            Rule { matches: vec![Match::Marked(MARK)], verdict: Verdict::SendAgain(NEIGHBOUR, out) },
            Rule::drop([Match::Marked(MARK)]),
        ],
    };
    transaction.create_chain(&chain);
    transaction.commit(nft).map_err(|error| match error {
        Error::NoNftables(text) => Error::Config(format!(
            "firewall \"respect\" needs nftables' dup, which this kernel does not have (CONFIG_NFT_DUP_IPV4): {text}"
        )),
        other => other,
    })
}

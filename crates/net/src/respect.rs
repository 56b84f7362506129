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
//! source. `dup` is a thing of the families `ip` and `ip6`, so that there are two more tables of our name, and what is meant
//! is told to them by the priority of the packet, which nobody looks at there and forwarding sets anew. The pair has the same
//! hardware address at both ends and asks nobody for another. Its address is that of RFC 7600, which is nobody's: without one
//! the kernel does not check the source of what comes in loosely, but not at all. Of IPv6 it has what links give themselves.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use ipnet::Ipv4Net;
use rustix::io::Errno;

use crate::desired::{Desired, FirewallConfig};
use crate::error::{Error, Result};
use crate::netlink::{Batch, Socket};
use crate::nft::{self, Chain, Family, Hook, MARK, Match, Policy, Rule, Transaction, Verdict};
use crate::version::Version;

const DUMMY: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(192, 0, 0, 8), 32);
/// A neighbour of its, who is not there.
const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(192, 0, 0, 9);
const NEIGHBOUR6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 9);
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
pub(crate) fn route(chains: &mut Vec<Chain>, owner: &str, versions: &[Version]) {
    let [_, entry] = links(owner);
    let Some(prerouting) = chains.iter_mut().find(|chain| chain.name == "prerouting") else { return };
    // In sets, since `nft` prints no look-up in a map whose answer nobody wants: what it printed would mean another thing.
    let rules = KEY_SETS.iter().filter(|set| versions.contains(&set.version)).map(|set| {
        let port = Match::PortIn(set.version, set.name, !set.with_address);
        Rule { matches: vec![Match::InputIsNotLoopback, Match::ToThisHost, port], verdict: Verdict::Mark }
    });
    prerouting.rules.insert(0, Rule::leave([Match::InputIsNot(entry)]));
    chains.push(Chain {
        name: ASKED,
        kind: "filter",
        hook: Hook::Input,
        priority: PRIORITY,
        policy: Policy::Accept,
        rules: rules.collect(),
    });
}

/// The keys of one of the maps of published ports, once more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeySet {
    pub(crate) version: Version,
    pub(crate) name: &'static str,
    pub(crate) ranges: bool,
    pub(crate) with_address: bool,
}

const fn key_set(version: Version, name: &'static str, ranges: bool, with_address: bool) -> KeySet {
    KeySet { version, name, ranges, with_address }
}

pub(crate) const KEY_SETS: [KeySet; 6] = [
    key_set(Version::V4, "asked_ports", true, true),
    key_set(Version::V4, "asked_moved_ports", false, false),
    key_set(Version::V4, "asked_moved_ports_at", false, true),
    key_set(Version::V6, "asked_ports6", true, true),
    key_set(Version::V6, "asked_moved_ports6", false, false),
    key_set(Version::V6, "asked_moved_ports_at6", false, true),
];

/// Where the kernel has IPv6 and its firewall is ours, it is asked about that, too.
fn families(config: &FirewallConfig) -> Vec<(Family, IpAddr)> {
    let ipv6 = config.ipv6 && Path::new("/proc/sys/net/ipv6").exists();
    let ipv6 = ipv6.then_some((Family::Ip6, IpAddr::V6(NEIGHBOUR6)));
    [(Family::Ip, IpAddr::V4(NEIGHBOUR))].into_iter().chain(ipv6).collect()
}

/// Whether all published ports are asked about: how many keys there are to be, in the order of [`KEY_SETS`].
pub(crate) fn is_complete(config: &FirewallConfig, keys: [usize; 6], nft: &mut Socket) -> Result<bool> {
    for (set, wanted) in KEY_SETS.into_iter().zip(keys) {
        if config.respect && nft::elements(nft, Family::Inet, &config.table, set.name)?.len() != wanted {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Looks for the pair and for our tables of families `ip` and `ip6`.
pub(crate) fn observe(desired: &Desired, socket: &mut Socket, nft: &mut Socket) -> Result<Respect> {
    let Some(config) = &desired.firewall else { return Ok(Respect::Absent) };
    let mut found = 0;
    for name in links(&desired.owner) {
        match socket.link_index(&name) {
            Ok(_) => found += 1,
            Err(e) if e.errno() == Some(Errno::NODEV) => {}
            Err(e) => return Err(e),
        }
    }
    let wanted = families(config).len();
    let (mut rules, mut whole) = (0, 0);
    for family in [Family::Ip, Family::Ip6] {
        let all = nft::rules(nft, family, &config.table)?;
        let here = all.iter().filter(|rule| rule.chain == ASKED).count();
        rules += here;
        whole += usize::from(here == 2);
    }
    Ok(match found {
        0 if rules == 0 => Respect::Absent,
        2 if whole == wanted && rules == 2 * wanted => Respect::Whole,
        _ => Respect::Partly,
    })
}

/// Takes away what there is of it.
pub(crate) fn remove(desired: &Desired, socket: &mut Socket, nft: &mut Socket) -> Result<()> {
    let Some(FirewallConfig { table, .. }) = &desired.firewall else { return Ok(()) };
    for family in [Family::Ip, Family::Ip6] {
        let mut transaction = Transaction::on(family, table);
        transaction.create_table();
        transaction.delete_table();
        match transaction.commit(nft) {
            // A kernel without IPv6 has no such tables.
            Err(Error::NoNftables(_)) if family == Family::Ip6 => {}
            removed => removed?,
        }
    }
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
    let Some(config) = &desired.firewall else { return Ok(()) };
    remove(desired, socket, nft)?;
    let families = families(config);
    let [exit, entry] = links(&desired.owner);
    let mut batch = Batch::default();
    batch.create_loop(&exit, &entry);
    socket.send(&batch)?;
    let with_ipv6 = families.iter().any(|(family, _)| *family == Family::Ip6);
    for name in [&exit, &entry] {
        let set = |setting: &str, value: &str| {
            fs::write(format!("/proc/sys/net/ipv6/conf/{name}/{setting}"), value)
        };
        // There is no router there.
        for setting in ["accept_ra", "router_solicitations"].into_iter().filter(|_| with_ipv6) {
            let _ = set(setting, "0");
        }
        let _ = set("disable_ipv6", if with_ipv6 { "0" } else { "1" });
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
    families.into_iter().try_for_each(|(family, neighbour)| ask(config, family, neighbour, out, nft))
}

/// The table that sends packets once more.
fn ask(config: &FirewallConfig, family: Family, neighbour: IpAddr, out: u32, nft: &mut Socket) -> Result<()> {
    let mut transaction = Transaction::on(family, &config.table);
    transaction.create_table();
    let chain = Chain {
        name: ASKED,
        kind: "filter",
        hook: Hook::Input,
        priority: PRIORITY + 1,
        policy: Policy::Accept,
        rules: vec![
            Rule { matches: vec![Match::Marked(MARK)], verdict: Verdict::SendAgain(neighbour, out) },
            Rule::drop([Match::Marked(MARK)]),
        ],
    };
    transaction.create_chain(&chain);
    transaction.commit(nft).map_err(|error| match error {
        Error::NoNftables(text) => Error::Config(format!(
            "firewall \"respect\" needs nftables' dup, which this kernel does not have ({}): {text}",
            if family == Family::Ip { "CONFIG_NFT_DUP_IPV4" } else { "CONFIG_NFT_DUP_IPV6" }
        )),
        other => other,
    })
}

//! Expressions of a rule: the virtual machine's instructions (`linux/netfilter/nf_tables.h`), in register 1.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::Ipv4Net;

use crate::desired::FirewallMark;
use crate::netlink::Batch;
use crate::ports::Protocol;
use crate::version::Version;

const ELEM: u16 = 1;
const EXPR_NAME: u16 = 1;
const EXPR_DATA: u16 = 2;
const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;

const REGISTER: u32 = 1;
/// The next one: a key of two parts lies in both.
const SECOND_REGISTER: u32 = 2;
const VERDICT_REGISTER: u32 = 0;

const META_PRIORITY: u32 = 2;
const META_MARK: u32 = 3;
const META_NFPROTO: u32 = 15;
const META_L4PROTO: u32 = 16;
/// The second and third word of a longer value in [`REGISTER`] (`NFT_REG32_01`, `NFT_REG32_02`).
const REGISTER_WORD_2: u32 = 9;
const REGISTER_WORD_3: u32 = 10;
const REGISTER_WORD_4: u32 = 11;
/// The sixth, where an address of IPv6 and a protocol come first.
const REGISTER_WORD_6: u32 = 13;
const META_IIFNAME: u32 = 6;
const META_OIFNAME: u32 = 7;
/// On a packet that the host would take (`respect.rs`).
pub(crate) const MARK: u32 = 0x7768_6166;
const EQUAL: u32 = 0;
const NOT_EQUAL: u32 = 1;
const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;
const IPV4_SOURCE: u32 = 12;
const IPV4_DESTINATION: u32 = 16;
const IPV6_SOURCE: u32 = 8;
const IPV6_DESTINATION: u32 = 24;
/// Of UDP and of TCP.
const DESTINATION_PORT: u32 = 2;
const PROTOCOL_TCP: u8 = 6;
const PROTOCOL_UDP: u8 = 17;
const PROTOCOL_ICMP: u8 = 1;
const PROTOCOL_ICMPV6: u8 = 58;
const NAT_DESTINATION: u32 = 1;
const CT_STATE: u32 = 0;
const CT_ESTABLISHED: u32 = 2;
const CT_RELATED: u32 = 4;
const CT_STATUS: u32 = 2;
const CT_STATUS_DNAT: u32 = 0x20;
/// `NFT_FIB_RESULT_ADDRTYPE`, `NFTA_FIB_F_DADDR`, `RTN_LOCAL`.
const FIB_ADDRESS_TYPE: u32 = 3;
const FIB_DESTINATION: u32 = 2;
const LOCAL: u32 = 2;
const ACCEPT: u32 = 1;
const DROP: u32 = 0;
/// `NFT_RETURN`, -5.
const RETURN: u32 = 5u32.wrapping_neg();

/// `NFT_JUMP`, -3.
const JUMP: u32 = 3u32.wrapping_neg();

const LOOPBACK: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8);

/// A name of an interface fills this many bytes (`IFNAMSIZ`).
pub(crate) const IFNAME_BYTES: usize = 16;

/// A condition. They read like `nft`'s.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Match {
    /// `iifname "x"`
    InputIs(String),
    /// `oifname "x"`
    OutputIs(String),
    /// `iifname @set`
    InputIn(&'static str),
    /// `oifname @set`
    OutputIn(&'static str),
    /// `oifname != @set`
    OutputNotIn(&'static str),
    /// `iifname != @set`
    InputNotIn(&'static str),
    /// `iifname . oifname @set`
    PairIn(&'static str),
    /// `ip saddr . oifname @set`
    StaysIn(Version, &'static str),
    /// `meta nfproto ipv6`
    Is(Version),
    /// `ip6 saddr ::1`
    FromLoopback6,
    /// `ip6 daddr ::1`
    ToLoopback6,
    /// `ip daddr . meta l4proto . th dport @set`
    PublishedIn(Version, &'static str),
    /// `meta l4proto icmp`: errors, and who asks whether somebody is there.
    Icmp(Version),
    /// `ip daddr 127.0.0.11`
    DestinationIs(Ipv4Addr),
    /// `udp dport 53`
    UdpPort(u16),
    /// `tcp dport 53`
    TcpPort(u16),
    /// `ip saddr 127.0.0.0/8`
    FromLoopback,
    /// `ip daddr 127.0.0.0/8`
    ToLoopback,
    /// `iifname != "lo"`
    InputIsNotLoopback,
    /// `iifname != "x"`
    InputIsNot(String),
    /// `meta priority x`
    Marked(u32),
    /// `meta mark & mask == x`: a mark of the administrator's.
    MarkIs(FirewallMark),
    /// `ip daddr . meta l4proto . th dport @set`; with any address without it.
    PortIn(Version, &'static str, bool),
    /// `fib daddr type local`: an address of this host's.
    ToThisHost,
    /// `ip saddr . ip daddr . meta l4proto . th dport @set`
    Linked(&'static str),
    /// `meta l4proto tcp`. Where a rule gives another port, `nft` can read back what it has printed only with it.
    Protocol(Protocol),
    /// `ct state established,related`
    Established,
    /// `ct status dnat`: it was sent to another address, which was replaced.
    Redirected,
}

/// What a rule does with a packet that fulfils all its conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accept,
    Drop,
    Return,
    /// And back, if nothing there decides.
    Jump(&'static str),
    Masquerade,
    /// `dnat ip to 127.0.0.11:1053`
    Redirect(Ipv4Addr, u16),
    /// `dnat ip to ip daddr . meta l4proto . th dport map @map`: to another address. A packet that is not in the map
    /// goes on with the next rule.
    ToAddressIn(Version, &'static str),
    /// `meta priority set x`
    Mark,
    /// `dup to 192.0.0.9 device x`, by the device's number.
    SendAgain(IpAddr, u32),
    /// The same, to another address and port.
    ToPortIn(Version, &'static str),
    /// Whatever address it was sent to: `dnat ip to meta l4proto . th dport map @map`.
    ToPortForAnyIn(Version, &'static str),
}

/// Conditions and a verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    pub(crate) matches: Vec<Match>,
    pub(crate) verdict: Verdict,
}

impl Rule {
    pub(crate) fn accept(matches: impl Into<Vec<Match>>) -> Self {
        Self { matches: matches.into(), verdict: Verdict::Accept }
    }

    pub(crate) fn drop(matches: impl Into<Vec<Match>>) -> Self {
        Self { matches: matches.into(), verdict: Verdict::Drop }
    }

    pub(crate) fn leave(matches: impl Into<Vec<Match>>) -> Self {
        Self { matches: matches.into(), verdict: Verdict::Return }
    }

    pub(crate) fn publish(matches: impl Into<Vec<Match>>, verdict: Verdict) -> Self {
        Self { matches: matches.into(), verdict }
    }

    pub(crate) fn jump(chain: &'static str) -> Self {
        Self { matches: Vec::new(), verdict: Verdict::Jump(chain) }
    }

    pub(crate) fn masquerade(matches: impl Into<Vec<Match>>) -> Self {
        Self { matches: matches.into(), verdict: Verdict::Masquerade }
    }

    pub(crate) fn redirect(matches: impl Into<Vec<Match>>, to: Ipv4Addr, port: u16) -> Self {
        Self { matches: matches.into(), verdict: Verdict::Redirect(to, port) }
    }

    /// The list of expressions.
    pub(super) fn encode(&self, b: &mut Batch) {
        for condition in &self.matches {
            match condition {
                Match::InputIs(name) => interface(b, META_IIFNAME, EQUAL, name),
                Match::OutputIs(name) => interface(b, META_OIFNAME, EQUAL, name),
                Match::InputIn(set) => interface_in(b, META_IIFNAME, set, false),
                Match::OutputIn(set) => interface_in(b, META_OIFNAME, set, false),
                Match::OutputNotIn(set) => interface_in(b, META_OIFNAME, set, true),
                Match::PairIn(set) => {
                    meta(b, META_IIFNAME);
                    load_meta(b, META_OIFNAME, SECOND_REGISTER);
                    lookup(b, set, false);
                }
                Match::InputNotIn(set) => interface_in(b, META_IIFNAME, set, true),
                Match::StaysIn(version, set) => {
                    let next = match version {
                        Version::V4 => REGISTER_WORD_2,
                        Version::V6 => SECOND_REGISTER,
                    };
                    source(b, *version);
                    load_meta(b, META_OIFNAME, next);
                    lookup(b, set, false);
                }
                Match::Is(version) => only(b, *version),
                Match::FromLoopback6 => {
                    source(b, Version::V6);
                    compare(b, EQUAL, &Ipv6Addr::LOCALHOST.octets());
                }
                Match::ToLoopback6 => {
                    only(b, Version::V6);
                    payload(b, NETWORK_HEADER, IPV6_DESTINATION, Version::V6.address_bytes());
                    compare(b, EQUAL, &Ipv6Addr::LOCALHOST.octets());
                }
                Match::PublishedIn(version, set) => {
                    sent_to(b, *version);
                    lookup(b, set, false);
                }
                Match::Icmp(version) => {
                    let protocol = match version {
                        Version::V4 => PROTOCOL_ICMP,
                        Version::V6 => PROTOCOL_ICMPV6,
                    };
                    meta(b, META_L4PROTO);
                    compare(b, EQUAL, &[protocol]);
                }
                Match::DestinationIs(address) => {
                    ipv4_only(b);
                    payload(b, NETWORK_HEADER, IPV4_DESTINATION, 4);
                    compare(b, EQUAL, &address.octets());
                }
                Match::UdpPort(port) => destination_port(b, PROTOCOL_UDP, *port),
                Match::TcpPort(port) => destination_port(b, PROTOCOL_TCP, *port),
                Match::FromLoopback => address_in(b, IPV4_SOURCE, LOOPBACK),
                Match::ToLoopback => address_in(b, IPV4_DESTINATION, LOOPBACK),
                Match::InputIsNotLoopback => interface(b, META_IIFNAME, NOT_EQUAL, "lo"),
                Match::InputIsNot(name) => interface(b, META_IIFNAME, NOT_EQUAL, name),
                Match::PortIn(version, set, any) => {
                    load_port(b, *version, *any);
                    lookup(b, set, false);
                }
                Match::Marked(mark) => {
                    meta(b, META_PRIORITY);
                    compare(b, EQUAL, &mark.to_ne_bytes());
                }
                Match::MarkIs(FirewallMark { mark, mask }) => {
                    meta(b, META_MARK);
                    bitwise(b, &mask.to_ne_bytes());
                    compare(b, EQUAL, &mark.to_ne_bytes());
                }
                Match::ToThisHost => {
                    expression(b, "fib", |b| {
                        b.attr_be32(1, REGISTER).attr_be32(2, FIB_ADDRESS_TYPE).attr_be32(3, FIB_DESTINATION);
                    });
                    compare(b, EQUAL, &LOCAL.to_ne_bytes());
                }
                Match::Linked(set) => {
                    ipv4_only(b);
                    payload(b, NETWORK_HEADER, IPV4_SOURCE, 4);
                    load_payload(b, REGISTER_WORD_2, NETWORK_HEADER, IPV4_DESTINATION, 4);
                    load_meta(b, META_L4PROTO, REGISTER_WORD_3);
                    load_payload(b, REGISTER_WORD_4, TRANSPORT_HEADER, DESTINATION_PORT, 2);
                    lookup(b, set, false);
                }
                Match::Protocol(protocol) => {
                    meta(b, META_L4PROTO);
                    compare(b, EQUAL, &[protocol.number()]);
                }
                Match::Established => connection(b, CT_STATE, CT_ESTABLISHED | CT_RELATED),
                Match::Redirected => connection(b, CT_STATUS, CT_STATUS_DNAT),
            }
        }
        match self.verdict {
            Verdict::Accept => verdict(b, ACCEPT),
            Verdict::Drop => verdict(b, DROP),
            Verdict::Return => verdict(b, RETURN),
            Verdict::Jump(chain) => jump(b, chain),
            Verdict::Mark => {
                immediate(b, REGISTER, &MARK.to_ne_bytes());
                expression(b, "meta", |b| {
                    b.attr_be32(2, META_PRIORITY).attr_be32(3, REGISTER);
                });
            }
            Verdict::SendAgain(to, device) => {
                match to {
                    IpAddr::V4(to) => immediate(b, REGISTER, &to.octets()),
                    IpAddr::V6(to) => immediate(b, REGISTER, &to.octets()),
                }
                immediate(b, SECOND_REGISTER, &device.to_ne_bytes());
                expression(b, "dup", |b| {
                    b.attr_be32(1, REGISTER).attr_be32(2, SECOND_REGISTER);
                });
            }
            Verdict::ToAddressIn(version, map) => redirect(b, version, map, false, false),
            Verdict::ToPortIn(version, map) => redirect(b, version, map, true, false),
            Verdict::ToPortForAnyIn(version, map) => redirect(b, version, map, true, true),
            Verdict::Masquerade => expression(b, "masq", |_| {}),
            Verdict::Redirect(to, port) => {
                immediate(b, REGISTER, &to.octets());
                immediate(b, SECOND_REGISTER, &port.to_be_bytes());
                expression(b, "nat", |b| {
                    b.attr_be32(1, NAT_DESTINATION)
                        .attr_be32(2, u32::from(Version::V4.number()))
                        .attr_be32(3, REGISTER)
                        .attr_be32(5, SECOND_REGISTER);
                });
            }
        }
    }
}

/// An interface's name as the kernel compares it: padded with zeros.
pub(crate) fn interface_name(name: &str) -> [u8; IFNAME_BYTES] {
    let mut bytes = [0; IFNAME_BYTES];
    let len = name.len().min(IFNAME_BYTES - 1);
    bytes[..len].copy_from_slice(&name.as_bytes()[..len]);
    bytes
}

fn expression(b: &mut Batch, name: &str, data: impl FnOnce(&mut Batch)) {
    b.nest(ELEM, |b| {
        b.attr_text(EXPR_NAME, name).nest(EXPR_DATA, data);
    });
}

fn meta(b: &mut Batch, key: u32) {
    load_meta(b, key, REGISTER);
}

fn load_meta(b: &mut Batch, key: u32, register: u32) {
    expression(b, "meta", |b| {
        b.attr_be32(1, register).attr_be32(2, key);
    });
}

fn compare(b: &mut Batch, operator: u32, value: &[u8]) {
    expression(b, "cmp", |b| {
        b.attr_be32(1, REGISTER).attr_be32(2, operator).nest(3, |b| {
            b.attr(DATA_VALUE, value);
        });
    });
}

fn bitwise(b: &mut Batch, mask: &[u8]) {
    expression(b, "bitwise", |b| {
        b.attr_be32(1, REGISTER).attr_be32(2, REGISTER).attr_be32(3, mask.len() as u32);
        b.nest(4, |b| {
            b.attr(DATA_VALUE, mask);
        });
        b.nest(5, |b| {
            b.attr(DATA_VALUE, &vec![0; mask.len()]);
        });
    });
}

fn interface(b: &mut Batch, key: u32, operator: u32, name: &str) {
    meta(b, key);
    compare(b, operator, &interface_name(name));
}

fn interface_in(b: &mut Batch, key: u32, set: &str, inverted: bool) {
    meta(b, key);
    lookup(b, set, inverted);
}

fn lookup(b: &mut Batch, set: &str, inverted: bool) {
    expression(b, "lookup", |b| {
        b.attr_text(1, set).attr_be32(2, REGISTER);
        if inverted {
            b.attr_be32(5, 1);
        }
    });
}

/// A table may be for both families: the address lies elsewhere in an IPv6 header.
fn only(b: &mut Batch, version: Version) {
    meta(b, META_NFPROTO);
    compare(b, EQUAL, &[version.number()]);
}

fn ipv4_only(b: &mut Batch) {
    only(b, Version::V4);
}

fn source(b: &mut Batch, version: Version) {
    let at = match version {
        Version::V4 => IPV4_SOURCE,
        Version::V6 => IPV6_SOURCE,
    };
    only(b, version);
    payload(b, NETWORK_HEADER, at, version.address_bytes());
}

/// Address, protocol and port, one after the other.
fn sent_to(b: &mut Batch, version: Version) {
    let (at, protocol_at, port_at) = match version {
        Version::V4 => (IPV4_DESTINATION, REGISTER_WORD_2, REGISTER_WORD_3),
        Version::V6 => (IPV6_DESTINATION, SECOND_REGISTER, REGISTER_WORD_6),
    };
    only(b, version);
    payload(b, NETWORK_HEADER, at, version.address_bytes());
    load_meta(b, META_L4PROTO, protocol_at);
    load_payload(b, port_at, TRANSPORT_HEADER, DESTINATION_PORT, 2);
}

fn payload(b: &mut Batch, header: u32, offset: u32, length: u32) {
    load_payload(b, REGISTER, header, offset, length);
}

fn load_payload(b: &mut Batch, register: u32, header: u32, offset: u32, length: u32) {
    expression(b, "payload", |b| {
        b.attr_be32(1, register).attr_be32(2, header).attr_be32(3, offset).attr_be32(4, length);
    });
}

fn destination_port(b: &mut Batch, protocol: u8, port: u16) {
    meta(b, META_L4PROTO);
    compare(b, EQUAL, &[protocol]);
    payload(b, TRANSPORT_HEADER, DESTINATION_PORT, 2);
    compare(b, EQUAL, &port.to_be_bytes());
}

fn address_in(b: &mut Batch, offset: u32, net: Ipv4Net) {
    ipv4_only(b);
    payload(b, NETWORK_HEADER, offset, 4);
    bitwise(b, &net.netmask().octets());
    compare(b, EQUAL, &net.network().octets());
}

/// One of these bits of the connection's.
fn connection(b: &mut Batch, key: u32, bits: u32) {
    expression(b, "ct", |b| {
        b.attr_be32(1, REGISTER).attr_be32(2, key);
    });
    bitwise(b, &bits.to_ne_bytes());
    compare(b, NOT_EQUAL, &[0; 4]);
}

/// Looks up where the packet goes, and has the kernel send the whole connection there.
fn redirect(b: &mut Batch, version: Version, map: &str, port: bool, any: bool) {
    if any {
        only(b, version);
        load_meta(b, META_L4PROTO, REGISTER);
        load_payload(b, REGISTER_WORD_2, TRANSPORT_HEADER, DESTINATION_PORT, 2);
    } else {
        sent_to(b, version);
    }
    let port_at = match version {
        Version::V4 => REGISTER_WORD_2,
        Version::V6 => SECOND_REGISTER,
    };
    expression(b, "lookup", |b| {
        b.attr_text(1, map).attr_be32(2, REGISTER).attr_be32(3, REGISTER);
    });
    expression(b, "nat", |b| {
        b.attr_be32(1, NAT_DESTINATION).attr_be32(2, u32::from(version.number())).attr_be32(3, REGISTER);
        if port {
            b.attr_be32(5, port_at);
        }
    });
}

/// Address, unless it may be any, protocol and port.
fn load_port(b: &mut Batch, version: Version, any: bool) {
    if any {
        only(b, version);
        load_meta(b, META_L4PROTO, REGISTER);
        load_payload(b, REGISTER_WORD_2, TRANSPORT_HEADER, DESTINATION_PORT, 2);
    } else {
        sent_to(b, version);
    }
}

fn immediate(b: &mut Batch, register: u32, value: &[u8]) {
    expression(b, "immediate", |b| {
        b.attr_be32(1, register).nest(2, |b| {
            b.attr(DATA_VALUE, value);
        });
    });
}

fn verdict(b: &mut Batch, code: u32) {
    expression(b, "immediate", |b| {
        b.attr_be32(1, VERDICT_REGISTER).nest(2, |b| {
            b.nest(DATA_VERDICT, |b| {
                b.attr_be32(1, code);
            });
        });
    });
}

fn jump(b: &mut Batch, chain: &str) {
    expression(b, "immediate", |b| {
        b.attr_be32(1, VERDICT_REGISTER).nest(2, |b| {
            b.nest(DATA_VERDICT, |b| {
                b.attr_be32(1, JUMP).attr_text(2, chain);
            });
        });
    });
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for condition in &self.matches {
            match condition {
                Match::InputIs(name) => write!(f, "iifname \"{name}\" ")?,
                Match::OutputIs(name) => write!(f, "oifname \"{name}\" ")?,
                Match::InputIn(set) => write!(f, "iifname @{set} ")?,
                Match::OutputIn(set) => write!(f, "oifname @{set} ")?,
                Match::OutputNotIn(set) => write!(f, "oifname != @{set} ")?,
                Match::PairIn(set) => write!(f, "iifname . oifname @{set} ")?,
                Match::InputNotIn(set) => write!(f, "iifname != @{set} ")?,
                Match::StaysIn(version, set) => write!(f, "{} saddr . oifname @{set} ", version.word())?,
                Match::Is(version) => write!(f, "meta nfproto {} ", version.word())?,
                Match::FromLoopback6 => write!(f, "ip6 saddr ::1 ")?,
                Match::ToLoopback6 => write!(f, "ip6 daddr ::1 ")?,
                Match::PublishedIn(version, set) => {
                    write!(f, "{} daddr . meta l4proto . th dport @{set} ", version.word())?;
                }
                Match::Icmp(version) => write!(f, "meta l4proto icmp of {} ", version.word())?,
                Match::DestinationIs(address) => write!(f, "ip daddr {address} ")?,
                Match::UdpPort(port) => write!(f, "udp dport {port} ")?,
                Match::TcpPort(port) => write!(f, "tcp dport {port} ")?,
                Match::FromLoopback => write!(f, "ip saddr {LOOPBACK} ")?,
                Match::ToLoopback => write!(f, "ip daddr {LOOPBACK} ")?,
                Match::InputIsNotLoopback => write!(f, "iifname != \"lo\" ")?,
                Match::InputIsNot(name) => write!(f, "iifname != \"{name}\" ")?,
                Match::PortIn(version, set, false) => {
                    write!(f, "{} daddr . meta l4proto . th dport @{set} ", version.word())?;
                }
                Match::PortIn(_, set, true) => write!(f, "meta l4proto . th dport @{set} ")?,
                Match::Marked(mark) => write!(f, "meta priority {mark:#x} ")?,
                Match::MarkIs(FirewallMark { mark, mask }) => {
                    write!(f, "meta mark & {mask:#x} == {mark:#x} ")?
                }
                Match::ToThisHost => write!(f, "fib daddr type local ")?,
                Match::Linked(set) => write!(f, "ip saddr . ip daddr . meta l4proto . th dport @{set} ")?,
                Match::Protocol(protocol) => write!(f, "meta l4proto {protocol} ")?,
                Match::Established => write!(f, "ct state established,related ")?,
                Match::Redirected => write!(f, "ct status dnat ")?,
            }
        }
        match self.verdict {
            Verdict::Accept => f.write_str("accept"),
            Verdict::Drop => f.write_str("drop"),
            Verdict::Return => f.write_str("return"),
            Verdict::Jump(chain) => write!(f, "jump {chain}"),
            Verdict::Mark => write!(f, "meta priority set {MARK:#x}"),
            Verdict::SendAgain(to, device) => write!(f, "dup to {to} device {device}"),
            Verdict::ToAddressIn(version, map) | Verdict::ToPortIn(version, map) => {
                let ip = version.word();
                write!(f, "dnat {ip} to {ip} daddr . meta l4proto . th dport map @{map}")
            }
            Verdict::ToPortForAnyIn(version, map) => {
                write!(f, "dnat {} to meta l4proto . th dport map @{map}", version.word())
            }
            Verdict::Masquerade => f.write_str("masquerade"),
            Verdict::Redirect(to, port) => write!(f, "dnat ip to {to}:{port}"),
        }
    }
}

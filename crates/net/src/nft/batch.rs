//! Tables, chains, sets and rules, changed in one transaction; and the few questions asked of the kernel.

use super::raw::RawRule;
use super::rule::{IFNAME_BYTES, Rule, interface_name};
use crate::error::{Error, Result};
use crate::netlink::message::{ACK, APPEND, CREATE, NESTED};
use crate::netlink::{Batch, Socket};
use crate::version::Version;

const SUBSYSTEM: u16 = 10;
pub(super) const NFPROTO_UNSPEC: u8 = 0;
pub(super) const NF_INET_FORWARD: u32 = 2;

const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NEWTABLE: u16 = 0;
const DELTABLE: u16 = 2;
const NEWCHAIN: u16 = 3;
const DELCHAIN: u16 = 5;
pub(super) const GETCHAIN: u16 = 4;
const NEWRULE: u16 = 6;
pub(super) const GETRULE: u16 = 7;
const DELRULE: u16 = 8;
const NEWSET: u16 = 9;
const DELSET: u16 = 11;
const NEWSETELEM: u16 = 12;

pub(super) const GETSETELEM: u16 = 13;
const DELSETELEM: u16 = 14;

/// The type "name of an interface", as `nft` prints it.
const TYPE_IFNAME: u32 = 41;
/// Two of them, one after the other: six bits for each part.
const TYPE_IFNAME_PAIR: u32 = TYPE_IFNAME << 6 | TYPE_IFNAME;

/// A note that `nft` leaves for itself, without which it prints the names backwards: tag 0 (byte order of the
/// keys), 4 bytes, 1 (the host's).
const HOST_ENDIAN_KEYS: [u8; 6] = {
    let [a, b, c, d] = 1u32.to_ne_bytes();
    [0, 4, a, b, c, d]
};

/// An address, a protocol and a port, one after the other, 6 bits each for the type of a part.
const fn type_address_protocol_port(version: Version) -> u32 {
    type_address(version) << 12 | TYPE_PROTOCOL_PORT
}
const TYPE_ADDRESS_PROTOCOL_PORT: u32 = type_address_protocol_port(Version::V4);
const TYPE_ADDRESSES_PROTOCOL_PORT: u32 = 7 << 18 | TYPE_ADDRESS_PROTOCOL_PORT;
const TYPE_PROTOCOL_PORT: u32 = 12 << 6 | 13;
const TYPE_PORT: u32 = 13;
const fn type_address(version: Version) -> u32 {
    match version {
        Version::V4 => 7,
        Version::V6 => 8,
    }
}
/// `NFT_SET_MAP`, and with it `NFT_SET_INTERVAL` and `NFT_SET_CONCAT`.
const MAP: u32 = 0x8;
const INTERVAL_MAP: u32 = MAP | 0x4 | 0x80;
/// Bytes that count of each part of the key.
const fn key_parts(version: Version) -> [u32; 3] {
    [version.address_bytes(), 1, 2]
}
/// What a protocol and a port take, each filled up.
const PROTOCOL_PORT_BYTES: u32 = 8;

pub(super) const RULE_HANDLE: u16 = 3;
pub(super) const RULE_EXPRESSIONS: u16 = 4;
pub(super) const RULE_USERDATA: u16 = 7;
/// Tag of a comment in a rule's user data.
pub(super) const COMMENT: u8 = 0;

pub(super) const fn kind(message: u16) -> u16 {
    SUBSYSTEM << 8 | message
}

/// `struct nfgenmsg`.
pub(super) const fn header(family: u8, resource: u16) -> [u8; 4] {
    let resource = resource.to_be_bytes();
    [family, 0, resource[0], resource[1]]
}

/// Which packets a table sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    /// IPv4 and IPv6.
    Inet,
    Ip,
    Ip6,
}

impl Family {
    /// As `nft` calls it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Inet => "inet",
            Self::Ip => "ip",
            Self::Ip6 => "ip6",
        }
    }

    pub(super) fn number(self) -> u8 {
        match self {
            Self::Inet => 1,
            Self::Ip => 2,
            Self::Ip6 => 10,
        }
    }

    pub(super) fn of(number: u8) -> Option<Self> {
        [Self::Inet, Self::Ip, Self::Ip6].into_iter().find(|family| family.number() == number)
    }
}

/// Where a base chain sees packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hook {
    Prerouting,
    /// What is for this machine.
    Input,
    Forward,
    /// What this machine sends itself.
    Output,
    Postrouting,
}

/// What happens to a packet that no rule decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    Accept,
    Drop,
}

/// A base chain to be made.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    pub(crate) name: &'static str,
    /// `filter` or `nat`.
    pub(crate) kind: &'static str,
    pub(crate) hook: Hook,
    pub(crate) priority: i32,
    pub(crate) policy: Policy,
    pub(crate) rules: Vec<Rule>,
}

/// A set by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InterfaceSet {
    pub(crate) name: &'static str,
    /// Of an incoming and an outgoing interface.
    pub(crate) pairs: bool,
}

impl InterfaceSet {
    /// A bridge's element; in a set of pairs the bridge with itself.
    pub(crate) fn key(self, name: &str) -> Vec<u8> {
        if self.pairs { Self::pair(name, name) } else { interface_name(name).to_vec() }
    }

    /// Of an incoming and an outgoing interface.
    pub(crate) fn pair(input: &str, output: &str) -> Vec<u8> {
        [interface_name(input), interface_name(output)].concat()
    }
}

/// An element of a map, for one key, or from the first to the last, each part of the key for itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Element {
    pub(crate) first: Vec<u8>,
    pub(crate) last: Option<Vec<u8>>,
    pub(crate) data: Vec<u8>,
}

/// The length of a nested attribute has 16 bits.
const ELEMENTS_PER_MESSAGE: usize = 500;

/// Changes to one table, sent together.
#[derive(Debug)]
pub(crate) struct Transaction<'a> {
    family: Family,
    table: &'a str,
    batch: Batch,
    /// The keys of published ports are kept twice (`respect.rs`).
    pub(crate) asks: bool,
}

impl Batch {
    /// How many bytes count of each part of a set's key.
    fn parts(&mut self, parts: &[u32]) -> &mut Self {
        self.nest(9, |b| {
            b.nest(2, |b| {
                for bytes in parts {
                    b.nest(1, |b| {
                        b.attr_be32(1, *bytes);
                    });
                }
            });
        })
    }
}

impl<'a> Transaction<'a> {
    pub(crate) fn on(family: Family, table: &'a str) -> Self {
        let mut batch = Batch::default();
        batch.begin(BATCH_BEGIN, 0, "begin a firewall transaction", &header(NFPROTO_UNSPEC, SUBSYSTEM));
        Self { family, table, batch, asks: false }
    }

    pub(crate) fn create_table(&mut self) {
        let table = self.table;
        self.message(NEWTABLE, CREATE, "create table").attr_text(1, table);
    }

    /// The table must exist.
    pub(crate) fn delete_table(&mut self) {
        let table = self.table;
        self.message(DELTABLE, 0, "delete table").attr_text(1, table);
    }

    /// With its rules.
    pub(crate) fn create_chain(&mut self, chain: &Chain) {
        self.prepare_chain(chain);
        self.append_rules(chain);
    }

    pub(crate) fn append_rules(&mut self, chain: &Chain) {
        for rule in &chain.rules {
            self.append_rule(chain.name, rule, None);
        }
    }

    /// Without its rules. One that is there already gets the policy.
    pub(crate) fn prepare_chain(&mut self, chain: &Chain) {
        let hook = match chain.hook {
            Hook::Prerouting => 0,
            Hook::Input => 1,
            Hook::Forward => 2,
            Hook::Output => 3,
            Hook::Postrouting => 4,
        };
        let table = self.table;
        self.message(NEWCHAIN, CREATE, chain.name)
            .attr_text(1, table)
            .attr_text(3, chain.name)
            .nest(4, |b| {
                b.attr_be32(1, hook).attr_be32(2, chain.priority as u32);
            })
            .attr_be32(5, u32::from(chain.policy == Policy::Accept))
            .attr_text(7, chain.kind);
    }

    /// At the end of a chain. The comment is what `nft` and iptables show as one.
    pub(crate) fn append_rule(&mut self, chain: &str, rule: &Rule, comment: Option<&str>) {
        let table = self.table;
        let message = self.message(NEWRULE, CREATE | APPEND, &rule.to_string());
        message.attr_text(1, table).attr_text(2, chain).nest(4, |b| rule.encode(b));
        if let Some(comment) = comment {
            let len = comment.len() as u8 + 1;
            let data = [&[COMMENT, len][..], comment.as_bytes(), &[0]].concat();
            message.attr(RULE_USERDATA, &data);
        }
    }

    /// A chain that rules of others jump to, if it is not there yet.
    pub(crate) fn create_plain_chain(&mut self, chain: &str) {
        let table = self.table;
        self.message(NEWCHAIN, CREATE, chain).attr_text(1, table).attr_text(3, chain);
    }

    /// A chain that may be there.
    pub(crate) fn forget_chain(&mut self, chain: &str) {
        // Made first so that there is one to delete: one without a hook is not what stands there, and changes nothing.
        self.create_plain_chain(chain);
        self.flush_chain(chain);
        let table = self.table;
        self.message(DELCHAIN, 0, chain).attr_text(1, table).attr_text(3, chain);
    }

    /// All rules of a chain.
    pub(crate) fn flush_chain(&mut self, chain: &str) {
        let table = self.table;
        self.message(DELRULE, 0, &format!("flush chain {chain}")).attr_text(1, table).attr_text(2, chain);
    }

    /// The set must be there.
    pub(crate) fn delete_set(&mut self, set: &str) {
        let table = self.table;
        self.message(DELSET, 0, set).attr_text(1, table).attr_text(2, set);
    }

    /// All elements of a set or map.
    pub(crate) fn flush_set(&mut self, set: &str) {
        let table = self.table;
        self.message(DELSETELEM, 0, &format!("flush {set}")).attr_text(1, table).attr_text(2, set);
    }

    /// A rule as it was read, at the end of a chain.
    pub(crate) fn append_raw(&mut self, chain: &str, rule: &RawRule) {
        let table = self.table;
        let message = self.message(NEWRULE, CREATE | APPEND, &format!("put a rule of {chain} back"));
        message.attr_text(1, table).attr_text(2, chain).attr(RULE_EXPRESSIONS | NESTED, &rule.expressions);
        if !rule.userdata.is_empty() {
            message.attr(RULE_USERDATA, &rule.userdata);
        }
    }

    pub(crate) fn delete_rule(&mut self, chain: &str, handle: u64) {
        let table = self.table;
        self.message(DELRULE, 0, &format!("delete rule {handle} of {chain}"))
            .attr_text(1, table)
            .attr_text(2, chain)
            .attr(RULE_HANDLE, &handle.to_be_bytes());
    }

    /// A set of interface names, or of pairs of them; `id` is its number within this transaction.
    pub(crate) fn create_interface_set(&mut self, set: InterfaceSet, id: u32) {
        let table = self.table;
        let (kind, length) = match set.pairs {
            false => (TYPE_IFNAME, IFNAME_BYTES),
            true => (TYPE_IFNAME_PAIR, 2 * IFNAME_BYTES),
        };
        self.message(NEWSET, CREATE, set.name)
            .attr_text(1, table)
            .attr_text(2, set.name)
            .attr_be32(3, 0)
            .attr_be32(4, kind)
            .attr_be32(5, length as u32)
            .attr_be32(10, id)
            .attr(13, &HOST_ENDIAN_KEYS);
    }

    /// Keys that are there already are no error.
    pub(crate) fn add_interfaces(&mut self, set: InterfaceSet, keys: &[Vec<u8>]) {
        self.elements(NEWSETELEM, CREATE, set, keys);
    }

    /// The keys must be there.
    pub(crate) fn remove_interfaces(&mut self, set: InterfaceSet, keys: &[Vec<u8>]) {
        self.elements(DELSETELEM, 0, set, keys);
    }

    fn elements(&mut self, message: u16, flags: u16, set: InterfaceSet, keys: &[Vec<u8>]) {
        let table = self.table;
        for some in keys.chunks(ELEMENTS_PER_MESSAGE) {
            self.message(message, flags, set.name).attr_text(1, table).attr_text(2, set.name).nest(3, |b| {
                for key in some {
                    b.nest(1, |b| {
                        b.nest(1, |b| {
                            b.attr(1, key);
                        });
                    });
                }
            });
        }
    }

    /// A set of ranges of addresses, each with the name of an interface.
    pub(crate) fn create_home_set(&mut self, version: Version, name: &str, id: u32) {
        let (table, bytes) = (self.table, version.address_bytes());
        self.message(NEWSET, CREATE, name)
            .attr_text(1, table)
            .attr_text(2, name)
            .attr_be32(3, INTERVAL_MAP & !MAP)
            .attr_be32(4, type_address(version) << 6 | TYPE_IFNAME)
            .attr_be32(5, bytes + IFNAME_BYTES as u32)
            .parts(&[bytes, IFNAME_BYTES as u32])
            .attr_be32(10, id)
            .attr(13, &HOST_ENDIAN_KEYS);
    }

    /// A map from ranges of keys to an address; `id` is its number within this transaction.
    pub(crate) fn create_range_map(&mut self, version: Version, name: &str, id: u32) {
        let bytes = version.address_bytes();
        let key = (type_address_protocol_port(version), bytes + PROTOCOL_PORT_BYTES);
        self.create_map(name, id, INTERVAL_MAP, key, (type_address(version), bytes))
            .parts(&key_parts(version));
    }

    /// A set of the same ranges.
    pub(crate) fn create_range_set(&mut self, version: Version, name: &str, id: u32) {
        let table = self.table;
        self.message(NEWSET, CREATE, name)
            .attr_text(1, table)
            .attr_text(2, name)
            .attr_be32(3, INTERVAL_MAP & !MAP)
            .attr_be32(4, type_address_protocol_port(version))
            .attr_be32(5, version.address_bytes() + PROTOCOL_PORT_BYTES)
            .parts(&key_parts(version))
            .attr_be32(10, id);
    }

    /// A map from single keys, with or without an address, to an address and a port.
    pub(crate) fn create_single_map(&mut self, version: Version, name: &str, id: u32, with_address: bool) {
        let bytes = version.address_bytes();
        let key = match with_address {
            true => (type_address_protocol_port(version), bytes + PROTOCOL_PORT_BYTES),
            false => (TYPE_PROTOCOL_PORT, PROTOCOL_PORT_BYTES),
        };
        self.create_map(name, id, MAP, key, (type_address(version) << 6 | TYPE_PORT, bytes + 4));
    }

    /// Sets of the keys of both kinds of maps.
    pub(crate) fn create_key_set(
        &mut self,
        version: Version,
        name: &str,
        id: u32,
        ranges: bool,
        with_address: bool,
    ) {
        let table = self.table;
        let (kind, length) = match with_address {
            true => (type_address_protocol_port(version), version.address_bytes() + PROTOCOL_PORT_BYTES),
            false => (TYPE_PROTOCOL_PORT, PROTOCOL_PORT_BYTES),
        };
        let set = self.message(NEWSET, CREATE, name);
        set.attr_text(1, table)
            .attr_text(2, name)
            .attr_be32(3, if ranges { INTERVAL_MAP & !MAP } else { 0 })
            .attr_be32(4, kind)
            .attr_be32(5, length)
            .attr_be32(10, id);
        if ranges {
            set.parts(&key_parts(version));
        }
    }

    /// A set of: from an address, to an address, with a protocol, to a port.
    pub(crate) fn create_link_set(&mut self, name: &str, id: u32) {
        let table = self.table;
        self.message(NEWSET, CREATE, name)
            .attr_text(1, table)
            .attr_text(2, name)
            .attr_be32(3, 0)
            .attr_be32(4, TYPE_ADDRESSES_PROTOCOL_PORT)
            .attr_be32(5, 16)
            .attr_be32(10, id);
    }

    /// Key and data have a type and a length.
    fn create_map(
        &mut self,
        name: &str,
        id: u32,
        flags: u32,
        key: (u32, u32),
        data: (u32, u32),
    ) -> &mut Batch {
        let table = self.table;
        self.message(NEWSET, CREATE, name)
            .attr_text(1, table)
            .attr_text(2, name)
            .attr_be32(3, flags)
            .attr_be32(4, key.0)
            .attr_be32(5, key.1)
            .attr_be32(6, data.0)
            .attr_be32(7, data.1)
            .attr_be32(10, id)
    }

    /// Elements that are there already, and mean the same, are no error.
    pub(crate) fn add_elements(&mut self, map: &str, elements: &[Element]) {
        self.map_elements(NEWSETELEM, CREATE, map, elements);
    }

    /// All of them must be there.
    pub(crate) fn delete_elements(&mut self, map: &str, elements: &[Element]) {
        self.map_elements(DELSETELEM, 0, map, elements);
    }

    fn map_elements(&mut self, message: u16, flags: u16, map: &str, elements: &[Element]) {
        let table = self.table;
        for some in elements.chunks(ELEMENTS_PER_MESSAGE) {
            self.message(message, flags, map).attr_text(1, table).attr_text(2, map).nest(3, |b| {
                for Element { first, last, data } in some {
                    let value = |b: &mut Batch, kind: u16, bytes: &[u8]| {
                        b.nest(kind, |b| {
                            b.attr(1, bytes);
                        });
                    };
                    b.nest(1, |b| {
                        value(b, 1, first);
                        if let Some(last) = last {
                            value(b, 10, last);
                        }
                        if message == NEWSETELEM && !data.is_empty() {
                            value(b, 2, data);
                        }
                    });
                }
            });
        }
    }

    /// All of it, or nothing.
    pub(crate) fn commit(mut self, socket: &mut Socket) -> Result<()> {
        self.batch.begin(BATCH_END, 0, "commit the firewall transaction", &header(NFPROTO_UNSPEC, SUBSYSTEM));
        socket.send(&self.batch).map_err(explain)
    }

    fn message(&mut self, message: u16, flags: u16, words: &str) -> &mut Batch {
        let words = format!("table {} {}: {words}", self.family.word(), self.table);
        self.batch.begin(kind(message), flags | ACK, words, &header(self.family.number(), 0))
    }
}

/// A kernel that lacks a part says so with one of these.
fn explain(error: Error) -> Error {
    use rustix::io::Errno;
    match error.errno() {
        Some(Errno::OPNOTSUPP | Errno::NOSYS | Errno::PROTONOSUPPORT | Errno::AFNOSUPPORT | Errno::NOENT) => {
            Error::NoNftables(error.to_string())
        }
        _ => error,
    }
}

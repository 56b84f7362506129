//! Tables, chains, sets and rules, changed in one transaction; and the few questions asked of the kernel.

use super::rule::{IFNAME_BYTES, Rule, interface_name};
use crate::error::{Error, Result};
use crate::netlink::message::{ACK, APPEND, Attrs, CREATE, DUMP};
use crate::netlink::{Batch, Socket};

const SUBSYSTEM: u16 = 10;
const NFPROTO_INET: u8 = 1;
const NFPROTO_UNSPEC: u8 = 0;
const NFPROTO_IPV4: u8 = 2;
const NF_INET_FORWARD: u32 = 2;

const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NEWTABLE: u16 = 0;
const DELTABLE: u16 = 2;
const NEWCHAIN: u16 = 3;
const GETCHAIN: u16 = 4;
const NEWRULE: u16 = 6;
const GETRULE: u16 = 7;
const NEWSET: u16 = 9;
const NEWSETELEM: u16 = 12;

/// The type "name of an interface", as `nft` prints it.
const TYPE_IFNAME: u32 = 41;

/// A note that `nft` leaves for itself, without which it prints the names backwards: tag 0 (byte order of the
/// keys), 4 bytes, 1 (the host's).
const HOST_ENDIAN_KEYS: [u8; 6] = {
    let [a, b, c, d] = 1u32.to_ne_bytes();
    [0, 4, a, b, c, d]
};

const fn kind(message: u16) -> u16 {
    SUBSYSTEM << 8 | message
}

/// `struct nfgenmsg`.
const fn header(family: u8, resource: u16) -> [u8; 4] {
    let resource = resource.to_be_bytes();
    [family, 0, resource[0], resource[1]]
}

/// Where a base chain sees packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hook {
    Forward,
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
    pub(crate) rules: Vec<Rule>,
}

/// Changes to one table of family `inet`, sent together.
#[derive(Debug)]
pub(crate) struct Transaction<'a> {
    table: &'a str,
    batch: Batch,
}

impl<'a> Transaction<'a> {
    pub(crate) fn on(table: &'a str) -> Self {
        let mut batch = Batch::default();
        batch.begin(BATCH_BEGIN, 0, "begin a firewall transaction", &header(NFPROTO_UNSPEC, SUBSYSTEM));
        Self { table, batch }
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

    pub(crate) fn create_chain(&mut self, chain: &Chain) {
        let hook = match chain.hook {
            Hook::Forward => 2,
            Hook::Postrouting => 4,
        };
        let table = self.table;
        self.message(NEWCHAIN, CREATE, chain.name)
            .attr_text(1, table)
            .attr_text(3, chain.name)
            .nest(4, |b| {
                b.attr_be32(1, hook).attr_be32(2, chain.priority as u32);
            })
            .attr_be32(5, 1)
            .attr_text(7, chain.kind);
        for rule in &chain.rules {
            self.message(NEWRULE, CREATE | APPEND, &rule.to_string())
                .attr_text(1, table)
                .attr_text(2, chain.name)
                .nest(4, |b| rule.encode(b));
        }
    }

    /// A set of interface names; `id` is its number within this transaction.
    pub(crate) fn create_interface_set(&mut self, name: &str, id: u32, members: &[&str]) {
        let table = self.table;
        self.message(NEWSET, CREATE, name)
            .attr_text(1, table)
            .attr_text(2, name)
            .attr_be32(3, 0)
            .attr_be32(4, TYPE_IFNAME)
            .attr_be32(5, IFNAME_BYTES as u32)
            .attr_be32(10, id)
            .attr(13, &HOST_ENDIAN_KEYS);
        if members.is_empty() {
            return;
        }
        self.message(NEWSETELEM, CREATE, name).attr_text(1, table).attr_text(2, name).attr_be32(4, id).nest(
            3,
            |b| {
                for member in members {
                    b.nest(1, |b| {
                        b.nest(1, |b| {
                            b.attr(1, &interface_name(member));
                        });
                    });
                }
            },
        );
    }

    /// All of it, or nothing.
    pub(crate) fn commit(mut self, socket: &mut Socket) -> Result<()> {
        self.batch.begin(BATCH_END, 0, "commit the firewall transaction", &header(NFPROTO_UNSPEC, SUBSYSTEM));
        socket.send(&self.batch).map_err(explain)
    }

    fn message(&mut self, message: u16, flags: u16, words: &str) -> &mut Batch {
        let words = format!("table inet {}: {words}", self.table);
        self.batch.begin(kind(message), flags | ACK, words, &header(NFPROTO_INET, 0))
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

/// How many rules a table of family `inet` has; 0 too if there is no such table.
pub(crate) fn count_rules(socket: &mut Socket, table: &str) -> Result<usize> {
    let mut batch = Batch::default();
    batch.begin(kind(GETRULE), DUMP, format!("list rules of table inet {table}"), &header(NFPROTO_INET, 0));
    batch.attr_text(1, table);
    let mut rules = 0;
    match socket.dump(&batch, |message| {
        // Older kernels do not filter.
        let of = message.body.get(4..).and_then(|attrs| Attrs(attrs).text(1));
        rules += usize::from(of.as_deref() == Some(table));
    }) {
        Ok(()) => Ok(rules),
        Err(e) if e.errno() == Some(rustix::io::Errno::NOENT) => Ok(0),
        Err(e) => Err(e),
    }
}

/// Base chains at the forward hook of families `ip` and `inet`: (table, chain, policy).
pub(crate) fn base_chains(socket: &mut Socket) -> Result<Vec<(String, String, Policy)>> {
    let mut batch = Batch::default();
    batch.begin(kind(GETCHAIN), DUMP, "list chains", &header(NFPROTO_UNSPEC, 0));
    let mut chains = Vec::new();
    socket.dump(&batch, |message| {
        let Some((family, attrs)) = message.body.first().zip(message.body.get(4..)) else { return };
        let attrs = Attrs(attrs);
        let forward = attrs.nested(4).and_then(|hook| hook.be32(1)) == Some(NF_INET_FORWARD);
        if forward && matches!(*family, NFPROTO_INET | NFPROTO_IPV4) {
            let policy = if attrs.be32(5) == Some(0) { Policy::Drop } else { Policy::Accept };
            chains.extend(attrs.text(1).zip(attrs.text(3)).map(|(table, name)| (table, name, policy)));
        }
    })?;
    Ok(chains)
}

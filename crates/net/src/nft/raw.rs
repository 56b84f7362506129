//! Rules as the kernel has them, whoever made them, and what events are about.

use super::ask::list_rules;
use super::batch::{Family, GETCHAIN, RULE_EXPRESSIONS, RULE_HANDLE, RULE_USERDATA, header, kind};
use crate::error::Result;
use crate::netlink::message::{Attrs, DUMP, Received};
use crate::netlink::{Batch, Socket};

/// Somebody's rule, as the kernel has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RawRule {
    pub(crate) chain: String,
    pub(crate) handle: u64,
    pub(crate) expressions: Vec<u8>,
    pub(crate) userdata: Vec<u8>,
}

impl RawRule {
    /// It refers to nothing but what is in it: neither to a set nor to another chain.
    pub(crate) fn stands_alone(&self) -> bool {
        let names = Attrs(&self.expressions).iter().filter_map(|(_, one)| Attrs(one).text(1));
        let refers = |name: String| matches!(name.as_str(), "lookup" | "dynset" | "objref");
        !names.into_iter().any(refers) && !self.jumps()
    }

    /// A verdict that names a chain.
    fn jumps(&self) -> bool {
        let verdict = |one| Attrs(one).nested(2)?.nested(2)?.nested(2)?.get(2).map(drop);
        Attrs(&self.expressions).iter().any(|(_, one)| verdict(one).is_some())
    }
}

/// All rules of a table; none if there is no such table.
pub(crate) fn rules(socket: &mut Socket, family: Family, table: &str) -> Result<Vec<RawRule>> {
    let mut rules = Vec::new();
    list_rules(socket, family, table, |rule| {
        let handle = rule.get(RULE_HANDLE).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes);
        let bytes = |kind| rule.get(kind).unwrap_or_default().to_vec();
        rules.extend(rule.text(2).zip(handle).map(|(chain, handle)| RawRule {
            chain,
            handle,
            expressions: bytes(RULE_EXPRESSIONS),
            userdata: bytes(RULE_USERDATA),
        }));
    })?;
    Ok(rules)
}

/// Whether a table has such a chain.
pub(crate) fn has_chain(socket: &mut Socket, family: Family, table: &str, chain: &str) -> Result<bool> {
    let mut batch = Batch::default();
    batch.begin(kind(GETCHAIN), DUMP, "list chains", &header(family.number(), 0));
    let mut found = false;
    socket.dump(&batch, |message| {
        let attrs = message.body.get(4..).map(Attrs);
        let is_it = |attrs: Attrs<'_>| {
            attrs.text(1).as_deref() == Some(table) && attrs.text(3).as_deref() == Some(chain)
        };
        found |= attrs.is_some_and(is_it);
    })?;
    Ok(found)
}

/// The table that an event is about.
pub(crate) fn table_of(event: &Received<'_>) -> Option<(Family, String)> {
    let (family, attrs) = event.body.first().zip(event.body.get(4..))?;
    Some((Family::of(*family)?, Attrs(attrs).text(1)?))
}

//! The few questions asked of the kernel: what is in a set, which rules have comments, who sees what is forwarded.

use super::batch::{
    COMMENT, Element, Family, GETCHAIN, GETRULE, GETSETELEM, NF_INET_FORWARD, NFPROTO_UNSPEC, Policy,
    RULE_HANDLE, RULE_USERDATA, header, kind,
};
use crate::error::Result;
use crate::netlink::message::{Attrs, DUMP};
use crate::netlink::{Batch, Socket};

fn list_elements(
    socket: &mut Socket,
    family: Family,
    table: &str,
    set: &str,
    mut each: impl FnMut(Attrs<'_>),
) -> Result<()> {
    let mut batch = Batch::default();
    let words = format!("list set {set} of table {} {table}", family.word());
    batch.begin(kind(GETSETELEM), DUMP, words, &header(family.number(), 0));
    batch.attr_text(1, table).attr_text(2, set);
    let listed = socket.dump(&batch, |message| {
        let list = message.body.get(4..).map(Attrs).and_then(|attrs| attrs.nested(3));
        list.into_iter().flat_map(Attrs::iter).for_each(|(_, one)| each(Attrs(one)));
    });
    match listed {
        Err(e) if e.errno() == Some(rustix::io::Errno::NOENT) => Ok(()),
        other => other,
    }
}

/// What is in a map that a [`Transaction`] has made; nothing if there is no such map.
pub(crate) fn elements(socket: &mut Socket, family: Family, table: &str, map: &str) -> Result<Vec<Element>> {
    let mut elements = Vec::new();
    let read = |element: Attrs<'_>| {
        let value = |kind| element.nested(kind)?.get(1);
        let last = value(10).map(<[u8]>::to_vec);
        Some(Element { first: value(1)?.to_vec(), last, data: value(2).unwrap_or_default().to_vec() })
    };
    list_elements(socket, family, table, map, |one| elements.extend(read(one)))?;
    Ok(elements)
}

/// Handle and comment of each rule of a chain that has a comment.
pub(crate) fn commented_rules(
    socket: &mut Socket,
    family: Family,
    table: &str,
    chain: &str,
) -> Result<Vec<(u64, String)>> {
    let mut rules = Vec::new();
    list_rules(socket, family, table, |rule| {
        let comment = rule.get(RULE_USERDATA).and_then(comment_in);
        let handle = rule.get(RULE_HANDLE).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes);
        if rule.text(2).as_deref() == Some(chain) {
            rules.extend(handle.zip(comment));
        }
    })?;
    Ok(rules)
}

pub(super) fn list_rules(
    socket: &mut Socket,
    family: Family,
    table: &str,
    mut each: impl FnMut(Attrs<'_>),
) -> Result<()> {
    let mut batch = Batch::default();
    let words = format!("list rules of table {} {table}", family.word());
    batch.begin(kind(GETRULE), DUMP, words, &header(family.number(), 0));
    batch.attr_text(1, table);
    let listed = socket.dump(&batch, |message| {
        // Older kernels do not filter.
        let rule = message.body.get(4..).map(Attrs).filter(|rule| rule.text(1).as_deref() == Some(table));
        rule.into_iter().for_each(&mut each);
    });
    match listed {
        Err(e) if e.errno() == Some(rustix::io::Errno::NOENT) => Ok(()),
        other => other,
    }
}

/// User data is a list of (tag, length, bytes).
fn comment_in(mut data: &[u8]) -> Option<String> {
    while let [tag, len, rest @ ..] = data {
        let (value, next) = rest.split_at_checked(usize::from(*len))?;
        if *tag == COMMENT {
            return Some(String::from_utf8_lossy(value.strip_suffix(&[0]).unwrap_or(value)).into_owned());
        }
        data = next;
    }
    None
}

/// A base chain of somebody's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BaseChain {
    pub(crate) family: Family,
    pub(crate) table: String,
    pub(crate) name: String,
    pub(crate) policy: Policy,
}

/// Base chains at the forward hook.
pub(crate) fn forward_chains(socket: &mut Socket) -> Result<Vec<BaseChain>> {
    let mut batch = Batch::default();
    batch.begin(kind(GETCHAIN), DUMP, "list chains", &header(NFPROTO_UNSPEC, 0));
    let mut chains = Vec::new();
    socket.dump(&batch, |message| {
        let Some((family, attrs)) = message.body.first().zip(message.body.get(4..)) else { return };
        let attrs = Attrs(attrs);
        let forward = attrs.nested(4).and_then(|hook| hook.be32(1)) == Some(NF_INET_FORWARD);
        let Some(family) = Family::of(*family).filter(|_| forward) else { return };
        let policy = if attrs.be32(5) == Some(0) { Policy::Drop } else { Policy::Accept };
        let names = attrs.text(1).zip(attrs.text(3));
        chains.extend(names.map(|(table, name)| BaseChain { family, table, name, policy }));
    })?;
    Ok(chains)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_found_among_other_data() {
        assert_eq!(comment_in(&[9, 1, 7, COMMENT, 3, b'h', b'i', 0]).as_deref(), Some("hi"));
        assert_eq!(comment_in(&[9, 1, 7]), None);
        assert_eq!(comment_in(&[COMMENT, 200, 1]), None);
    }
}

//! nftables over netlink: what `nft -f` does, without `nft`.
//!
//! `rule.rs` has the expressions, named as in `nft`'s own language; `batch.rs` the objects. One batch is one
//! transaction: all of it happens, or nothing.

mod ask;
mod batch;
mod raw;
mod rule;

pub(crate) use ask::{BaseChain, commented_rules, elements, forward_chains};
pub(crate) use batch::{Chain, Element, Family, Hook, InterfaceSet, Policy, Transaction};
pub(crate) use raw::{RawRule, has_chain, rules, table_of};
pub(crate) use rule::{MARK, Match, Rule, Verdict, interface_name};

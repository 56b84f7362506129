//! What a list of rules adds up to: a default and its exceptions, the form in which both the v1 lists and the
//! v2 program can hold it.

use std::fmt;

use oci::runtime::DeviceRule;

use crate::{Error, Result};

/// `BPF_DEVCG_ACC_*` of linux/bpf.h.
pub(super) const MKNOD: u8 = 1;
pub(super) const READ: u8 = 2;
pub(super) const WRITE: u8 = 4;
pub(super) const ALL: u8 = MKNOD | READ | WRITE;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Block,
    Char,
}

/// Which nodes; `None` is any number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Nodes {
    pub(super) kind: Kind,
    pub(super) major: Option<u32>,
    pub(super) minor: Option<u32>,
}

impl Nodes {
    fn covers(&self, other: &Nodes) -> bool {
        let wider = |a: Option<u32>, b: Option<u32>| a.is_none() || a == b;
        self.kind == other.kind && wider(self.major, other.major) && wider(self.minor, other.minor)
    }
}

/// An exception: nodes and what may (or may not) be done with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) nodes: Nodes,
    pub(super) access: u8,
}

/// The exceptions stand in the order in which they came up: v1's `devices.list` shows them in the order of
/// writing, and the specification wants the rules applied in theirs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Policy {
    pub(super) default_allow: bool,
    exceptions: Vec<(Nodes, u8)>,
}

impl Policy {
    /// Plays the rules in order, as writing them to v1's files would. A new list denies everything.
    pub(super) fn from_rules(rules: &[DeviceRule]) -> Result<Policy> {
        let mut policy = Policy::default();
        for rule in rules {
            policy.add(rule)?;
        }
        Ok(policy)
    }

    fn add(&mut self, rule: &DeviceRule) -> Result<()> {
        let number = |n: Option<i64>| match n {
            None | Some(-1) => Ok(None),
            Some(n) => u32::try_from(n)
                .map(Some)
                .map_err(|_| Error::Invalid(format!("invalid device number {n} in a device rule"))),
        };
        let (major, minor) = (number(rule.major)?, number(rule.minor)?);
        let access = parse_access(&rule.access)?;
        let kind = match rule.kind.as_str() {
            "b" => Kind::Block,
            "c" | "u" => Kind::Char,
            "a" | "" if major.is_none() && minor.is_none() => {
                // The kernel looks at nothing else in such a rule.
                *self = Policy { default_allow: rule.allow, exceptions: Vec::new() };
                return Ok(());
            }
            "a" | "" => {
                return Err(Error::Invalid(
                    "a device rule of type \"a\" cannot name a device number".to_owned(),
                ));
            }
            other => return Err(Error::Invalid(format!("invalid device type {other:?} in a device rule"))),
        };
        let nodes = Nodes { kind, major, minor };
        if rule.allow != self.default_allow {
            self.except(nodes, access);
            return Ok(());
        }
        // Back to the default: out of the exceptions. Neither version can carve a hole into a wider one.
        if let Some((wider, _)) =
            self.exceptions.iter().find(|(n, a)| n.covers(&nodes) && *n != nodes && a & access != 0)
        {
            return Err(Error::Invalid(format!(
                "the device rule for {} cannot be split off from the one for {}",
                Entry { nodes, access },
                Entry { nodes: *wider, access }
            )));
        }
        self.exceptions.retain_mut(|(n, a)| {
            if nodes.covers(n) {
                *a &= !access;
            }
            *a != 0
        });
        Ok(())
    }

    fn except(&mut self, nodes: Nodes, access: u8) {
        match self.exceptions.iter_mut().find(|(n, _)| *n == nodes) {
            Some((_, known)) => *known |= access,
            None => self.exceptions.push((nodes, access)),
        }
    }

    /// The text of `devices.list`. `None` if a line is not understood.
    pub(super) fn from_list(text: &str) -> Option<Policy> {
        let mut policy = Policy::default();
        for line in text.lines() {
            // c 1:3 rwm
            let mut words = line.split_whitespace();
            let (kind, numbers, access) = (words.next()?, words.next()?, words.next()?);
            let kind = match kind {
                "a" => return Some(Policy { default_allow: true, exceptions: Vec::new() }),
                "b" => Kind::Block,
                "c" => Kind::Char,
                _ => return None,
            };
            let (major, minor) = numbers.split_once(':')?;
            let number = |text: &str| if text == "*" { Some(None) } else { text.parse().ok().map(Some) };
            let nodes = Nodes { kind, major: number(major)?, minor: number(minor)? };
            policy.except(nodes, parse_access(access).ok()?);
        }
        Some(policy)
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        self.exceptions.iter().map(|(nodes, access)| Entry { nodes: *nodes, access: *access })
    }

    /// The exceptions that `other` does not have.
    pub(super) fn beyond<'a>(&'a self, other: &'a Policy) -> impl Iterator<Item = Entry> + 'a {
        self.entries().filter_map(|Entry { nodes, access }| {
            let known = other.exceptions.iter().find(|(n, _)| *n == nodes).map_or(0, |(_, a)| *a);
            let access = access & !known;
            (access != 0).then_some(Entry { nodes, access })
        })
    }
}

fn parse_access(text: &str) -> Result<u8> {
    if text.is_empty() {
        return Ok(ALL);
    }
    text.chars().try_fold(0, |access, letter| match letter {
        'r' => Ok(access | READ),
        'w' => Ok(access | WRITE),
        'm' => Ok(access | MKNOD),
        _ => Err(Error::Invalid(format!("invalid device access {text:?} (letters of \"rwm\")"))),
    })
}

/// As v1's files take it: `c 1:* rwm`.
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |n: Option<u32>| n.map_or_else(|| "*".to_owned(), |n| n.to_string());
        let kind = match self.nodes.kind {
            Kind::Block => 'b',
            Kind::Char => 'c',
        };
        write!(f, "{kind} {}:{} ", number(self.nodes.major), number(self.nodes.minor))?;
        [(READ, "r"), (WRITE, "w"), (MKNOD, "m")]
            .iter()
            .filter(|(bit, _)| self.access & bit != 0)
            .try_for_each(|(_, letter)| f.write_str(letter))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn rule(
        allow: bool,
        kind: &str,
        major: Option<i64>,
        minor: Option<i64>,
        access: &str,
    ) -> DeviceRule {
        DeviceRule { allow, kind: kind.into(), major, minor, access: access.into() }
    }

    fn texts(policy: &Policy) -> Vec<String> {
        policy.entries().map(|e| e.to_string()).collect()
    }

    #[test]
    fn later_rules_win_and_merge() {
        let policy = Policy::from_rules(&[
            rule(true, "c", Some(9), Some(9), ""),
            rule(false, "a", None, None, "rwm"),
            rule(true, "c", Some(1), Some(3), "rw"),
            rule(true, "c", Some(1), Some(3), "m"),
            rule(true, "b", Some(-1), None, "m"),
            rule(true, "c", Some(5), Some(1), "rwm"),
            rule(false, "c", Some(5), None, "w"),
        ])
        .unwrap();
        assert!(!policy.default_allow);
        assert_eq!(texts(&policy), ["c 1:3 rwm", "b *:* m", "c 5:1 rm"]);
    }

    #[test]
    fn nonsense_and_the_inexpressible_are_refused() {
        let all = rule(false, "a", None, None, "");
        for bad in [
            rule(true, "a", Some(1), None, ""),
            rule(true, "x", Some(1), None, ""),
            rule(true, "c", Some(-2), None, ""),
            rule(true, "c", Some(1), None, "rx"),
        ] {
            assert!(Policy::from_rules(&[all.clone(), bad.clone()]).is_err(), "{bad:?}");
        }
        let hole = [all, rule(true, "c", Some(1), None, "rwm"), rule(false, "c", Some(1), Some(5), "w")];
        assert!(Policy::from_rules(&hole).is_err());
    }

    #[test]
    fn the_kernels_list_reads_back() {
        let text = "c 1:3 rwm\nb *:* m\nc 136:* rw";
        let policy = Policy::from_list(text).unwrap();
        assert_eq!(texts(&policy), ["c 1:3 rwm", "b *:* m", "c 136:* rw"]);
        assert!(Policy::from_list("a *:* rwm").unwrap().default_allow);

        let wanted = Policy::from_list("c 1:3 rw\nc 1:5 r\nb *:* m").unwrap();
        let show = |a: &Policy, b: &Policy| a.beyond(b).map(|e| e.to_string()).collect::<Vec<_>>();
        assert_eq!(show(&wanted, &policy), ["c 1:5 r"]);
        assert_eq!(show(&policy, &wanted), ["c 1:3 m", "c 136:* rw"]);
    }
}

//! Capabilities: names to sets, and a process that ends up with exactly those.

use oci::runtime::{CAPABILITY_NAMES, Capabilities};
use rustix::thread::CapabilitySet;

/// The five sets of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sets {
    pub(crate) bounding: CapabilitySet,
    pub(crate) effective: CapabilitySet,
    pub(crate) permitted: CapabilitySet,
    pub(crate) inheritable: CapabilitySet,
    pub(crate) ambient: CapabilitySet,
}

impl Sets {
    /// Reads the names; unknown ones (of a kernel newer than this list, or invented) are passed over, as runc
    /// does. Nothing beyond `available`, the caller's bounding set, is asked for: what the host does not have
    /// it cannot give.
    pub(crate) fn parse(capabilities: &Capabilities, available: CapabilitySet) -> Self {
        let set = |names: &[String]| {
            let known = names.iter().filter_map(|name| CAPABILITY_NAMES.iter().position(|n| n == name));
            CapabilitySet::from_bits_retain(known.fold(0, |bits, n| bits | 1 << n)) & available
        };
        Self {
            bounding: set(&capabilities.bounding),
            effective: set(&capabilities.effective),
            permitted: set(&capabilities.permitted),
            inheritable: set(&capabilities.inheritable),
            ambient: set(&capabilities.ambient),
        }
    }
}

/// What a runtime says of names that it passes over: unknown ones, and those that this process has not to give.
pub(crate) fn warning(capabilities: Option<&Capabilities>) -> Option<String> {
    let all = capabilities?;
    let available = available();
    let mut names: Vec<&str> =
        [&all.bounding, &all.effective, &all.permitted, &all.inheritable, &all.ambient]
            .into_iter()
            .flatten()
            .map(String::as_str)
            .filter(|name| {
                let number = CAPABILITY_NAMES.iter().position(|known| known == name);
                !number.is_some_and(|n| available.contains(CapabilitySet::from_bits_retain(1 << n)))
            })
            .collect();
    names.sort_unstable();
    names.dedup();
    let list = names.join(" ");
    (!names.is_empty()).then(|| format!("ignoring unknown or unavailable capabilities: [{list}]"))
}

/// This process's bounding set.
pub(crate) fn available() -> CapabilitySet {
    (0..CAPABILITY_NAMES.len())
        .map(|n| CapabilitySet::from_bits_retain(1 << n))
        .filter(|c| rustix::thread::capability_is_in_bounding_set(*c).unwrap_or(false))
        .fold(CapabilitySet::empty(), |all, c| all | c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_bits_and_unknown_ones_vanish() {
        let names = |n: &[&str]| n.iter().map(ToString::to_string).collect();
        let wanted = Capabilities {
            bounding: names(&["CAP_CHOWN", "CAP_SYS_RESOURCE", "CAP_FLY"]),
            ambient: names(&["CAP_CHECKPOINT_RESTORE"]),
            ..Capabilities::default()
        };
        let sets = Sets::parse(&wanted, CapabilitySet::all() - CapabilitySet::SYS_RESOURCE);
        assert_eq!(sets.bounding, CapabilitySet::CHOWN);
        assert_eq!(sets.ambient, CapabilitySet::CHECKPOINT_RESTORE);
        assert!(sets.effective.is_empty());
    }

    #[test]
    fn passed_over_names_are_told() {
        let names = |n: &[&str]| n.iter().map(ToString::to_string).collect();
        let wanted = Capabilities {
            bounding: names(&["CAP_FLY", "CAP_CHOWN"]),
            ambient: names(&["CAP_FLY", "CAP_DIG"]),
            ..Capabilities::default()
        };
        let text = "ignoring unknown or unavailable capabilities: [CAP_DIG CAP_FLY]";
        assert_eq!(warning(Some(&wanted)).as_deref(), Some(text));
        assert_eq!(warning(None), None);
    }
}

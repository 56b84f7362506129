//! Running for somebody who is not the machine's root.

use std::path::PathBuf;

/// Whether a cgroup that may not be made is to be gone without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rootless {
    Yes,
    No,
    /// As [`is_rootless`] finds it.
    Auto,
}

impl Rootless {
    pub(super) fn decide(self) -> bool {
        match self {
            Self::Yes => true,
            Self::No => false,
            Self::Auto => is_rootless(),
        }
    }
}

/// `auto`, or a truth as Go spells it.
pub(super) fn parse(text: &str) -> Result<Rootless, String> {
    match text {
        "" | "auto" => Ok(Rootless::Auto),
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Rootless::Yes),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Rootless::No),
        _ => Err("expected true, false or auto".into()),
    }
}

/// Not root, or root of a user namespace only.
pub(super) fn is_rootless() -> bool {
    !rustix::process::geteuid().is_root() || in_user_namespace()
}

/// The first user namespace maps every id to itself (`user_namespaces(7)`).
fn in_user_namespace() -> bool {
    std::fs::read_to_string("/proc/self/uid_map")
        .is_ok_and(|map| map.split_whitespace().ne(["0", "0", "4294967295"]))
}

/// Where state is kept unless `--root` says so.
pub(super) fn home() -> PathBuf {
    let own = std::env::var_os("XDG_RUNTIME_DIR").filter(|d| !d.is_empty() && is_rootless());
    own.map_or_else(
        || PathBuf::from("/run/wharf/oci"),
        |directory| PathBuf::from(directory).join("wharf/oci"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_answers() {
        assert_eq!(parse("auto"), Ok(Rootless::Auto));
        assert_eq!(parse("TRUE"), Ok(Rootless::Yes));
        assert_eq!(parse("0"), Ok(Rootless::No));
        assert!(parse("perhaps").is_err());
    }
}

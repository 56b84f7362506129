//! A mount's options: words to flags, before anything is mounted.

use oci::runtime::Mount;
use sys::mount::attr;

use crate::{Error, Result};

/// What a list of options means.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// A bind mount; the value says whether what is mounted below comes along.
    pub(crate) bind: Option<bool>,
    /// Attributes of this mount.
    pub(crate) set: u64,
    pub(crate) clear: u64,
    /// Attributes of this mount and all below it (`rro`, `rnosuid`).
    pub(crate) set_recursive: u64,
    pub(crate) clear_recursive: u64,
    /// `MS_SHARED` and the like, with whether it goes for all below; in their order.
    pub(crate) propagation: Vec<(u64, bool)>,
    /// `idmap`, or recursive with `ridmap`.
    pub(crate) idmap: Option<bool>,
    /// The tmpfs begins with a copy of what it covers.
    pub(crate) copy_up: bool,
    /// Flags of the file system as a whole: `sync`, `lazytime`.
    pub(crate) file_system: Vec<&'static str>,
    /// What the file system itself is told, `mode=755`.
    pub(crate) data: Vec<String>,
    /// Change what is mounted there already.
    pub(crate) remount: bool,
}

/// The option that names a label; unlike others, its value may have commas.
pub(crate) const CONTEXT: &str = "context=";

const MS_UNBINDABLE: u64 = 1 << 17;
pub(crate) const MS_PRIVATE: u64 = 1 << 18;
pub(crate) const MS_SLAVE: u64 = 1 << 19;
const MS_SHARED: u64 = 1 << 20;

/// Words that set (or clear) an attribute of one mount; with an `r` in front they go for all below.
const ATTRIBUTES: &[(&str, u64, u64)] = &[
    ("ro", attr::RDONLY, 0),
    ("rw", 0, attr::RDONLY),
    ("nosuid", attr::NOSUID, 0),
    ("suid", 0, attr::NOSUID),
    ("nodev", attr::NODEV, 0),
    ("dev", 0, attr::NODEV),
    ("noexec", attr::NOEXEC, 0),
    ("exec", 0, attr::NOEXEC),
    ("nodiratime", attr::NODIRATIME, 0),
    ("diratime", 0, attr::NODIRATIME),
    ("nosymfollow", attr::NOSYMFOLLOW, 0),
    ("symfollow", 0, attr::NOSYMFOLLOW),
    ("noatime", attr::NOATIME, attr::ATIME_MASK),
    ("strictatime", attr::STRICTATIME, attr::ATIME_MASK),
    ("relatime", attr::RELATIME, attr::ATIME_MASK),
    ("atime", attr::RELATIME, attr::ATIME_MASK),
    ("nostrictatime", attr::RELATIME, attr::ATIME_MASK),
];

const PROPAGATION: &[(&str, u64)] =
    &[("shared", MS_SHARED), ("slave", MS_SLAVE), ("private", MS_PRIVATE), ("unbindable", MS_UNBINDABLE)];

const FILE_SYSTEM: &[&str] = &["sync", "dirsync", "mand", "lazytime", "iversion", "silent"];

/// Words without effect: they name the default.
const DEFAULTS: &[&str] = &[
    "defaults",
    "async",
    "nomand",
    "nolazytime",
    "noiversion",
    "loud",
    "auto",
    "noauto",
    "nofail",
    "_netdev",
    // The kernel's default is relatime with or without it (mount(2), MS_RELATIME).
    "norelatime",
    "rnorelatime",
];

/// Every word that means something here: what `features` lists.
pub(crate) fn known() -> Vec<String> {
    let attributes = ATTRIBUTES.iter().flat_map(|a| [a.0.to_owned(), format!("r{}", a.0)]);
    let propagation = PROPAGATION.iter().flat_map(|p| [p.0.to_owned(), format!("r{}", p.0)]);
    let mut words: Vec<String> = attributes
        .chain(propagation)
        .chain(FILE_SYSTEM.iter().map(ToString::to_string))
        .chain(
            ["async", "bind", "defaults", "idmap", "loud", "noiversion", "nolazytime", "norelatime"]
                .map(String::from),
        )
        .chain(["nomand", "rbind", "remount", "ridmap", "rnorelatime", "tmpcopyup"].map(String::from))
        .collect();
    words.sort();
    words.dedup();
    words
}

/// `MS_*` and whether it is recursive, of a word like `rslave`.
pub(crate) fn propagation(word: &str) -> Option<(u64, bool)> {
    let find = |name: &str| PROPAGATION.iter().find(|p| p.0 == name).map(|p| p.1);
    find(word)
        .map(|flag| (flag, false))
        .or_else(|| word.strip_prefix('r').and_then(find).map(|flag| (flag, true)))
}

impl Options {
    /// Reads a mount's options; the type `bind` counts as the option `bind`.
    pub(crate) fn parse(mount: &Mount) -> Result<Self> {
        let mut options = Self::default();
        if mount.kind == "bind" {
            options.bind = Some(false);
        }
        for word in &mount.options {
            options.add(word);
        }
        if mount.kind.is_empty() && options.bind.is_none() && !options.remount {
            return Err(Error::Invalid(format!("mount {:?} has neither a type nor bind", mount.destination)));
        }
        if (!mount.uid_mappings.is_empty() || !mount.gid_mappings.is_empty()) && options.idmap.is_none() {
            options.idmap = Some(false);
        }
        if options.idmap.is_some() && options.bind.is_none() {
            return Err(Error::Invalid(format!(
                "mount {:?}: id mappings need a bind mount",
                mount.destination
            )));
        }
        Ok(options)
    }

    /// Gives a new file system's files an SELinux label, where the kernel lets it: its own file systems keep theirs.
    pub(crate) fn label(&mut self, kind: &str, label: &str) {
        let own = matches!(kind, "proc" | "sysfs" | "mqueue" | "cgroup" | "cgroup2");
        if !label.is_empty() && self.bind.is_none() && !self.remount && !own {
            self.data.push(format!("{CONTEXT}{label}"));
        }
    }

    fn add(&mut self, word: &str) {
        match word {
            "bind" => self.bind = Some(self.bind.unwrap_or(false)),
            "rbind" => self.bind = Some(true),
            "idmap" => self.idmap = Some(self.idmap.unwrap_or(false)),
            "ridmap" => self.idmap = Some(true),
            "tmpcopyup" => self.copy_up = true,
            "remount" => self.remount = true,
            _ => self.add_flag(word),
        }
    }

    fn add_flag(&mut self, word: &str) {
        let attribute = |name: &str| ATTRIBUTES.iter().find(|a| a.0 == name).map(|a| (a.1, a.2));
        if let Some((set, clear)) = attribute(word) {
            apply(&mut self.set, &mut self.clear, set, clear);
        } else if let Some((set, clear)) = word.strip_prefix('r').and_then(attribute) {
            apply(&mut self.set_recursive, &mut self.clear_recursive, set, clear);
        } else if let Some(propagation) = propagation(word) {
            self.propagation.push(propagation);
        } else if let Some(flag) = FILE_SYSTEM.iter().find(|f| **f == word) {
            self.file_system.push(flag);
        } else if !DEFAULTS.contains(&word) {
            self.data.push(word.to_owned());
        }
    }
}

/// The later word wins over an earlier one.
fn apply(all_set: &mut u64, all_clear: &mut u64, set: u64, clear: u64) {
    *all_set = (*all_set & !clear) | set;
    *all_clear = (*all_clear & !set) | clear;
    // A field of several bits has to be cleared as a whole before it is set.
    if clear & attr::ATIME_MASK != 0 {
        *all_clear |= attr::ATIME_MASK;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Options {
        let options = words.iter().map(ToString::to_string).collect();
        Options::parse(&Mount { kind: "tmpfs".into(), options, ..Mount::default() }).unwrap()
    }

    #[test]
    fn the_later_word_wins() {
        assert_eq!(parse(&["ro", "rw"]), Options { clear: attr::RDONLY, ..Options::default() });
        assert_eq!(parse(&["rw", "ro"]), Options { set: attr::RDONLY, ..Options::default() });
        let options = parse(&["noatime", "strictatime"]);
        assert_eq!((options.set, options.clear), (attr::STRICTATIME, attr::ATIME_MASK));
    }

    #[test]
    fn recursive_words_and_data_are_told_apart() {
        let options = parse(&["rro", "rprivate", "relatime", "ro", "size=64k", "rbind", "defaults"]);
        assert_eq!(options.set_recursive, attr::RDONLY);
        assert_eq!(options.set, attr::RDONLY);
        assert_eq!(options.propagation, [(MS_PRIVATE, true)]);
        assert_eq!(options.bind, Some(true));
        assert_eq!(options.data, ["size=64k"]);
    }

    #[test]
    fn new_file_systems_are_labelled() {
        let labelled = |kind: &str, words: &[&str]| {
            let mut options = parse(words);
            options.label(kind, "u:r:t:s0:c1,c2");
            options.data
        };
        assert_eq!(labelled("tmpfs", &["size=1m"]), ["size=1m", "context=u:r:t:s0:c1,c2"]);
        assert!(labelled("proc", &[]).is_empty());
        assert!(labelled("none", &["rbind"]).is_empty());
    }

    #[test]
    fn a_mount_needs_a_type() {
        assert!(Options::parse(&Mount { destination: "/x".into(), ..Mount::default() }).is_err());
    }
}

//! What a throw-away engine has for itself beside its directory: a number, and from it a bridge, a subnet and a cgroup.
//!
//! The number is claimed by an abstract socket, which the kernel frees with the last process that holds it, however
//! that ends. Whoever claims a number removes what an earlier owner could not.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::keeper;

/// 10.200.0.0/14 is used by nothing here; each engine has a /24 of it.
const PLACES: u16 = 1024;

#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) bridge: String,
    pub(crate) cgroup: String,
    subnet: String,
    pub(crate) claim: UnixListener,
}

impl Place {
    /// # Panics
    /// When all numbers are taken.
    pub(crate) fn claim() -> Self {
        // Where to begin only keeps tests from trying the same numbers in turn.
        let first = (std::process::id() % u32::from(PLACES)) as u16;
        let place = (0..PLACES).map(|n| (first + n) % PLACES).find_map(Self::numbered);
        let place = place.expect("a free number for an engine");
        place.clear();
        place
    }

    /// `None`: it is somebody's.
    fn numbered(index: u16) -> Option<Self> {
        let address = SocketAddr::from_abstract_name(format!("wharf-test-{index}")).ok()?;
        Some(Self {
            bridge: format!("wt{index}"),
            cgroup: format!("wharf-test-{index}"),
            subnet: format!("10.{}.{}.1/24", 200 + (index >> 8), index & 0xff),
            claim: UnixListener::bind_addr(&address).ok()?,
        })
    }

    pub(crate) fn flags(&self) -> [String; 3] {
        [
            format!("--bridge={}", self.bridge),
            format!("--bip={}", self.subnet),
            format!("--cgroup-parent=/{}", self.cgroup),
        ]
    }

    /// The name of the engine's nftables table.
    pub(crate) fn table(&self) -> String {
        format!("wharf-{}", self.bridge)
    }

    /// Its cgroups: one in each hierarchy, on either version.
    pub(crate) fn cgroups(&self) -> Vec<PathBuf> {
        hierarchies().into_iter().map(|root| root.join(&self.cgroup)).filter(|group| group.is_dir()).collect()
    }

    /// An engine leaves bridge, table and cgroup parent, as Docker does; a throw-away one takes them with it.
    pub(crate) fn clear(&self) {
        if self.has_bridge() || self.has_table() || !self.cgroups().is_empty() {
            keeper::sweep(None, Some(self));
        }
    }

    /// What is there of it on the machine.
    pub(crate) fn remains(&self) -> Vec<String> {
        let mut found: Vec<String> =
            self.cgroups().iter().map(|group| format!("cgroup: {}", group.display())).collect();
        found.extend(self.has_bridge().then(|| format!("interface: {}", self.bridge)));
        found.extend(self.has_table().then(|| format!("nftables table: {}", self.table())));
        found
    }

    fn has_bridge(&self) -> bool {
        Path::new("/sys/class/net").join(&self.bridge).exists()
    }

    fn has_table(&self) -> bool {
        let mut list = Command::new("nft");
        list.args(["list", "table", "inet", &self.table()]).stdout(Stdio::null()).stderr(Stdio::null());
        list.status().is_ok_and(|status| status.success())
    }
}

/// Clears the places that are nobody's any more.
pub(crate) fn sweep() {
    let mut names = Vec::new();
    for (directory, prefix) in
        hierarchies().into_iter().map(|root| (root, "wharf-test-")).chain([("/sys/class/net".into(), "wt")])
    {
        let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
        names.extend(
            entries.filter_map(|entry| entry.file_name().to_str()?.strip_prefix(prefix)?.parse::<u16>().ok()),
        );
    }
    names.sort_unstable();
    names.dedup();
    for place in names.into_iter().filter(|&index| index < PLACES).filter_map(Place::numbered) {
        place.clear();
    }
}

fn hierarchies() -> Vec<PathBuf> {
    let root = Path::new("/sys/fs/cgroup");
    let below = std::fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    below.chain([root.to_owned()]).collect()
}

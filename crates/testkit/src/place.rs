//! What a throw-away engine has for itself beside its directory: a number, and from it a bridge, a subnet and a cgroup.
//!
//! The number is claimed by an abstract socket, which the kernel frees with its process, however that ends. Whoever
//! claims a number removes what an earlier owner could not.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// 10.200.0.0/14 is used by nothing here; each engine has a /24 of it.
const PLACES: u16 = 1024;

#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) bridge: String,
    pub(crate) cgroup: String,
    subnet: String,
    _claim: UnixListener,
}

impl Place {
    /// # Panics
    /// When all numbers are taken.
    pub(crate) fn claim() -> Self {
        // Where to begin only keeps tests from trying the same numbers in turn.
        let first = (std::process::id() % u32::from(PLACES)) as u16;
        let taken = (0..PLACES).map(|n| (first + n) % PLACES).find_map(|index| {
            let address = SocketAddr::from_abstract_name(format!("wharf-test-{index}")).ok()?;
            Some((index, UnixListener::bind_addr(&address).ok()?))
        });
        let (index, claim) = taken.expect("a free number for an engine");
        let place = Self {
            bridge: format!("wt{index}"),
            cgroup: format!("wharf-test-{index}"),
            subnet: format!("10.{}.{}.1/24", 200 + (index >> 8), index & 0xff),
            _claim: claim,
        };
        place.clear();
        place
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
        let root = Path::new("/sys/fs/cgroup");
        let hierarchies = std::fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
        hierarchies
            .chain([root.to_owned()])
            .map(|hierarchy| hierarchy.join(&self.cgroup))
            .filter(|group| group.is_dir())
            .collect()
    }

    /// An engine leaves bridge, table and cgroup parent, as Docker does; a throw-away one takes them with it.
    pub(crate) fn clear(&self) {
        let quietly = |program: &str, args: &[&str]| {
            let _ = Command::new(program).args(args).stdout(Stdio::null()).stderr(Stdio::null()).status();
        };
        if Path::new("/sys/class/net").join(&self.bridge).exists() {
            quietly("ip", &["link", "del", &self.bridge]);
        }
        quietly("nft", &["delete", "table", "inet", &self.table()]);
        for group in self.cgroups() {
            let _ = std::fs::remove_dir(group);
        }
    }
}

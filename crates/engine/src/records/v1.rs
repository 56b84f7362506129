//! Version 1 of a container's record. A field that is added gets a default; a change of meaning is version 2.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::container::links::Link;
use crate::container::{ContainerSpec, End, Health, MountPoint, Resources, Status};
use crate::ports::{Endpoint, ImageManifest, PortMapping, Rootfs, Unmounted};

pub(super) const VERSION: u32 = 1;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) version: u32,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) created: Timestamp,
    pub(crate) image_id: String,
    /// All that older engines have of it.
    #[serde(default)]
    pub(crate) image_manifest: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) manifest: Option<ImageManifest>,
    pub(crate) path: String,
    pub(crate) args: Vec<String>,
    /// Shared with those who only look at it: it may have tens of thousands of ports.
    pub(crate) spec: Arc<ContainerSpec>,
    pub(crate) rootfs: RootfsV1,
    pub(crate) driver: String,
    #[serde(default)]
    pub(crate) mounts: Vec<MountPoint>,
    /// Volumes made for this container only: removed with `rm -v` and `--rm`.
    #[serde(default)]
    pub(crate) anonymous_volumes: Vec<String>,
    pub(crate) log_driver: String,
    #[serde(default)]
    pub(crate) status: Status,
    #[serde(default)]
    pub(crate) pid: u32,
    #[serde(default)]
    pub(crate) exit_code: i32,
    #[serde(default)]
    pub(crate) error: String,
    #[serde(default)]
    pub(crate) oom_killed: bool,
    #[serde(default)]
    pub(crate) started_at: Option<Timestamp>,
    #[serde(default)]
    pub(crate) finished_at: Option<Timestamp>,
    #[serde(default)]
    pub(crate) restart_count: u32,
    /// Stopped by a person: `unless-stopped` leaves it so at boot.
    #[serde(default)]
    pub(crate) stopped_by_user: bool,
    #[serde(default)]
    pub(crate) sandbox_id: String,
    /// Of a process that runs, in the order of its interfaces.
    #[serde(default)]
    pub(crate) endpoints: Vec<Endpoint>,
    /// What it was called as long as there could be one only. Read, and never written.
    #[serde(default, skip_serializing)]
    pub(crate) endpoint: Option<Endpoint>,
    /// Of a process that runs: ports of the host's that lead to it.
    #[serde(default)]
    pub(crate) ports: Vec<PortMapping>,
    /// Other containers on the default bridge that it is told of.
    #[serde(default)]
    pub(crate) links: Vec<Link>,
    /// Of a removal in progress: its anonymous volumes go with it, whichever engine finishes.
    #[serde(default)]
    pub(crate) remove_volumes: bool,
    /// As of its last change of status: single checks are not written down.
    #[serde(default)]
    pub(crate) health: Option<Health>,
    #[serde(default)]
    pub(crate) end: End,
    /// Limits that are in `spec` already, and may not yet be in the kernel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unapplied: Option<Resources>,
    /// The same of `ports`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unapplied_ports: Option<UnappliedPorts>,
    /// The same of `mounts`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unapplied_mounts: Option<UnappliedMounts>,
}

/// Ports that may not be held yet, and that may be held still.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct UnappliedPorts {
    pub(crate) added: Vec<PortMapping>,
    pub(crate) removed: Vec<PortMapping>,
}

/// Mounts that may not be there yet, and that may be there still.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct UnappliedMounts {
    /// Where they are.
    pub(crate) added: HashSet<String>,
    pub(crate) removed: Vec<Unmounted>,
    /// What was mounted at all these places before, as the kernel numbers mounts.
    pub(crate) before: BTreeMap<String, Option<u64>>,
}

impl UnappliedMounts {
    pub(crate) fn places(&self) -> Vec<String> {
        let removed = self.removed.iter().map(|gone| gone.destination.clone());
        let all: std::collections::BTreeSet<String> = removed.chain(self.added.iter().cloned()).collect();
        all.into_iter().collect()
    }

    /// What is left to do where `now` is mounted.
    pub(crate) fn rest(&self, now: &BTreeMap<String, Option<u64>>) -> Self {
        let is_as_before = |place: &str| now.get(place) == self.before.get(place);
        let removed: Vec<Unmounted> =
            self.removed.iter().filter(|gone| is_as_before(&gone.destination)).cloned().collect();
        let has_gone = |place: &str| {
            self.removed.iter().any(|gone| gone.destination == place) && now.get(place) == Some(&None)
        };
        let added =
            self.added.iter().filter(|place| is_as_before(place) || has_gone(place)).cloned().collect();
        Self { added, removed, before: self.before.clone() }
    }
}

/// [`Rootfs`] on disk.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RootfsV1 {
    Directory(PathBuf),
    Overlay { lower: Vec<PathBuf>, upper: PathBuf, work: PathBuf },
}

impl From<Rootfs> for RootfsV1 {
    fn from(rootfs: Rootfs) -> Self {
        match rootfs {
            Rootfs::Directory(path) => Self::Directory(path),
            Rootfs::Overlay { lower, upper, work } => Self::Overlay { lower, upper, work },
        }
    }
}

impl From<RootfsV1> for Rootfs {
    fn from(rootfs: RootfsV1) -> Self {
        match rootfs {
            RootfsV1::Directory(path) => Self::Directory(path),
            RootfsV1::Overlay { lower, upper, work } => Self::Overlay { lower, upper, work },
        }
    }
}

impl Record {
    pub(crate) const VERSION: u32 = VERSION;

    /// One that was written when there could be one endpoint only.
    pub(super) fn with_all_endpoints(mut self) -> Self {
        let endpoint = self.endpoint.take();
        self.endpoints.extend(endpoint.map(|endpoint| Endpoint {
            is_gateway: true,
            interface: "eth0".into(),
            ..endpoint
        }));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_a_change_of_mounts_is_told_by_what_is_mounted() {
        let gone = |place: &str| Unmounted { destination: place.into(), ..Unmounted::default() };
        let numbers =
            |list: [(&str, Option<u64>); 3]| list.map(|(place, number)| (place.into(), number)).into();
        let mounts = UnappliedMounts {
            added: ["/new".into(), "/other".into()].into(),
            removed: vec![gone("/old"), gone("/other")],
            before: numbers([("/new", None), ("/old", Some(7)), ("/other", Some(8))]),
        };
        let rest = |now| {
            let rest = mounts.rest(&numbers(now));
            let mut added: Vec<String> = rest.added.into_iter().collect();
            added.sort();
            (
                rest.removed.into_iter().map(|gone| gone.destination).collect::<Vec<_>>().join(" "),
                added.join(" "),
            )
        };
        let all = ("/old /other".to_owned(), "/new /other".to_owned());
        assert_eq!(rest([("/new", None), ("/old", Some(7)), ("/other", Some(8))]), all);
        assert_eq!(rest([("/new", None), ("/old", None), ("/other", None)]), (String::new(), all.1));
        assert_eq!(rest([("/new", Some(9)), ("/old", None), ("/other", Some(10))]), Default::default());
    }

    #[test]
    fn the_one_endpoint_of_an_old_record_is_its_first() {
        let json =
            br#"{"version":1,"id":"a","name":"n","created":"2026-01-01T00:00:00Z","image_id":"i","path":"p",
            "args":[],"spec":{},"rootfs":{"directory":"/r"},"driver":"vfs","log_driver":"none",
            "endpoint":{"network":"bridge","ipv4":"172.17.0.2"}}"#;
        let record = crate::records::read("a", json).unwrap();
        assert_eq!((record.endpoints.len(), record.endpoints[0].network.as_str()), (1, "bridge"));
        assert!(record.endpoints[0].is_gateway);
        let again = crate::records::read("a", &crate::records::write(&record)).unwrap();
        assert_eq!(again.endpoints, record.endpoints);
    }
}

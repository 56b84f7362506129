//! What the engine was configured to do. The daemon parses flags and `daemon.json` into this; SIGHUP replaces
//! the reloadable part as a whole.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::container::{CgroupnsMode, IpcMode, Limits, LogSpec, Ulimit};
use crate::quota::StorageDefaults;

/// The daemon's defaults for containers, and where things are.
#[derive(Debug, Clone)]
pub struct Settings {
    pub data_root: PathBuf,
    pub exec_root: PathBuf,
    pub cgroup_v2: bool,
    /// What the machine can limit.
    pub limits: Limits,
    /// `--cgroup-parent`; empty: `/docker`.
    pub cgroup_parent: String,
    pub log: LogSpec,
    pub ulimits: Vec<Ulimit>,
    pub shm_size_bytes: i64,
    pub dns: Vec<String>,
    pub dns_options: Vec<String>,
    pub dns_search: Vec<String>,
    pub init: bool,
    pub seccomp: SeccompSetting,
    pub no_new_privileges: bool,
    pub ipc_mode: IpcMode,
    pub cgroupns_mode: CgroupnsMode,
    pub live_restore: bool,
    pub debug: bool,
    pub experimental: bool,
    pub labels: Vec<String>,
    /// Where files about devices lie; a later one's word counts more.
    pub cdi_spec_dirs: Vec<PathBuf>,
    pub default_runtime: String,
    /// Name → path and arguments; the built-in ones (`wharf`, `runc`, `io.containerd.runc.v2`) not included.
    pub runtimes: BTreeMap<String, (PathBuf, Vec<String>)>,
    pub shutdown_timeout_s: i64,
    /// What `host-gateway` in `--add-host` means; empty: the bridge's gateways.
    pub host_gateways: Vec<std::net::IpAddr>,
    pub registries: distribution::Settings,
    /// Layers of all pulls that are downloaded at a time.
    pub downloads_max: usize,
    /// As many blobs of a push are uploaded at a time.
    pub uploads_max: usize,
    /// Where ports are published that name no address (`--ip`).
    pub publish_address: std::net::IpAddr,
    /// By driver: options of a network that its request does not name.
    pub network_options: BTreeMap<String, BTreeMap<String, String>>,
    /// When images go by themselves; `None`: never.
    pub image_gc: Option<ImageGc>,
    /// How much of the disk containers may take that say nothing.
    pub storage: StorageDefaults,
}

/// Water marks: above the high one unused images are removed, the oldest first, until the low one is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageGc {
    pub high: Mark,
    pub low: Mark,
    /// What was brought in, named or used later than this ago stays.
    pub min_age: std::time::Duration,
}

/// How full is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Of the file system of the data root, whatever takes it.
    Percent(u8),
    /// That all images take.
    Bytes(u64),
}

impl std::str::FromStr for Mark {
    type Err = String;

    /// `85%`, or bytes with a unit: `20GB` (of 1000), `20GiB`, `20g` (of 1024), as Docker's sizes.
    fn from_str(text: &str) -> Result<Mark, String> {
        let invalid =
            || format!("invalid water mark {text:?}: a share like \"85%\" or a size like \"20GB\" is wanted");
        if let Some(percent) = text.strip_suffix('%') {
            let percent = percent.trim().parse().ok().filter(|percent| (1..=100).contains(percent));
            return percent.map(Mark::Percent).ok_or_else(invalid);
        }
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let number: f64 = number.parse().map_err(|_| invalid())?;
        let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "kb" => 1000,
            "mb" => 1000 * 1000,
            "gb" => 1000 * 1000 * 1000,
            "tb" => 1000 * 1000 * 1000 * 1000,
            "k" | "kib" => 1 << 10,
            "m" | "mib" => 1 << 20,
            "g" | "gib" => 1 << 30,
            "t" | "tib" => 1 << 40,
            _ => return Err(invalid()),
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it has digits and a dot only"
        )]
        let bytes = (number * factor as f64) as u64;
        Ok(Mark::Bytes(bytes))
    }
}

impl ImageGc {
    /// What is brought in is wanted soon, by whoever brought it in.
    pub const MIN_AGE: std::time::Duration = std::time::Duration::from_secs(10 * 60);

    /// Of the same kind, and in order.
    ///
    /// # Errors
    /// Why not.
    pub fn new(high: Mark, low: Mark, min_age: std::time::Duration) -> Result<ImageGc, String> {
        match (high, low) {
            (Mark::Percent(high), Mark::Percent(low)) if low < high => {}
            (Mark::Bytes(high), Mark::Bytes(low)) if low < high => {}
            (Mark::Percent(_), Mark::Percent(_)) | (Mark::Bytes(_), Mark::Bytes(_)) => {
                return Err("the low water mark must be below the high one".into());
            }
            _ => return Err("both water marks must be shares, or both sizes".into()),
        }
        Ok(ImageGc { high, low, min_age })
    }
}

/// `--seccomp-profile`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeccompSetting {
    Builtin,
    Unconfined,
    /// The text of a profile.
    Profile(String),
}

impl Settings {
    /// Docker's defaults with these two directories.
    pub fn new(data_root: PathBuf, exec_root: PathBuf) -> Self {
        Self {
            data_root,
            exec_root,
            cgroup_v2: false,
            limits: Limits::default(),
            cgroup_parent: String::new(),
            log: LogSpec { driver: "json-file".into(), options: BTreeMap::new() },
            ulimits: Vec::new(),
            shm_size_bytes: 64 << 20,
            dns: Vec::new(),
            dns_options: Vec::new(),
            dns_search: Vec::new(),
            init: false,
            seccomp: SeccompSetting::Builtin,
            no_new_privileges: false,
            ipc_mode: IpcMode::Private,
            cgroupns_mode: CgroupnsMode::Host,
            live_restore: true,
            debug: false,
            experimental: false,
            labels: Vec::new(),
            cdi_spec_dirs: ["/etc/cdi", "/var/run/cdi"].map(PathBuf::from).into(),
            default_runtime: "runc".into(),
            runtimes: BTreeMap::new(),
            shutdown_timeout_s: 15,
            host_gateways: Vec::new(),
            registries: distribution::Settings::default(),
            downloads_max: 3,
            uploads_max: 5,
            publish_address: std::net::Ipv4Addr::UNSPECIFIED.into(),
            network_options: BTreeMap::new(),
            image_gc: None,
            storage: StorageDefaults::default(),
        }
    }
}

/// Names that mean the built-in runtime, so that configurations written for Docker go on working.
pub const BUILTIN_RUNTIMES: &[&str] = &["runc", "wharf", "io.containerd.runc.v2"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_shares_or_sizes() {
        assert_eq!("85%".parse(), Ok(Mark::Percent(85)));
        assert_eq!("20GB".parse(), Ok(Mark::Bytes(20_000_000_000)));
        assert_eq!("1.5g".parse(), Ok(Mark::Bytes(3 << 29)));
        assert_eq!("7".parse(), Ok(Mark::Bytes(7)));
        for wrong in ["", "%", "0%", "101%", "x", "3 parsecs", "-1GB"] {
            assert!(wrong.parse::<Mark>().is_err(), "{wrong}");
        }
        let new = |high, low| ImageGc::new(high, low, ImageGc::MIN_AGE).map(drop);
        assert_eq!(new(Mark::Percent(85), Mark::Percent(80)), Ok(()));
        assert!(new(Mark::Percent(80), Mark::Percent(80)).is_err());
        assert!(new(Mark::Percent(80), Mark::Bytes(80)).is_err());
    }
}

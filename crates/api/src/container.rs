//! Containers: what is asked for, listed and inspected.

use crate::go::{self, Tree};
use crate::host_config::HostConfig;
use crate::image::Descriptor;
use crate::mount::MountPoint;
use crate::network::{EndpointSettings, NetworkingConfig, PortMap};
use crate::text::text_enum;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

text_enum! {
    ContainerStatus {
        CREATED = "created",
        RUNNING = "running",
        PAUSED = "paused",
        RESTARTING = "restarting",
        REMOVING = "removing",
        EXITED = "exited",
        DEAD = "dead",
    }
}

text_enum! {
    HealthStatus {
        NONE = "none",
        STARTING = "starting",
        HEALTHY = "healthy",
        UNHEALTHY = "unhealthy",
    }
}

text_enum! {
    /// The `condition` of wait.
    WaitCondition {
        NOT_RUNNING = "not-running",
        NEXT_EXIT = "next-exit",
        REMOVED = "removed",
    }
}

/// `{}`: the value of Go's sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Empty {}

/// What does not depend on the host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ContainerConfig {
    pub hostname: String,
    pub domainname: String,
    pub user: String,
    pub attach_stdin: bool,
    pub attach_stdout: bool,
    pub attach_stderr: bool,
    /// `"80/tcp"`.
    #[serde(skip_serializing_if = "go::is_zero", deserialize_with = "go::large_map")]
    pub exposed_ports: BTreeMap<String, Empty>,
    pub tty: bool,
    pub open_stdin: bool,
    pub stdin_once: bool,
    #[serde(serialize_with = "go::null_if_empty")]
    pub env: Vec<String>,
    #[serde(serialize_with = "go::null_if_empty", deserialize_with = "go::string_or_list")]
    pub cmd: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<HealthConfig>,
    /// Windows.
    #[serde(skip_serializing_if = "go::is_zero")]
    pub args_escaped: bool,
    pub image: String,
    #[serde(serialize_with = "go::null_if_empty")]
    pub volumes: BTreeMap<String, Empty>,
    pub working_dir: String,
    /// Absent takes the image's; an empty list resets it.
    #[serde(deserialize_with = "go::optional_string_or_list")]
    pub entrypoint: Option<Vec<String>>,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub network_disabled: bool,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub on_build: Vec<String>,
    pub labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub stop_signal: String,
    /// Seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_timeout: Option<i64>,
    #[serde(skip_serializing_if = "go::is_zero", deserialize_with = "go::string_or_list")]
    pub shell: Vec<String>,
}

/// Durations are nanoseconds; 0 inherits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct HealthConfig {
    /// `["NONE"]`, `["CMD", ...]` or `["CMD-SHELL", "..."]`.
    #[serde(skip_serializing_if = "go::is_zero")]
    pub test: Vec<String>,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub interval: i64,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub timeout: i64,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub start_period: i64,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub start_interval: i64,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub retries: i64,
}

/// Body of `POST /containers/create`: the fields of [`ContainerConfig`] with two more beside them. Read it
/// with [`CreateRequest::from_slice`].
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CreateRequest {
    #[serde(flatten)]
    pub config: ContainerConfig,
    #[serde(rename = "HostConfig", skip_serializing_if = "Option::is_none")]
    pub host_config: Option<HostConfig>,
    #[serde(rename = "NetworkingConfig", skip_serializing_if = "Option::is_none")]
    pub networking_config: Option<NetworkingConfig>,
}

impl CreateRequest {
    /// Reads the body.
    pub fn from_slice(bytes: &[u8]) -> Result<CreateRequest, serde_json::Error> {
        Self::from_tree(Tree::from_slice(bytes)?)
    }

    /// Reads the body, parsed already. `flatten` would bypass Go's leniency, so the document is read in two halves. It
    /// may have tens of thousands of ports: nothing is copied.
    pub fn from_tree(mut document: Tree<'_>) -> Result<CreateRequest, serde_json::Error> {
        #[derive(Default, Deserialize)]
        #[serde(default, rename_all = "PascalCase")]
        struct Beside {
            host_config: Option<HostConfig>,
            networking_config: Option<NetworkingConfig>,
        }
        let beside: Beside = go::from_tree(document.take(&["HostConfig", "NetworkingConfig"]))?;
        Ok(CreateRequest {
            config: go::from_tree(document)?,
            host_config: beside.host_config,
            networking_config: beside.networking_config,
        })
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct CreateResponse {
    pub id: String,
    pub warnings: Vec<String>,
}

/// One line of `GET /containers/json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ContainerSummary {
    pub id: String,
    /// Each with a leading slash.
    pub names: Vec<String>,
    pub image: String,
    #[serde(rename = "ImageID")]
    pub image_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_manifest_descriptor: Option<Descriptor>,
    pub command: String,
    /// Seconds since the epoch.
    pub created: i64,
    pub ports: Vec<PortSummary>,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub size_rw: i64,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub size_root_fs: i64,
    /// Bytes of its log, in the answer about disk usage. Of Wharf's engine alone.
    #[serde(skip_serializing_if = "go::is_zero")]
    pub size_log: i64,
    pub labels: BTreeMap<String, String>,
    pub state: ContainerStatus,
    /// `Up 3 minutes`, `Exited (0) 2 hours ago`.
    pub status: String,
    pub host_config: SummaryHostConfig,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthSummary>,
    pub network_settings: Option<SummaryNetworkSettings>,
    pub mounts: Vec<MountPoint>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PortSummary {
    #[serde(rename = "IP", skip_serializing_if = "go::is_zero")]
    pub ip: String,
    #[serde(rename = "PrivatePort")]
    pub private_port: u16,
    #[serde(rename = "PublicPort", skip_serializing_if = "go::is_zero")]
    pub public_port: u16,
    #[serde(rename = "Type")]
    pub kind: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct SummaryHostConfig {
    #[serde(skip_serializing_if = "go::is_zero")]
    pub network_mode: String,
    #[serde(skip_serializing_if = "go::is_zero")]
    pub annotations: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct HealthSummary {
    pub status: HealthStatus,
    pub failing_streak: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct SummaryNetworkSettings {
    pub networks: BTreeMap<String, EndpointSettings>,
}

/// `GET /containers/{id}/json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ContainerInspectResponse {
    pub id: String,
    /// RFC 3339 with nanoseconds.
    pub created: String,
    pub path: String,
    pub args: Vec<String>,
    pub state: Option<ContainerState>,
    /// The image's id.
    pub image: String,
    pub resolv_conf_path: String,
    pub hostname_path: String,
    pub hosts_path: String,
    pub log_path: String,
    /// With a leading slash.
    pub name: String,
    pub restart_count: i64,
    pub driver: String,
    pub platform: String,
    pub mount_label: String,
    pub process_label: String,
    pub app_armor_profile: String,
    #[serde(rename = "ExecIDs", serialize_with = "go::null_if_empty")]
    pub exec_ids: Vec<String>,
    pub host_config: Option<HostConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub graph_driver: Option<DriverData>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_rw: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size_root_fs: Option<i64>,
    pub mounts: Vec<MountPoint>,
    pub config: Option<ContainerConfig>,
    pub network_settings: Option<NetworkSettings>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_manifest_descriptor: Option<Descriptor>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ContainerState {
    pub status: ContainerStatus,
    pub running: bool,
    pub paused: bool,
    pub restarting: bool,
    #[serde(rename = "OOMKilled")]
    pub oom_killed: bool,
    pub dead: bool,
    pub pid: i64,
    pub exit_code: i64,
    pub error: String,
    /// RFC 3339 with nanoseconds; `0001-01-01T00:00:00Z` is never.
    pub started_at: String,
    /// As `started_at`.
    pub finished_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Health {
    pub status: HealthStatus,
    pub failing_streak: i64,
    #[serde(serialize_with = "go::null_if_empty")]
    pub log: Vec<HealthcheckResult>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct HealthcheckResult {
    pub start: String,
    pub end: String,
    pub exit_code: i64,
    pub output: String,
}

/// The storage driver's own account of a root file system.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct DriverData {
    #[serde(serialize_with = "go::null_if_empty")]
    pub data: BTreeMap<String, String>,
    pub name: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Storage {
    #[serde(rename = "RootFS", skip_serializing_if = "Option::is_none")]
    pub root_fs: Option<RootFsStorage>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct RootFsStorage {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<SnapshotStorage>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct SnapshotStorage {
    #[serde(skip_serializing_if = "go::is_zero")]
    pub name: String,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct NetworkSettings {
    #[serde(rename = "SandboxID")]
    pub sandbox_id: String,
    pub sandbox_key: String,
    pub ports: PortMap,
    pub networks: BTreeMap<String, EndpointSettings>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct WaitResponse {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<WaitExitError>,
    pub status_code: i64,
    /// Wharf's own: what went wrong beside the process, as a log on a full disk.
    #[serde(skip_serializing_if = "go::is_zero")]
    pub warning: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct WaitExitError {
    #[serde(skip_serializing_if = "go::is_zero")]
    pub message: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct TopResponse {
    pub processes: Vec<Vec<String>>,
    pub titles: Vec<String>,
}

/// Answer of `GET /containers/{id}/why`, of Wharf's engine alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct WhyResponse {
    /// A word for programs: `oom`, `signal`, `missing-loader` ...
    pub cause: String,
    /// A sentence.
    pub why: String,
    /// What it is concluded from.
    pub evidence: Vec<String>,
}

/// Answer of `POST /containers/prune`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ContainersPruneResponse {
    #[serde(serialize_with = "go::null_if_empty")]
    pub containers_deleted: Vec<String>,
    /// Bytes.
    pub space_reclaimed: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_create_body_is_read_as_docker_reads_it() {
        let body = br#"{"Image":"busybox","cmd":"true","Entrypoint":null,"HostConfig":{"Memory":null,"NetworkMode":"none",
            "PortBindings":{"80/tcp":null}},"NetworkingConfig":{"EndpointsConfig":{"bridge":null}},"Future":1}"#;
        let got = CreateRequest::from_slice(body).unwrap();
        assert_eq!(
            (got.config.image.as_str(), got.config.cmd.as_slice()),
            ("busybox", &["true".to_owned()][..])
        );
        assert_eq!(got.config.entrypoint, None);
        let host = got.host_config.unwrap();
        assert_eq!(host.network_mode, "none");
        assert_eq!(host.port_bindings["80/tcp"], None);
        assert!(got.networking_config.unwrap().endpoints_config.contains_key("bridge"));
        assert_eq!(
            CreateRequest::from_slice(br#"{"Entrypoint":[]}"#).unwrap().config.entrypoint,
            Some(Vec::new()),
            "an empty list resets the image's entrypoint"
        );
    }

    #[test]
    fn a_create_request_survives_the_wire() {
        let sent = CreateRequest {
            config: ContainerConfig {
                image: "x".into(),
                cmd: vec!["a".into()],
                tty: true,
                ..Default::default()
            },
            host_config: Some(HostConfig { memory: 5, init: Some(true), ..Default::default() }),
            networking_config: None,
        };
        let text = serde_json::to_vec(&sent).unwrap();
        assert_eq!(CreateRequest::from_slice(&text).unwrap(), sent);
    }

    #[test]
    fn unset_lists_are_null_and_zeros_are_shown() {
        let text = serde_json::to_string(&ContainerConfig::default()).unwrap();
        assert_eq!(
            text,
            r#"{"Hostname":"","Domainname":"","User":"","AttachStdin":false,"AttachStdout":false,"AttachStderr":false,"Tty":false,"OpenStdin":false,"StdinOnce":false,"Env":null,"Cmd":null,"Image":"","Volumes":null,"WorkingDir":"","Entrypoint":null,"Labels":{}}"#
        );
    }
}

//! A container's record for other programs: what Docker keeps in `config.v2.json` and `hostconfig.json` of its
//! directory. Backup scripts, log shippers and monitoring read these; Wharf itself never does.

use super::{container, host_config};
use engine::containers::{Container, MountPoint, Status};
use engine::ports::Mirror;
use serde::Serialize;
use serde_json::{Map, Value, json};

/// The two files, in Docker's field names.
#[derive(Clone, Copy, Debug)]
pub struct ConfigFiles;

impl Mirror for ConfigFiles {
    fn files(&self, c: &Container) -> Vec<(&'static str, Vec<u8>)> {
        vec![("config.v2.json", text(&config(c))), ("hostconfig.json", text(&host_config::wire(c)))]
    }
}

fn text<T: Serialize>(value: &T) -> Vec<u8> {
    // String keys and finite numbers only: this cannot fail.
    let mut text = serde_json::to_vec(value).unwrap_or_default();
    text.push(b'\n');
    text
}

fn config(c: &Container) -> Value {
    let mounts: Map<_, _> = c.mounts.iter().map(|m| (m.destination.clone(), mount_point(m))).collect();
    let security = &c.spec.host.security_opt;
    let seccomp = security.iter().find_map(|option| option.strip_prefix("seccomp=")).unwrap_or_default();
    json!({
        "StreamConfig": {},
        "State": container::state(&c.state),
        "ID": c.id,
        "Created": c.created.to_string(),
        "Managed": false,
        "Path": c.path,
        "Args": c.args,
        "Config": container::config(c),
        "Image": c.image_id,
        "ImageManifest": container::manifest(c),
        "NetworkSettings": {
            "SandboxID": c.network.sandbox_id,
            "SandboxKey": c.network.sandbox_key,
            "Networks": container::endpoints(c),
            "Service": null,
            "Ports": null,
            "HasSwarmEndpoint": false,
        },
        "LogPath": c.log_path,
        "Name": format!("/{}", c.name),
        "Driver": c.driver,
        "OS": "linux",
        "RestartCount": c.restart_count,
        "HasBeenStartedBefore": c.state.status != Status::Created,
        "HasBeenManuallyStopped": c.stopped_by_user,
        "MountPoints": mounts,
        "SecretReferences": null,
        "ConfigReferences": null,
        "MountLabel": c.mount_label,
        "ProcessLabel": c.process_label,
        "AppArmorProfile": c.apparmor_profile,
        "SeccompProfile": seccomp,
        "NoNewPrivileges": security.iter().any(|o| o.starts_with("no-new-privileges") && !o.ends_with("false")),
        "HostnamePath": c.hostname_path,
        "HostsPath": c.hosts_path,
        "ShmPath": "",
        "ResolvConfPath": c.resolv_conf_path,
        "LocalLogCacheMeta": {"HaveNotifyEnabled": false},
    })
}

fn mount_point(m: &MountPoint) -> Value {
    json!({
        "Source": m.source,
        "Destination": m.destination,
        "RW": m.read_write,
        "Name": m.name,
        "Driver": m.driver,
        "Type": m.kind,
        "Relabel": m.mode,
        "Propagation": m.propagation,
    })
}

//! Devices by name (`--device vendor.com/class=name`, `--gpus`): what their makers' files say a container needs for one. The
//! files are the Container Device Interface's, JSON or YAML; they are read at each start, so that a driver that was just
//! installed counts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use oci::runtime as rt;
use rustix::fs::{FileType, major, minor, stat};
use serde::Deserialize;

use super::DeviceRequest;
use crate::error::{Error, Result};

/// Whoever makes these files larger does not want them read.
const FILE_BYTES_MAX: u64 = 16 << 20;
/// What `--gpus` means where the maker of all known ones has such files.
const GPU: &str = "nvidia.com/gpu";

/// One file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct File {
    /// `vendor.com/class`.
    kind: String,
    devices: Vec<Device>,
    container_edits: Edits,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Device {
    name: String,
    container_edits: Edits,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Edits {
    env: Vec<String>,
    device_nodes: Vec<Node>,
    mounts: Vec<Mount>,
    hooks: Vec<Hook>,
    additional_gids: Vec<u32>,
    intel_rdt: Option<serde_json::Value>,
    net_devices: Vec<serde_json::Value>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Node {
    path: String,
    host_path: String,
    #[serde(rename = "type")]
    kind: String,
    major: Option<i64>,
    minor: Option<i64>,
    file_mode: Option<u32>,
    permissions: String,
    uid: Option<u32>,
    gid: Option<u32>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Mount {
    host_path: String,
    container_path: String,
    options: Vec<String>,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Hook {
    hook_name: String,
    path: String,
    args: Vec<String>,
    env: Vec<String>,
    timeout: Option<i64>,
}

/// All devices there are, by full name: what their file wants for any of its devices, and what they want themselves.
#[derive(Debug, Default)]
struct Registry {
    files: Vec<File>,
    /// Index of the file, and of the device in it.
    devices: BTreeMap<String, (usize, usize)>,
}

impl Registry {
    /// A later directory's word counts more than an earlier one's. A file that cannot be read is told of in the log.
    fn read(directories: &[PathBuf]) -> Self {
        let mut registry = Self::default();
        for directory in directories {
            let mut paths: Vec<PathBuf> = std::fs::read_dir(directory)
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path())
                .collect();
            paths.sort();
            let is_spec = |path: &&PathBuf| {
                path.extension().is_some_and(|extension| extension == "json" || extension == "yaml")
            };
            for path in paths.iter().filter(is_spec) {
                match read(path) {
                    Ok(file) => registry.add(file),
                    Err(error) => {
                        tracing::warn!(path = %path.display(), error, "a file of CDI devices cannot be read");
                    }
                }
            }
        }
        registry
    }

    fn add(&mut self, file: File) {
        let at = self.files.len();
        for (index, device) in file.devices.iter().enumerate() {
            self.devices.insert(format!("{}={}", file.kind, device.name), (at, index));
        }
        self.files.push(file);
    }
}

fn read(path: &Path) -> std::result::Result<File, String> {
    let metadata = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !metadata.is_file() || metadata.len() > FILE_BYTES_MAX {
        return Err("no regular file of a reasonable size".into());
    }
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    // JSON is YAML, too; its own reader says better what is wrong with it.
    let file: File = match path.extension().is_some_and(|extension| extension == "json") {
        true => serde_json::from_str(&text).map_err(|error| error.to_string())?,
        false => yaml_serde::from_str(&text).map_err(|error| error.to_string())?,
    };
    match file.kind.split_once('/') {
        Some((vendor, class)) if !vendor.is_empty() && !class.is_empty() => Ok(file),
        _ => Err(format!("its kind {:?} is not of the form vendor/class", file.kind)),
    }
}

/// The names of all devices there are.
pub(crate) fn names(directories: &[PathBuf]) -> Vec<String> {
    Registry::read(directories).devices.into_keys().collect()
}

/// Puts what the requested devices need into a specification; answers groups that the process has to be in.
pub(crate) fn inject(
    directories: &[PathBuf],
    requests: &[DeviceRequest],
    spec: &mut rt::Spec,
) -> Result<Vec<u32>> {
    if requests.is_empty() {
        return Ok(Vec::new());
    }
    let registry = Registry::read(directories);
    let mut wanted = Vec::new();
    for request in requests {
        wanted.extend(requested(request, &registry)?);
    }
    let missing: Vec<&str> =
        wanted.iter().filter(|name| !registry.devices.contains_key(*name)).map(String::as_str).collect();
    if !missing.is_empty() {
        return Err(Error::internal(format!(
            "CDI device injection failed: unresolvable CDI devices {}",
            missing.join(", ")
        )));
    }
    let mut groups = Vec::new();
    let mut files = Vec::new();
    for name in &wanted {
        let (file, device) = registry.devices[name];
        let file_edits = &registry.files[file].container_edits;
        if !files.contains(&file) {
            files.push(file);
            apply(name, file_edits, spec, &mut groups)?;
        }
        apply(name, &registry.files[file].devices[device].container_edits, spec, &mut groups)?;
    }
    Ok(groups)
}

/// A request as names. What is for another driver is refused in Docker's words.
fn requested(request: &DeviceRequest, registry: &Registry) -> Result<Vec<String>> {
    let is_gpu = request.capabilities.iter().flatten().any(|capability| capability == "gpu");
    match request.driver.as_str() {
        "cdi" => return Ok(request.device_ids.clone()),
        "" | "nvidia" if is_gpu && registry.files.iter().any(|file| file.kind == GPU) => {}
        driver => {
            let sets: Vec<String> =
                request.capabilities.iter().map(|set| format!("[{}]", set.join(" "))).collect();
            return Err(Error::internal(format!(
                "could not select device driver \"{driver}\" with capabilities: [{}]",
                sets.join(" ")
            )));
        }
    }
    Ok(match request.count {
        _ if !request.device_ids.is_empty() => {
            request.device_ids.iter().map(|id| format!("{GPU}={id}")).collect()
        }
        ..0 => vec![format!("{GPU}=all")],
        count => (0..count).map(|number| format!("{GPU}={number}")).collect(),
    })
}

fn apply(name: &str, edits: &Edits, spec: &mut rt::Spec, groups: &mut Vec<u32>) -> Result<()> {
    let failed = |what: &str| Error::internal(format!("CDI device injection failed: {name}: {what}"));
    if edits.intel_rdt.is_some() || !edits.net_devices.is_empty() {
        return Err(failed("intelRdt and netDevices are not built yet"));
    }
    if let Some(process) = &mut spec.process {
        process.env = super::merge::merge_env(&process.env, &edits.env);
    }
    groups.extend(edits.additional_gids.iter().filter(|gid| **gid != 0));
    for node in &edits.device_nodes {
        let (device, access) = device(node).map_err(|error| failed(&error))?;
        let linux = spec.linux.get_or_insert_default();
        if device.kind != rt::DeviceType::Fifo {
            let kind = if device.kind == rt::DeviceType::Block { "b" } else { "c" };
            linux.resources.get_or_insert_default().devices.push(rt::DeviceRule {
                allow: true,
                kind: kind.into(),
                major: Some(device.major),
                minor: Some(device.minor),
                access,
            });
        }
        linux.devices.retain(|other| other.path != device.path);
        linux.devices.push(device);
    }
    for mount in &edits.mounts {
        let mut options = mount.options.clone();
        let is_bind = matches!(mount.kind.as_str(), "" | "bind");
        if is_bind && !options.iter().any(|option| option == "bind" || option == "rbind") {
            options.push("rbind".into());
        }
        spec.mounts.retain(|other| other.destination != mount.container_path);
        spec.mounts.push(rt::Mount {
            destination: mount.container_path.clone(),
            kind: if mount.kind.is_empty() { "bind".into() } else { mount.kind.clone() },
            source: mount.host_path.clone(),
            options,
            ..rt::Mount::default()
        });
    }
    for hook in &edits.hooks {
        let hooks = spec.hooks.get_or_insert_default();
        let list = match hook.hook_name.as_str() {
            "prestart" => &mut hooks.prestart,
            "createRuntime" => &mut hooks.create_runtime,
            "createContainer" => &mut hooks.create_container,
            "startContainer" => &mut hooks.start_container,
            "poststart" => &mut hooks.poststart,
            "poststop" => &mut hooks.poststop,
            other => return Err(failed(&format!("there is no hook {other:?}"))),
        };
        list.push(rt::Hook {
            path: hook.path.clone(),
            args: hook.args.clone(),
            env: hook.env.clone(),
            timeout: hook.timeout,
        });
    }
    Ok(())
}

/// What the file leaves out is as the host's own node has it.
fn device(node: &Node) -> std::result::Result<(rt::Device, String), String> {
    let host = if node.host_path.is_empty() { &node.path } else { &node.host_path };
    let found = stat(host.as_str());
    let kind = match (node.kind.as_str(), &found) {
        ("b", _) => rt::DeviceType::Block,
        ("c" | "u", _) => rt::DeviceType::Char,
        ("p", _) => rt::DeviceType::Fifo,
        ("", Ok(status)) => match FileType::from_raw_mode(status.st_mode) {
            FileType::CharacterDevice => rt::DeviceType::Char,
            FileType::BlockDevice => rt::DeviceType::Block,
            FileType::Fifo => rt::DeviceType::Fifo,
            _ => return Err(format!("{host} is not a device node")),
        },
        ("", Err(error)) => return Err(format!("stat {host}: {error}")),
        (other, _) => return Err(format!("{host}: there is no kind {other:?} of device")),
    };
    let number = |said: Option<i64>, of: fn(u64) -> u32| match (said, &found) {
        (Some(said), _) => Ok(said),
        (None, Ok(status)) => Ok(i64::from(of(status.st_rdev))),
        (None, Err(_)) if kind == rt::DeviceType::Fifo => Ok(0),
        (None, Err(error)) => Err(format!("stat {host}: {error}")),
    };
    let (major, minor) = (number(node.major, major)?, number(node.minor, minor)?);
    let found = found.ok();
    let device = rt::Device {
        kind,
        path: node.path.clone(),
        major,
        minor,
        file_mode: node.file_mode.or(found.as_ref().map(|status| status.st_mode & 0o7777)),
        uid: node.uid.or(found.as_ref().map(|status| status.st_uid)),
        gid: node.gid.or(found.as_ref().map(|status| status.st_gid)),
    };
    let access = if node.permissions.is_empty() { "rwm".to_owned() } else { node.permissions.clone() };
    Ok((device, access))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_directory_counts_and_what_is_missing_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let (one, two) = (directory.path().join("one"), directory.path().join("two"));
        std::fs::create_dir(&one).unwrap();
        std::fs::create_dir(&two).unwrap();
        let json = r#"{"cdiVersion":"0.6.0","kind":"example.com/net","containerEdits":{"env":["ALL=1"]},"devices":[
            {"name":"a","containerEdits":{"env":["OF=one"],"deviceNodes":[{"path":"/dev/a","hostPath":"/dev/null","permissions":"r"}]}},
            {"name":"b","containerEdits":{"additionalGids":[7]}}]}"#;
        std::fs::write(one.join("net.json"), json).unwrap();
        std::fs::write(one.join("broken.json"), "{").unwrap();
        let yaml = "cdiVersion: 0.6.0\nkind: example.com/net\ndevices:\n- name: a\n  containerEdits:\n    env: [OF=two]\n    \
                    mounts:\n    - {hostPath: /usr/lib/x, containerPath: /lib/x, options: [ro]}\n";
        std::fs::write(two.join("net.yaml"), yaml).unwrap();
        let request = |ids: &[&str]| DeviceRequest {
            driver: "cdi".into(),
            device_ids: ids.iter().map(|id| (*id).to_owned()).collect(),
            ..DeviceRequest::default()
        };
        let of = |directories: &[PathBuf], ids: &[&str]| {
            let mut spec = rt::Spec { process: Some(rt::Process::default()), ..rt::Spec::default() };
            inject(directories, &[request(ids)], &mut spec).map(|groups| (spec, groups))
        };
        let (spec, groups) =
            of(std::slice::from_ref(&one), &["example.com/net=a", "example.com/net=b"]).unwrap();
        assert_eq!(
            (spec.process.unwrap().env, groups),
            (vec!["ALL=1".to_owned(), "OF=one".to_owned()], vec![7])
        );
        let linux = spec.linux.unwrap();
        assert_eq!(
            (linux.devices[0].path.as_str(), linux.devices[0].major, linux.devices[0].minor),
            ("/dev/a", 1, 3)
        );
        assert_eq!(linux.resources.unwrap().devices[0].access, "r");
        let both = [one, two];
        let (spec, _) = of(&both, &["example.com/net=a"]).unwrap();
        assert_eq!(spec.process.unwrap().env, ["OF=two"]);
        assert_eq!(spec.mounts[0].options, ["ro", "rbind"]);
        assert_eq!(names(&both), ["example.com/net=a", "example.com/net=b"]);
        assert_eq!(
            of(&both, &["example.com/net=c", "other.org/x=y"]).unwrap_err().message,
            "CDI device injection failed: unresolvable CDI devices example.com/net=c, other.org/x=y"
        );
        let gpus =
            DeviceRequest { count: -1, capabilities: vec![vec!["gpu".into()]], ..DeviceRequest::default() };
        assert_eq!(
            inject(&both, &[gpus], &mut rt::Spec::default()).unwrap_err().message,
            "could not select device driver \"\" with capabilities: [[gpu]]"
        );
    }
}

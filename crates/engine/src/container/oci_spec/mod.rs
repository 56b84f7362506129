//! From a container to the complete runtime spec: everything Docker says by default, then what the user changed.
//! Nothing is defaulted further down.

mod devices;
mod mounts;
mod resources;
mod security;

use std::collections::BTreeMap;
use std::sync::Arc;

use oci::runtime as rt;

use super::files::Files;
use super::{CgroupnsMode, Container, HostSpec, IpcMode, NetworkMode, PidMode, UtsMode};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::records::Record;
use crate::settings::{SeccompSetting, Settings};

pub(crate) use mounts::{VolumeSource, of_points};
pub(crate) use resources::{resources, rlimit};
pub(crate) use security::{SecurityOptions, capabilities, masked_paths, readonly_paths, security_options};

const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The spec and what goes beside it.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) spec: rt::Spec,
    pub(crate) seccomp: Seccomp,
    pub(crate) capabilities: Vec<String>,
    pub(crate) init_reaper: bool,
}

/// Which filter to compile.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Seccomp {
    Unconfined,
    /// `None`: the built-in default.
    Profile(Option<String>),
}

/// Running containers whose namespaces are joined.
#[derive(Debug, Default)]
pub(crate) struct Joined {
    pub(crate) network: Option<Arc<Container>>,
    pid: Option<Arc<Container>>,
    ipc: Option<Arc<Container>>,
}

/// Find the containers whose namespaces this one joins; they must run.
pub(crate) fn joined(core: &Core, record: &Record) -> Result<Joined> {
    let running = |reference: &str, what: &str| {
        let view = core.index.find(reference)?.view();
        if view.state.pid == 0 {
            return Err(Error::conflict(format!(
                "cannot join {what} of a non running container: {}",
                view.id
            )));
        }
        Ok(view)
    };
    let host = &record.spec.host;
    let mut joined = Joined::default();
    if let NetworkMode::Container(other) = &host.network_mode {
        joined.network = Some(running(other, "network")?);
    }
    if let PidMode::Container(other) = &host.pid_mode {
        joined.pid = Some(running(other, "PID namespace")?);
    }
    if let IpcMode::Container(other) = &host.ipc_mode {
        let view = running(other, "IPC namespace")?;
        if !matches!(view.spec.host.ipc_mode, IpcMode::Shareable | IpcMode::Host) {
            return Err(Error::invalid(format!(
                "non-shareable IPC (hint: use IpcMode:shareable for the donor container): {}",
                view.id
            )));
        }
        joined.ipc = Some(view);
    }
    Ok(joined)
}

/// Whether `--init` has something to do; `default` is the engine's.
pub(crate) fn has_reaper(host: &HostSpec, default: bool) -> bool {
    host.pid_mode == PidMode::Private && host.init.unwrap_or(default)
}

pub(crate) fn build(
    settings: &Settings,
    record: &Record,
    files: &Files,
    joined: &Joined,
    volumes: &BTreeMap<String, VolumeSource>,
    variables: &[String],
) -> Result<Built> {
    let spec = &record.spec;
    let host = &spec.host;
    let security = security_options(host)?;
    let capabilities = capabilities(host)?;
    let ambientless = rt::Capabilities {
        bounding: capabilities.clone(),
        effective: capabilities.clone(),
        permitted: capabilities.clone(),
        inheritable: Vec::new(),
        ambient: Vec::new(),
    };
    let rlimits = rlimits(settings, host)?;
    let mut args = vec![record.path.clone()];
    args.extend(record.args.iter().cloned());
    // Who shares a network shares its name, in a namespace of its own (as in Docker).
    let (hostname, domainname) = match &joined.network {
        Some(other) => (&other.spec.hostname, &other.spec.domainname),
        None => (&spec.hostname, &spec.domainname),
    };
    let process = rt::Process {
        terminal: spec.tty,
        console_size: console_size(record),
        user: numeric_user(&spec.user),
        args,
        env: super::merge::merge_env(
            &[base_environment(hostname, spec.tty), variables.to_vec()].concat(),
            &spec.env,
        ),
        cwd: if spec.working_dir.is_empty() { "/".into() } else { spec.working_dir.clone() },
        capabilities: Some(ambientless),
        rlimits,
        no_new_privileges: security.no_new_privileges.unwrap_or(settings.no_new_privileges),
        apparmor_profile: security.apparmor.clone().unwrap_or_default(),
        oom_score_adj: Some(host.oom_score_adj),
        selinux_label: String::new(),
        ..rt::Process::default()
    };
    let devices = devices::plan(host)?;
    let mut resources = resources(&host.resources)?;
    resources.devices = devices.rules;
    let mut linux = rt::Linux {
        sysctl: sysctls(record),
        resources: Some(resources),
        cgroups_path: cgroup_path(settings, host, &record.id),
        namespaces: namespaces(settings, record, joined),
        devices: devices.nodes,
        masked_paths: masked_paths(),
        readonly_paths: readonly_paths(),
        mount_label: String::new(),
        ..rt::Linux::default()
    };
    if security.systempaths_unconfined || host.privileged {
        linux.masked_paths.clear();
        linux.readonly_paths.clear();
    }
    if let Some(paths) = &host.masked_paths {
        linux.masked_paths.clone_from(paths);
    }
    if let Some(paths) = &host.readonly_paths {
        linux.readonly_paths.clone_from(paths);
    }
    let mounts = mounts::mounts(settings, record, files, joined, &security, volumes, &mut linux)?;
    let seccomp = seccomp_choice(settings, host, &security);
    let private_uts = host.uts_mode == UtsMode::Private;
    let spec = rt::Spec {
        oci_version: rt::VERSION.into(),
        process: Some(process),
        root: Some(rt::Root { path: "rootfs".into(), readonly: host.readonly_rootfs }),
        hostname: if private_uts { hostname.clone() } else { String::new() },
        domainname: if private_uts { domainname.clone() } else { String::new() },
        mounts,
        hooks: None,
        annotations: host.annotations.clone(),
        linux: Some(linux),
    };
    let init_reaper = has_reaper(host, settings.init);
    Ok(Built { spec, seccomp, capabilities, init_reaper })
}

/// Which filter: the container's own word, then privileged, then the daemon's.
pub(crate) fn seccomp_choice(settings: &Settings, host: &HostSpec, security: &SecurityOptions) -> Seccomp {
    let setting = match &security.seccomp {
        Some(said) => said,
        None if host.privileged => return Seccomp::Unconfined,
        None => &settings.seccomp,
    };
    match setting {
        SeccompSetting::Unconfined => Seccomp::Unconfined,
        SeccompSetting::Builtin => Seccomp::Profile(None),
        SeccompSetting::Profile(text) => Seccomp::Profile(Some(text.clone())),
    }
}

/// Docker's own variables, which the image's and the user's replace by name.
pub(crate) fn base_environment(hostname: &str, tty: bool) -> Vec<String> {
    let mut own = vec![DEFAULT_PATH.to_owned(), format!("HOSTNAME={hostname}")];
    if tty {
        own.push("TERM=xterm".into());
    }
    own
}

/// `uid` or `uid:gid`; names are left for the container's own files.
pub(crate) fn numeric_user(text: &str) -> rt::User {
    let (user, group) = text.split_once(':').unwrap_or((text, ""));
    let (uid, gid) = (user.parse().unwrap_or(0), group.parse().unwrap_or(0));
    rt::User { uid, gid, additional_gids: vec![gid], ..rt::User::default() }
}

fn console_size(record: &Record) -> Option<rt::ConsoleSize> {
    let (rows, columns) = record.spec.host.console_size;
    (record.spec.tty && (rows, columns) != (0, 0)).then_some(rt::ConsoleSize { height: rows, width: columns })
}

/// The container's, and the daemon's where it says nothing.
pub(crate) fn rlimits(settings: &Settings, host: &HostSpec) -> Result<Vec<rt::Rlimit>> {
    let own = &host.resources.ulimits;
    let defaults = settings.ulimits.iter().filter(|d| own.iter().all(|o| o.name != d.name));
    own.iter().chain(defaults).map(rlimit).collect()
}

/// `<parent>/<id>`.
pub(crate) fn cgroup_path(settings: &Settings, host: &HostSpec, id: &str) -> String {
    let parent = match (host.resources.cgroup_parent.as_str(), settings.cgroup_parent.as_str()) {
        ("", "") => "/docker",
        ("", default) => default,
        (own, _) => own,
    };
    super::mounts::clean(&format!("/{parent}/{id}")).expect("begins with a slash")
}

fn sysctls(record: &Record) -> BTreeMap<String, String> {
    let mut sysctls = BTreeMap::new();
    let private = !matches!(record.spec.host.network_mode, NetworkMode::Host | NetworkMode::Container(_));
    if private {
        // Ping and low ports without privileges, as Docker grants them.
        sysctls.insert("net.ipv4.ping_group_range".to_owned(), "0 2147483647".to_owned());
        sysctls.insert("net.ipv4.ip_unprivileged_port_start".to_owned(), "0".to_owned());
    }
    sysctls.extend(record.spec.host.sysctls.clone());
    sysctls
}

fn namespaces(settings: &Settings, record: &Record, joined: &Joined) -> Vec<rt::Namespace> {
    use rt::NamespaceType as T;
    let host = &record.spec.host;
    let new = |kind| rt::Namespace { kind, path: String::new() };
    let of = |kind: T, container: &Container| rt::Namespace {
        kind,
        path: format!("/proc/{}/ns/{}", container.state.pid, kind.proc_name()),
    };
    let mut list = vec![new(T::Mount)];
    match (&joined.network, &host.network_mode) {
        (Some(other), _) => list.push(of(T::Network, other)),
        (None, NetworkMode::Host) if !record.spec.network_disabled => {}
        _ => list.push(new(T::Network)),
    }
    if host.uts_mode == UtsMode::Private {
        list.push(new(T::Uts));
    }
    match (&joined.pid, &host.pid_mode) {
        (Some(other), _) => list.push(of(T::Pid, other)),
        (None, PidMode::Host) => {}
        _ => list.push(new(T::Pid)),
    }
    match (&joined.ipc, &host.ipc_mode) {
        (Some(other), _) => list.push(of(T::Ipc, other)),
        (None, IpcMode::Host) => {}
        _ => list.push(new(T::Ipc)),
    }
    let mode = host.cgroupns_mode.unwrap_or(match host.privileged && !settings.cgroup_v2 {
        true => CgroupnsMode::Host,
        false => settings.cgroupns_mode,
    });
    if mode == CgroupnsMode::Private {
        list.push(new(T::Cgroup));
    }
    list
}

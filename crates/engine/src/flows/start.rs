//! Start: sandbox → files → spec → filter → process. See `docs/life-of-a-run.md`.

use std::path::Path;
use std::sync::Arc;

use super::{Undo, finish};
use crate::container::links::{self, Linked};
use crate::container::{cdi, files, mounts, oci_spec, published};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::layout;
use crate::networks::attach;
use crate::ports::{
    Attachment, Endpoint, NetworkError, ProcessRef, Reach, RuntimeError, RuntimeErrorKind, StartRequest,
    Started, Stdio,
};
use crate::records::{self, Record};
use crate::settings::BUILTIN_RUNTIMES;
use crate::volumes::{mounting, source};

/// A start that did not succeed, and the exit code it leaves.
#[derive(Debug)]
pub(crate) struct StartFailure {
    pub(crate) error: Error,
    pub(crate) exit_code: i32,
    /// Of the runtime's; `Other` when it was not even asked.
    pub(crate) kind: RuntimeErrorKind,
}

impl From<Error> for StartFailure {
    fn from(error: Error) -> Self {
        Self { error, exit_code: 128, kind: RuntimeErrorKind::Other }
    }
}

/// What every OCI failure text begins with; clients look for parts of it.
const PREFIX: &str = "failed to create task for container: failed to create shim task: OCI runtime create failed: \
                      runc create failed: unable to start container process";

/// What a failure of the network begins with.
const NETWORKING: &str = "failed to set up container networking";

/// Bring the process up. On success the record has its sandbox and endpoint; status and pid are the caller's.
pub(crate) async fn run(
    core: &Arc<Core>,
    record: &mut Record,
    attachments: Vec<Attachment>,
    from: Option<&Path>,
) -> Result<Started, StartFailure> {
    let mut undo = Undo::default();
    let mut failed = (128, RuntimeErrorKind::Other);
    let result = steps(core, record, (attachments, from), &mut undo, &mut failed).await;
    let is_failed = result.is_err();
    let result = finish(undo, result).await;
    if is_failed {
        record.sandbox_id.clear();
        record.endpoints.clear();
        record.ports.clear();
    }
    let (exit_code, kind) = failed;
    result.map_err(|error| StartFailure { error, exit_code, kind })
}

async fn steps(
    core: &Arc<Core>,
    record: &mut Record,
    (attachments, from): (Vec<Attachment>, Option<&Path>),
    undo: &mut Undo,
    failure: &mut (i32, RuntimeErrorKind),
) -> Result<Started> {
    let settings = core.settings();
    let id = record.id.clone();

    core.failpoints.hit("start.network")?;
    let sandbox = match attach::sandbox_request(core, record).map_err(|e| e.context(NETWORKING))? {
        None => None,
        Some(request) => {
            let sandbox = core.ports.network.take(&id, &request).await.map_err(network_error)?;
            record.sandbox_id.clone_from(&sandbox.sandbox_id);
            record.endpoints.clone_from(&sandbox.endpoints);
            let (core, id, endpoints) = (core.clone(), id.clone(), sandbox.endpoints);
            undo.push("network", async move {
                core.ports.network.release(&id, &endpoints).await;
                Ok(())
            });
            Some(sandbox.netns)
        }
    };

    core.failpoints.hit("start.ports")?;
    let ports = publish(core, record, undo).await?;

    core.failpoints.hit("start.files")?;
    let joined = oci_spec::joined(core, record)?;
    let directory = layout::container(&settings.data_root, &id);
    // Who is on no network is told of nobody.
    let own: &[links::Link] = if record.endpoints.is_empty() { &[] } else { &record.links };
    let linked =
        links::follow(core, &record.name, own).inspect_err(|_| failure.1 = RuntimeErrorKind::NotRunning)?;
    let facts = core.ports.network.facts();
    // `host-gateway` is the host, whoever the containers' gateway is.
    let hosts = [facts.address.or(facts.gateway), facts.address6.or(facts.gateway6)];
    let gateways: Vec<_> = hosts.into_iter().flatten().collect();
    let files = files::write(&settings, record, &directory, &joined, &gateways, &linked)?;
    if !linked.is_empty() {
        open_links(core, record, &linked).await;
        let (core, id) = (core.clone(), id.clone());
        undo.push("links", async move {
            core.ports.network.open_links(&id, None, Vec::new()).await;
            Ok(())
        });
    }

    core.failpoints.hit("start.volumes")?;
    let mut mounted = Vec::new();
    let plugged = mounting::for_start(core, &id, record.mounts.iter_mut(), &mut mounted).await;
    for note in mounted {
        let core = core.clone();
        undo.push("plugin's mount", async move {
            mounting::unmount(&core, note).await;
            Ok(())
        });
    }
    let plugged = plugged?;

    core.failpoints.hit("start.spec")?;
    let _turns = source::turns(core, &record.mounts).await;
    let volumes = source::sources(core, &record.id, &record.mounts, &plugged).await?;
    let variables: Vec<String> = linked.iter().flat_map(|link| link.environment(&record.name)).collect();
    let mut built = oci_spec::build(&settings, record, &files, &joined, &volumes, &variables)?;
    let requests = &record.spec.host.resources.device_requests;
    let groups = cdi::inject(&settings.cdi_spec_dirs, requests, &mut built.spec)?;
    let foreign_runtime = foreign_runtime(&settings, record)?;
    let is_own_kind = |mount: &oci::runtime::Mount| !mount.subpath.is_empty() || mount.kind == "overlay";
    if foreign_runtime.is_some() && built.spec.mounts.iter().any(is_own_kind) {
        return Err(Error::unsupported(
            "parts of volumes, and images, are mounted by the built-in runtime only, not by another --runtime",
        ));
    }
    let seccomp = match &built.seccomp {
        oci_spec::Seccomp::Unconfined => None,
        oci_spec::Seccomp::Profile(profile) if foreign_runtime.is_some() => {
            let resolved = core.ports.seccomp.resolve(profile.as_deref(), &built.capabilities);
            let resolved = resolved.map_err(|error| Error::invalid(format!("seccomp profile: {error}")))?;
            built.spec.linux.get_or_insert_default().seccomp = Some(resolved);
            None
        }
        oci_spec::Seccomp::Profile(profile) => {
            Some(core.seccomp_filter(profile.as_deref(), &built.capabilities)?)
        }
    };

    core.failpoints.hit("start.process")?;
    let request = StartRequest {
        id: id.clone(),
        spec: Box::new(built.spec),
        rootfs: record.rootfs.clone().into(),
        volatile_root: record.spec.host.auto_remove,
        netns: sandbox,
        ports,
        seccomp,
        stdio: Stdio {
            tty: record.spec.tty,
            open_stdin: record.spec.open_stdin,
            stdin_once: record.spec.stdin_once,
            console_size: Some(record.spec.host.console_size).filter(|size| *size != (0, 0)),
        },
        log: log_destination(record, &directory)?,
        init_reaper: built.init_reaper,
        user: Some(record.spec.user.clone()).filter(|user| !user.is_empty()),
        additional_groups: record
            .spec
            .host
            .group_add
            .iter()
            .cloned()
            .chain(groups.iter().map(u32::to_string))
            .collect(),
        attachments,
        foreign_runtime,
        checkpoint: from.map(Path::to_owned),
    };
    network_event(core, record, "connect");
    mounts::mounted(core, &record.id, &record.mounts);
    // The record while the process is being made, since from then on its address is taken: the next engine has to
    // know. Whether it came to be, that one asks the monitor.
    let write = async {
        if let Err(error) = core.ports.storage.put_record(&record.id, &records::write(record), false) {
            tracing::warn!(container = %record.id, %error, "could not save its state");
        }
    };
    let (started, ()) = tokio::join!(core.ports.runtime.start(request), write);
    let started = started.map_err(|error| {
        let is_mount = error.kind == RuntimeErrorKind::Mount;
        if let Some(error) =
            is_mount.then(|| source::failed(core, record, &volumes, &error.message)).flatten()
        {
            return error;
        }
        let kind = error.kind.clone();
        let (code, error) = match from {
            None => runtime_error(error),
            Some(_) => {
                (128, Error::internal(format!("cannot start it from a checkpoint: {}", error.message)))
            }
        };
        *failure = (code, kind);
        error
    })?;
    {
        let (core, process) = (core.clone(), ProcessRef::container(id.clone()));
        undo.push("process", async move {
            let killed = core.ports.runtime.signal(&process, crate::container::signal::KILL).await;
            core.ports.runtime.forget(&process).await;
            killed.map_err(|error| Error::internal(error.message))
        });
    }
    core.failpoints.hit("start.publish")?;
    Ok(started)
}

/// `network connect` and `disconnect`: the network is the actor, the container an attribute.
pub(crate) fn network_event(core: &Core, record: &Record, action: &str) {
    record.endpoints.iter().for_each(|endpoint| endpoint_event(core, &record.id, endpoint, action));
}

/// The same of one endpoint.
pub(crate) fn endpoint_event(core: &Core, container: &str, endpoint: &Endpoint, action: &str) {
    let driver =
        core.networks.find(&endpoint.network_id).map_or("bridge".to_owned(), |found| found.driver.clone());
    let attributes = [("container", container), ("name", &endpoint.network), ("type", driver.as_str())]
        .map(|(key, value)| (key.to_owned(), value.to_owned()));
    core.events.publish("network", action, endpoint.network_id.clone(), attributes.into());
}

/// The process has ended: its address goes back. The endpoint's network name stays. What the monitor left is
/// forgotten by [`forget`], once the record has the exit: until then it is the only place that knows it.
pub(crate) async fn release(core: &Arc<Core>, record: &mut Record) {
    // First: afterwards the address may be another's.
    if !record.links.is_empty() {
        core.ports.network.open_links(&record.id, None, Vec::new()).await;
    }
    if !record.ports.is_empty() {
        core.ports.network.unpublish(&record.id).await;
        record.ports.clear();
        record.unapplied_ports = None;
    }
    record.unapplied_mounts = None;
    core.ports.network.release(&record.id, &record.endpoints).await;
    network_event(core, record, "disconnect");
    mounting::release(core, &record.id).await;
    mounts::unmounted(core, &record.id, &record.mounts);
    record.endpoints.clear();
    record.sandbox_id.clear();
}

/// Run-time files go, after [`release`] and after the exit is in the record.
pub(crate) async fn forget(core: &Arc<Core>, record: &Record) {
    core.ports.runtime.forget(&ProcessRef::container(record.id.clone())).await;
}

/// Has ports of the host's lead to the container; what holds them is for whoever outlives the engine.
async fn publish(
    core: &Arc<Core>,
    record: &mut Record,
    undo: &mut Undo,
) -> Result<Option<std::os::fd::OwnedFd>> {
    let leads_out = |endpoint: &&Endpoint| endpoint.is_gateway || endpoint.is_gateway6;
    let Some(endpoint) = record.endpoints.iter().find(leads_out) else { return Ok(None) };
    let reach = Reach::of(&record.endpoints);
    let wishes = published::wishes(&record.spec, attach::unsaid(core, &record.endpoints), reach)?;
    if wishes.is_empty() {
        return Ok(None);
    }
    let published = core.ports.network.publish(&record.id, reach, wishes).await.map_err(|error| {
        let (name, id) = (&record.name, &endpoint.endpoint_id);
        let what = format!("driver failed programming external connectivity on endpoint {name} ({id})");
        network_error(NetworkError { message: format!("{what}: {}", error.message), ..error })
    })?;
    record.ports = published.mappings;
    let (core, id) = (core.clone(), record.id.clone());
    undo.push("ports", async move {
        core.ports.network.unpublish(&id).await;
        Ok(())
    });
    Ok(published.holder)
}

/// What the linked containers expose is open to this one, where others are kept apart.
pub(crate) async fn open_links(core: &Core, record: &Record, linked: &[Linked]) {
    let own = record.endpoints.iter().find(|endpoint| endpoint.is_gateway).and_then(|endpoint| endpoint.ipv4);
    core.ports.network.open_links(&record.id, own, linked.iter().map(Linked::opened).collect()).await;
}

fn network_error(error: NetworkError) -> Error {
    Error::new(error.class, format!("{NETWORKING}: {}", error.message))
}

/// Docker's text, status class and exit code for a failed start.
fn runtime_error(error: RuntimeError) -> (i32, Error) {
    let message = error.message;
    let inside = |message: &str| format!("{PREFIX}: error during container init: {message}");
    match error.kind {
        RuntimeErrorKind::ExecutableNotFound => (127, Error::invalid(inside(&message))),
        RuntimeErrorKind::PermissionDenied => (126, Error::invalid(inside(&message))),
        // The docker CLI looks for "permission denied" to exit with 126.
        RuntimeErrorKind::IsADirectory => {
            (126, Error::invalid(format!("{}: permission denied", inside(&message))))
        }
        RuntimeErrorKind::ExecFormat => (126, Error::invalid(inside(&message))),
        RuntimeErrorKind::NoSuchUser => (126, Error::invalid(message)),
        RuntimeErrorKind::WorkingDirectory => (127, Error::invalid(inside(&message))),
        RuntimeErrorKind::Mount if message.to_lowercase().contains("not a directory") => (
            127,
            Error::invalid(format!(
                "{}: Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host \
                 path exists and is the expected type",
                inside(&message)
            )),
        ),
        RuntimeErrorKind::Mount if message.to_lowercase().contains("no such file") => {
            (127, Error::invalid(inside(&message)))
        }
        RuntimeErrorKind::Log => {
            (128, Error::internal(format!("failed to create task for container: {message}")))
        }
        RuntimeErrorKind::Invalid => (128, Error::invalid(inside(&message))),
        RuntimeErrorKind::Mount | RuntimeErrorKind::NotRunning | RuntimeErrorKind::Other => {
            (128, Error::internal(inside(&message)))
        }
    }
}

fn log_destination(record: &Record, directory: &Path) -> Result<logs::Destination> {
    let command: Vec<_> = std::iter::once(&record.path).chain(&record.args).cloned().collect();
    let facts = logs::ContainerFacts {
        id: &record.id,
        name: &record.name,
        image_id: &record.image_id,
        image_name: &record.spec.image,
        command: &command,
        labels: &record.spec.labels,
        env: &record.spec.env,
        created: &record.created.to_string(),
    };
    let (driver, options) = (&record.log_driver, &record.spec.host.log.options);
    let path = layout::log(directory, &record.id, driver);
    logs::resolve(driver, options, &facts, path).map_err(|error| Error::invalid(error.to_string()))
}

/// Whether another runtime has it.
pub(crate) fn is_foreign(settings: &crate::settings::Settings, record: &Record) -> Result<bool> {
    foreign_runtime(settings, record).map(|runtime| runtime.is_some())
}

pub(super) fn foreign_runtime(
    settings: &crate::settings::Settings,
    record: &Record,
) -> Result<Option<(std::path::PathBuf, Vec<String>)>> {
    let name = match record.spec.host.runtime.as_str() {
        "" => settings.default_runtime.as_str(),
        name => name,
    };
    if let Some((path, args)) = settings.runtimes.get(name) {
        return Ok(Some((path.clone(), args.clone())));
    }
    if BUILTIN_RUNTIMES.contains(&name) {
        return Ok(None);
    }
    Err(Error::invalid(format!("unknown or invalid runtime name: {name}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Class;

    #[test]
    fn failures_become_dockers_codes_and_texts() {
        let of = |kind, message: &str| runtime_error(RuntimeError { kind, message: message.into() });
        let (code, error) =
            of(RuntimeErrorKind::ExecutableNotFound, "exec: \"foo\": executable file not found in $PATH");
        assert_eq!((code, error.class), (127, Class::Invalid));
        assert_eq!(
            error.message,
            "failed to create task for container: failed to create shim task: OCI runtime create failed: runc create \
             failed: unable to start container process: error during container init: exec: \"foo\": executable file \
             not found in $PATH"
        );
        assert_eq!(of(RuntimeErrorKind::PermissionDenied, "exec: \"/x\": permission denied").0, 126);
        let (code, error) = of(RuntimeErrorKind::IsADirectory, "exec: \"/etc\": is a directory");
        assert_eq!(code, 126);
        assert!(error.message.ends_with("permission denied"));
        assert_eq!(of(RuntimeErrorKind::Other, "clone: no memory").0, 128);
    }
}

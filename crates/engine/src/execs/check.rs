//! An exec that nobody asked for: a health check's command. It is an exec like any other, listed and with Docker's
//! events, except that its output comes back here, as much of it as is kept, and that its time is limited.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::sync::oneshot;

use super::registry::Exec;
use super::service::{event, exec_error, words};
use super::{ExecSpec, ExecView, request};
use crate::container::{Container, signal};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::ports::{Attachment, ExecRequest, Exit, ProcessRef, Started, Stdio};

/// An exec that takes longer to come up is given up (as in Docker; it does not count towards the check's own time).
const START_LIMIT: Duration = Duration::from_secs(30);

/// How a command ended, and the beginning of what it wrote.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) exit: Exit,
    pub(crate) output: Vec<u8>,
}

/// Runs a command in a container. When whoever waits for the answer is gone (`unwanted` is closed), it is killed.
pub(crate) async fn run(
    core: &Arc<Core>,
    container: &Arc<Container>,
    command: Vec<String>,
    limit: Duration,
    output_bytes_max: usize,
    unwanted: &mut oneshot::Sender<impl Send>,
) -> Result<Checked> {
    let id = core.ports.ids.id();
    let spec = ExecSpec { attach_stdout: true, attach_stderr: true, cmd: command, ..ExecSpec::default() };
    let view = ExecView {
        id: id.clone(),
        container_id: container.id.clone(),
        open_stdout: true,
        open_stderr: true,
        entrypoint: spec.cmd[0].clone(),
        arguments: spec.cmd[1..].to_vec(),
        user: container.spec.user.clone(),
        ..ExecView::default()
    };
    let words = words(&spec.cmd);
    let exec = Exec { view, spec, taken: true };
    core.execs.insert(exec.clone());
    event(core, container, format!("exec_create: {words}"), &id, None);
    event(core, container, format!("exec_start: {words}"), &id, None);
    let checked = one(core, container, &exec, limit, output_bytes_max, unwanted).await;
    // Nobody was told its id, so it is not kept to be asked for.
    core.execs.forget(&id);
    if let Ok(checked) = &checked {
        event(core, container, "exec_die".to_owned(), &id, Some(checked.exit.code));
    }
    checked
}

async fn one(
    core: &Arc<Core>,
    container: &Arc<Container>,
    exec: &Exec,
    limit: Duration,
    output_bytes_max: usize,
    unwanted: &mut oneshot::Sender<impl Send>,
) -> Result<Checked> {
    let internal = |error: std::io::Error| Error::internal(format!("health check: {error}"));
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(internal)?;
    ours.set_nonblocking(true).map_err(internal)?;
    let ours = UnixStream::from_std(ours).map_err(internal)?;
    let attachment = Attachment {
        stream: OwnedFd::from(theirs),
        leftover: Vec::new(),
        stdin: false,
        stdout: true,
        stderr: true,
        // Both streams into one, as they come.
        framed: false,
        detach_keys: Vec::new(),
    };
    let request = ExecRequest {
        attachment: Some(attachment),
        time_limit: Some(limit),
        ..request::build(core, container, exec, Stdio::default())?
    };
    let process = request.process.clone();
    let started = tokio::select! {
        started = core.ports.runtime.exec(request) => started.map_err(|error| exec_error(error).1)?,
        () = core.ports.clock.sleep(START_LIMIT) => {
            let id = &container.id;
            return Err(Error::internal(format!("timed out starting health check for container {id}")));
        }
    };
    core.execs.started(&exec.view.id, started.pid);
    let checked = watch(core, &process, started, ours, output_bytes_max, unwanted).await;
    core.ports.runtime.forget(&process).await;
    Ok(checked)
}

/// The output is read to its end, so that nothing waits for a full pipe; what is too much is thrown away.
async fn watch(
    core: &Arc<Core>,
    process: &ProcessRef,
    started: Started,
    mut output: UnixStream,
    output_bytes_max: usize,
    unwanted: &mut oneshot::Sender<impl Send>,
) -> Checked {
    let read = async {
        let (mut kept, mut chunk) = (Vec::new(), [0; 4096]);
        while let Ok(length @ 1..) = output.read(&mut chunk).await {
            let room = output_bytes_max - kept.len();
            kept.extend_from_slice(&chunk[..length.min(room)]);
        }
        kept
    };
    let ends = async { tokio::join!(started.exit, read) };
    tokio::pin!(ends);
    let (exit, output) = tokio::select! {
        ended = &mut ends => ended,
        () = unwanted.closed() => {
            if let Err(error) = core.ports.runtime.signal(process, signal::KILL).await {
                tracing::debug!(container = %process.container, %error, "a health check ended by itself");
            }
            ends.await
        }
    };
    Checked { exit, output }
}

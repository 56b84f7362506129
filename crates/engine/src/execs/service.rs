//! The exec service.

use std::sync::Arc;
use std::time::Duration;

use super::registry::Exec;
use super::{Connection, ExecSpec, ExecStartRequest, ExecView, note, request};
use crate::container::state::{self, Action};
use crate::container::{Container, Status, keys};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::ports::{Attachment, ExecRequest, ProcessRef, RuntimeError, RuntimeErrorKind, Started, Stdio};

/// Docker keeps ended execs for inspect about this long.
const KEEP_ENDED: Duration = Duration::from_secs(5 * 60);
/// How long a resize waits for a start that is under way.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// Everything about execs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Execs {
    pub(crate) core: Arc<Core>,
}

/// An exec that may be started: checked before the server upgrades the connection. Dropping it gives it back.
#[derive(Debug)]
pub struct ExecTicket {
    /// Raw bytes on the connection, else frames.
    pub raw: bool,
    core: Arc<Core>,
    exec: Exec,
    request: ExecStartRequest,
    container: Arc<Container>,
    started: bool,
}

impl Execs {
    /// Answers the exec's id.
    pub async fn create(&self, container: &str, spec: ExecSpec) -> Result<String> {
        if spec.cmd.is_empty() || spec.cmd[0].is_empty() {
            return Err(Error::invalid("No exec command specified"));
        }
        keys::parse(spec.detach_keys.as_deref())?;
        let view = self.core.index.find(container)?.view();
        let named = if view.state.status == Status::Paused { container } else { &view.id };
        state::allow(view.state.status, Action::Exec, named)?;
        let id = self.core.ports.ids.id();
        let exec_view = ExecView {
            id: id.clone(),
            container_id: view.id.clone(),
            open_stdin: spec.attach_stdin,
            open_stdout: spec.attach_stdout,
            open_stderr: spec.attach_stderr,
            detach_keys: spec.detach_keys.clone().unwrap_or_default(),
            tty: spec.tty,
            entrypoint: spec.cmd[0].clone(),
            arguments: spec.cmd[1..].to_vec(),
            user: if spec.user.is_empty() { view.spec.user.clone() } else { spec.user.clone() },
            privileged: spec.privileged,
            ..ExecView::default()
        };
        let words = words(&spec.cmd);
        self.core.execs.insert(Exec { view: exec_view, spec, taken: false });
        event(&self.core, &view, format!("exec_create: {words}"), &id, None);
        Ok(id)
    }

    /// Check that it exists, has not run yet and its container runs. The exec is taken: a second open conflicts.
    pub async fn open(&self, id: &str, request: ExecStartRequest) -> Result<ExecTicket> {
        let exec = self.core.execs.get(id)?;
        let container = self.core.index.find(&exec.view.container_id)?.view();
        state::allow(container.state.status, Action::Exec, &container.id)?;
        let exec = self.core.execs.take(id)?;
        Ok(ExecTicket { raw: request.tty, core: self.core.clone(), exec, request, container, started: false })
    }

    pub async fn resize(&self, id: &str, rows: u16, columns: u16) -> Result<()> {
        // Clients resize as soon as the connection is theirs, which is before there is a terminal.
        let settled = tokio::time::timeout(START_PATIENCE, self.core.execs.settled(id)).await;
        let exec = settled.map_err(|_| Error::internal("timeout waiting for exec session ready"))??;
        if !exec.view.running {
            return Err(Error::conflict(format!("exec process is not running: {id}")));
        }
        let process = ProcessRef::exec(exec.view.container_id, id);
        let resized = self.core.ports.runtime.resize(&process, rows, columns).await;
        resized.map_err(|error| Error::internal(error.message))
    }

    pub async fn inspect(&self, id: &str) -> Result<ExecView> {
        let mut exec = self.core.execs.get(id)?;
        // Clients ask as soon as the output has ended.
        if exec.taken
            && exec.view.exit_code.is_none()
            && let Some(exit) = self.core.ports.runtime.ended(&ProcessRef::exec(&exec.view.container_id, id))
        {
            self.core.execs.ended(id, exit.code, exit.error);
            exec = self.core.execs.get(id)?;
        }
        // An exec of a container that has gone is gone with it.
        self.core.index.find(&exec.view.container_id)?;
        Ok(exec.view)
    }
}

impl Drop for ExecTicket {
    fn drop(&mut self) {
        if !self.started {
            self.core.execs.give_back(&self.exec.view.id);
        }
    }
}

impl ExecTicket {
    /// Run it. `None` when detached. Returns when the process has been started; after an upgrade the server
    /// writes an error's text to the connection (`connection` is consumed: dup it before).
    pub async fn start(mut self, connection: Option<Connection>) -> Result<()> {
        self.started = true;
        let core = self.core.clone();
        let id = self.exec.view.id.clone();
        let words = words(&self.exec.spec.cmd);
        event(&core, &self.container, format!("exec_start: {words}"), &id, None);
        let directory = &self.exec.spec.working_dir;
        if !directory.is_empty() && !directory.starts_with('/') {
            // runc's words, which has not come as far as a process.
            core.execs.ended(&id, 128, None);
            forget_later(core, id);
            return Err(Error::internal(
                "OCI runtime exec failed: exec failed: Cwd must be an absolute path",
            ));
        }
        let request = self.request(connection)?;
        let started = match core.ports.runtime.exec(request).await {
            Ok(started) => started,
            Err(error) => {
                let (code, error) = exec_error(error);
                core.execs.ended(&id, code, None);
                forget_later(core, id);
                return Err(error);
            }
        };
        core.execs.started(&id, started.pid);
        let process = ProcessRef::exec(self.container.id.clone(), id.clone());
        core.ports.runtime.note(&process, &note::write(&self.exec.view)).await;
        follow(&core, &self.container, id, started);
        Ok(())
    }

    fn request(&self, connection: Option<Connection>) -> Result<ExecRequest> {
        let spec = &self.exec.spec;
        let detach_keys = keys::parse(spec.detach_keys.as_deref())?;
        let attachment = connection.map(|connection| Attachment {
            stream: connection.stream,
            leftover: connection.leftover,
            stdin: spec.attach_stdin,
            stdout: spec.attach_stdout,
            // Without frames there is one stream, and that is stdout, as in Docker.
            stderr: spec.attach_stderr && !self.raw,
            framed: !self.raw,
            detach_keys,
        });
        let stdio = Stdio {
            tty: spec.tty,
            open_stdin: spec.attach_stdin && !self.request.detach,
            stdin_once: true,
            console_size: self.request.console_size.or(spec.console_size),
        };
        Ok(ExecRequest { attachment, ..request::build(&self.core, &self.container, &self.exec, stdio)? })
    }
}

/// Docker's text and exit code for an exec that did not start.
pub(super) fn exec_error(error: RuntimeError) -> (i32, Error) {
    let text = |message: &str| {
        format!("OCI runtime exec failed: exec failed: unable to start container process: {message}")
    };
    let message = error.message;
    match error.kind {
        RuntimeErrorKind::ExecutableNotFound | RuntimeErrorKind::WorkingDirectory => {
            (127, Error::invalid(text(&message)))
        }
        RuntimeErrorKind::PermissionDenied | RuntimeErrorKind::ExecFormat => {
            (126, Error::invalid(text(&message)))
        }
        RuntimeErrorKind::IsADirectory => {
            (126, Error::invalid(format!("{}: permission denied", text(&message))))
        }
        RuntimeErrorKind::NoSuchUser | RuntimeErrorKind::Invalid => (126, Error::invalid(message)),
        RuntimeErrorKind::NotRunning => (126, Error::conflict(message)),
        RuntimeErrorKind::Mount | RuntimeErrorKind::Log | RuntimeErrorKind::Other => {
            (126, Error::internal(text(&message)))
        }
    }
}

/// The command as events tell it: Docker puts a space after the executable in any case.
pub(super) fn words(command: &[String]) -> String {
    let (executable, arguments) = command.split_first().map_or(("", command), |(e, rest)| (e.as_str(), rest));
    format!("{executable} {}", arguments.join(" "))
}

/// Waits for its end in the background, and tells it.
pub(super) fn follow(core: &Arc<Core>, container: &Arc<Container>, id: String, started: Started) {
    let (core, container) = (core.clone(), container.clone());
    tokio::spawn(async move {
        let mut detached = started.detached;
        let mut exit = started.exit;
        let exit = loop {
            tokio::select! {
                exit = &mut exit => break exit,
                Ok(()) = detached.changed() => event(&core, &container, "exec_detach".to_owned(), &id, None),
            }
        };
        core.execs.ended(&id, exit.code, exit.error);
        event(&core, &container, "exec_die".to_owned(), &id, Some(exit.code));
        core.ports.runtime.forget(&ProcessRef::exec(container.id.clone(), id.clone())).await;
        forget_later(core, id);
    });
}

pub(super) fn forget_later(core: Arc<Core>, id: String) {
    tokio::spawn(async move {
        core.ports.clock.sleep(KEEP_ENDED).await;
        core.execs.forget(&id);
    });
}

pub(super) fn event(core: &Core, container: &Container, action: String, exec: &str, code: Option<i32>) {
    let mut attributes = container.spec.labels.clone();
    attributes.insert("image".into(), container.spec.image.clone());
    attributes.insert("name".into(), container.name.clone());
    attributes.insert("execID".into(), exec.to_owned());
    if let Some(code) = code {
        attributes.insert("exitCode".into(), code.to_string());
    }
    core.events.publish("container", action, container.id.clone(), attributes);
}

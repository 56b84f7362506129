//! The container service: the methods the server calls. Each finds the container's handle and either reads its
//! published snapshot or sends its task a command.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{oneshot, watch};

use super::checkpoints;
use super::task::{Owner, publish_event};
use super::{
    AttachRequest, Container, ContainerSpec, Created, Filters, ListRequest, LogStream, LogsRequest, Pruned,
    RemoveRequest, RenderLine, Status, StopRequest, Top, WaitAnswer, WaitCondition, logs, top,
};
use crate::container::command::Command;
use crate::container::index::{Handle, Published};
use crate::container::state::{self, Action};
use crate::container::{NetworkMode, keys, list, names, signal};
use crate::core::Core;
use crate::error::{Class, Error, Result};
use crate::execs::Connection;
use crate::flows;
use crate::ports::{Attachment, ProcessRef, RuntimeError, RuntimeErrorKind};

/// How long a client has to read the head of the answer before what was logged follows it. docker-py reads the head through
/// a buffer and goes on without it: bytes that have come with the head are lost to it.
const HEAD_READ: std::time::Duration = std::time::Duration::from_millis(20);

/// Everything about containers. Cheap to clone. `reference` is an id, an unambiguous id prefix, or a name.
#[derive(Debug, Clone)]
pub struct Containers {
    pub(crate) core: Arc<Core>,
}

/// An attach that may go ahead: checked before the server upgrades the connection. A start that follows waits
/// for the ticket (it misses no byte); dropping the ticket gives up.
#[derive(Debug)]
pub struct AttachTicket {
    pub tty: bool,
    core: Arc<Core>,
    view: Arc<Container>,
    request: AttachRequest,
    detach_keys: Vec<u8>,
    /// Where a container that does not run yet expects the client.
    at_start: Option<oneshot::Sender<Attachment>>,
}

/// A registered wait: from now on the exit is not missed.
#[derive(Debug)]
pub struct WaitHandle {
    published: watch::Receiver<Published>,
    condition: WaitCondition,
    exits_before: u64,
    removal_failures_before: u64,
}

impl Containers {
    /// `name` without slash; empty: a generated one.
    pub async fn create(&self, name: &str, spec: ContainerSpec) -> Result<Created> {
        let (record, warnings) = flows::create::run(&self.core, name, spec).await?;
        let created = Created { id: record.id.clone(), warnings };
        publish_event(&self.core, &record, "create", &[]);
        let (owner, handle) = Owner::new(self.core.clone(), record);
        self.core.index.insert(&created.id, handle);
        self.core.index.link(&created.id, &owner.record.links);
        owner.spawn();
        Ok(created)
    }

    pub async fn list(&self, request: ListRequest) -> Result<Vec<Arc<Container>>> {
        let mut views = list::select(&self.core, &request)?;
        let names = self.core.index.link_names();
        for view in &mut views {
            if let Some(names) = names.get(&view.id) {
                Arc::make_mut(view).link_names.clone_from(names);
            }
        }
        if !request.size {
            return Ok(views);
        }
        let mut sized = Vec::with_capacity(views.len());
        for view in views {
            sized.push(self.measured(view).await?);
        }
        Ok(sized)
    }

    /// `size`: measure `size_rw` and `size_rootfs`.
    pub async fn inspect(&self, reference: &str, size: bool) -> Result<Arc<Container>> {
        let view = self.core.index.find(reference)?.view();
        let mut view = if size { self.measured(view).await? } else { view };
        let execs = self.core.execs.of_container(&view.id);
        if !execs.is_empty() {
            Arc::make_mut(&mut view).exec_ids = execs;
        }
        let is_named = matches!(view.spec.host.network_mode, NetworkMode::Named(_));
        if !view.spec.host.links.is_empty() && !is_named {
            // Containers are renamed, and links go away.
            let links = self.core.index.links_of(&view.id);
            let shown = links.iter().filter_map(|link| {
                let target = self.core.index.find(&link.target).ok()?.view();
                Some(format!("/{}:/{}/{}", target.name, view.name, link.alias))
            });
            let shown = shown.collect();
            let view = Arc::make_mut(&mut view);
            Arc::make_mut(&mut view.spec).host.links = shown;
        }
        Ok(view)
    }

    async fn measured(&self, view: Arc<Container>) -> Result<Arc<Container>> {
        let (storage, id, image) = (self.core.ports.storage.clone(), view.id.clone(), view.image_id.clone());
        let (own, below) = crate::core::blocking(move || storage.layer_size(&id, &image)).await?;
        let mut view = Container::clone(&view);
        view.size_rw = Some(own);
        view.size_rootfs = Some(own + below);
        Ok(Arc::new(view))
    }

    /// Send the container's task a command and wait for its reply.
    pub(super) async fn ask<T>(
        &self,
        handle: &Handle,
        command: impl FnOnce(oneshot::Sender<Result<T>>) -> Command,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        let gone = || Error::no_such_container(&handle.view().id);
        handle.commands.send(command(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    /// `NotModified` when it runs already.
    pub async fn start(&self, reference: &str) -> Result<()> {
        let handle = self.core.index.find(reference)?;
        let _alone = handle.files.write().await;
        self.ask(&handle, |reply| Command::Start(None, reply)).await
    }

    /// Starts it from a checkpoint: with the container, or in a directory of the caller's.
    pub async fn restore(&self, reference: &str, checkpoint: &str, directory: Option<PathBuf>) -> Result<()> {
        checkpoints::check_name(checkpoint)?;
        let handle = self.core.index.find(reference)?;
        let from = checkpoints::find(&self.core, &handle.view(), checkpoint, directory.as_deref())?;
        let _alone = handle.files.write().await;
        self.ask(&handle, |reply| Command::Start(Some(from), reply)).await
    }

    /// `NotModified` when it does not run.
    pub async fn stop(&self, reference: &str, request: StopRequest) -> Result<()> {
        let handle = self.core.index.find(reference)?;
        let stopped = self.ask(&handle, |reply| Command::Stop(request, reply)).await;
        stopped.map_err(|error| match error.class {
            Class::NotModified | Class::NotFound => error,
            _ => error.context(format_args!("cannot stop container: {reference}")),
        })
    }

    /// The engine goes down: unlike a person's stop, `unless-stopped` brings it back at the next boot.
    pub(crate) async fn stop_for_shutdown(&self, id: &str) -> Result<()> {
        let handle = self.core.index.find(id)?;
        self.ask(&handle, Command::Shutdown).await
    }

    pub async fn restart(&self, reference: &str, request: StopRequest) -> Result<()> {
        let handle = self.core.index.find(reference)?;
        let _alone = handle.files.write().await;
        let restarted = self.ask(&handle, |reply| Command::Restart(request, reply)).await;
        // Whatever it was: Docker lets go of its kind here.
        restarted.map_err(|error| {
            Error::internal(format!("Cannot restart container {reference}: {}", error.message))
        })
    }

    /// `signal`: name with or without `SIG`, or number; empty: SIGKILL.
    pub async fn kill(&self, reference: &str, signal: &str) -> Result<()> {
        let number = if signal.is_empty() { signal::KILL } else { signal::parse(signal)? };
        let handle = self.core.index.find(reference)?;
        self.ask(&handle, |reply| Command::Kill(number, reply)).await?;
        if number == signal::KILL {
            // As Docker: after `kill` the container is down.
            let mut published = handle.published.clone();
            let _ = published.wait_for(|p| p.view.state.pid == 0 || p.removed).await;
        }
        Ok(())
    }

    /// Register first, then [`WaitHandle::answer`].
    pub async fn wait(&self, reference: &str, condition: WaitCondition) -> Result<WaitHandle> {
        let published = self.core.index.find(reference)?.published;
        let (exits_before, removal_failures_before) = {
            let now = published.borrow();
            (now.exits, now.removal_failures)
        };
        Ok(WaitHandle { published, condition, exits_before, removal_failures_before })
    }

    pub async fn attach(&self, reference: &str, request: AttachRequest) -> Result<AttachTicket> {
        let detach_keys = keys::parse(request.detach_keys.as_deref())?;
        let handle = self.core.index.find(reference)?;
        let view = handle.view();
        state::allow(view.state.status, Action::Attach, reference)?;
        let running = view.state.status == Status::Running;
        if running && request.stream {
            let process = ProcessRef::container(view.id.clone());
            self.core.ports.runtime.attachable(&process).await.map_err(|error| unattachable(&view, error))?;
        }
        let mut at_start = None;
        if !running && request.stream {
            let (sender, receiver) = oneshot::channel();
            let gone = || Error::no_such_container(reference);
            handle.commands.send(Command::AttachAtStart(receiver)).await.map_err(|_| gone())?;
            at_start = Some(sender);
        }
        self.event(&view, "attach", &[]);
        Ok(AttachTicket { tty: view.spec.tty, core: self.core.clone(), view, request, detach_keys, at_start })
    }

    /// `render` gets to know whether the container has a terminal.
    pub async fn logs(
        &self,
        reference: &str,
        request: LogsRequest,
        render: impl FnOnce(bool) -> RenderLine,
    ) -> Result<LogStream> {
        if !request.stdout && !request.stderr {
            return Err(Error::invalid("Bad parameters: you must choose at least one stream"));
        }
        let handle = self.core.index.find(reference)?;
        logs::open(&self.core, &handle, request, render)
    }

    /// Forget what the container has written until now.
    pub async fn clear_logs(&self, reference: &str) -> Result<()> {
        let handle = self.core.index.find(reference)?;
        logs::readable(&handle.view())?;
        self.ask(&handle, Command::ClearLogs).await
    }

    pub async fn resize(&self, reference: &str, rows: u16, columns: u16) -> Result<()> {
        let handle = self.core.index.find(reference)?;
        self.ask(&handle, |reply| Command::Resize(rows, columns, reply)).await
    }

    pub async fn rename(&self, reference: &str, name: &str) -> Result<()> {
        let handle = self.core.index.find(reference)?;
        let empty = || Error::invalid("Neither old nor new names may be empty");
        let name = names::check(name.trim())?.ok_or_else(empty)?;
        self.ask(&handle, |reply| Command::Rename(name, reply)).await
    }

    pub async fn pause(&self, reference: &str) -> Result<()> {
        let handle = self.core.index.find(reference)?;
        self.ask(&handle, Command::Pause).await
    }

    pub async fn unpause(&self, reference: &str) -> Result<()> {
        let handle = self.core.index.find(reference)?;
        self.ask(&handle, Command::Unpause).await
    }

    pub async fn remove(&self, reference: &str, request: RemoveRequest) -> Result<()> {
        if request.link {
            return self.unlink(reference).await;
        }
        let handle = self.core.index.find(reference)?;
        if handle.view().state.status == Status::Removing {
            state::allow(Status::Removing, Action::Remove, reference)?;
        }
        let _alone = handle.files.write().await;
        let removed = self.ask(&handle, |reply| Command::Remove(request, reply)).await;
        removed.map_err(|error| match error.class {
            // It went away on its own (`--rm`) while we asked.
            Class::NotFound => error,
            _ => error.context(format_args!("cannot remove container \"{reference}\"")),
        })
    }

    /// `/web/db`: `web` is told of `db` no more.
    async fn unlink(&self, reference: &str) -> Result<()> {
        self.core.index.find(reference)?;
        let name = reference.strip_prefix('/').unwrap_or(reference);
        let Some((owner, alias)) = name.split_once('/') else {
            return Err(Error::internal("Conflict, cannot remove the default link name of the container"));
        };
        let handle = self
            .core
            .index
            .find(owner)
            .map_err(|_| Error::internal(format!("Cannot get parent /{owner} for link name /{name}")))?;
        self.ask(&handle, |reply| Command::Unlink(alias.to_owned(), reply)).await
    }

    /// `ps_args` as for ps(1); empty: `-ef`.
    pub async fn top(&self, reference: &str, ps_args: &str) -> Result<Top> {
        let view = self.core.index.find(reference)?.view();
        state::allow(view.state.status, Action::Top, &view.id)?;
        let pids = self.core.ports.runtime.pids(&view.id).await;
        let pids = pids.map_err(|error| Error::internal(error.message))?;
        let table = top::table(&pids, ps_args)?;
        self.event(&view, "top", &[]);
        Ok(table)
    }

    /// Remove what is stopped and matches `label`, `label!`, `until`.
    pub async fn prune(&self, filters: Filters) -> Result<Pruned> {
        filters.check(&["label", "label!", "until"])?;
        let until = list::until(&self.core, &filters)?;
        let mut pruned = Pruned::default();
        for view in self.core.index.views() {
            let stopped = matches!(view.state.status, Status::Created | Status::Exited | Status::Dead);
            let old_enough = until.is_none_or(|until| view.created < until);
            let unwanted = filters.has("label!") && filters.labels_match("label!", &view.spec.labels);
            if !stopped || !old_enough || unwanted || !filters.labels_match("label", &view.spec.labels) {
                continue;
            }
            let size = self.measured(view.clone()).await.ok().and_then(|view| view.size_rw).unwrap_or(0);
            match self.remove(&view.id, RemoveRequest::default()).await {
                Ok(()) => {
                    pruned.ids.push(view.id.clone());
                    pruned.space_bytes += size;
                }
                // Started or removed meanwhile.
                Err(error) if matches!(error.class, Class::Conflict | Class::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        let attributes = [("reclaimed".to_owned(), pruned.space_bytes.to_string())].into();
        self.core.events.publish("container", "prune", "", attributes);
        Ok(pruned)
    }

    pub(super) fn event(&self, view: &Container, action: &str, extra: &[(&str, String)]) {
        let mut attributes = view.spec.labels.clone();
        attributes.insert("image".into(), view.spec.image.clone());
        attributes.insert("name".into(), view.name.clone());
        attributes.extend(extra.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        self.core.events.publish("container", action, view.id.clone(), attributes);
    }
}

impl AttachTicket {
    /// The upgraded connection. Returns when it has been handed over (or, for a container that is not started
    /// yet, put where the start finds it).
    pub async fn connect(self, connection: Connection) -> Result<()> {
        let Connection { stream, leftover } = connection;
        let stream = match self.request.logs {
            true => {
                tokio::time::sleep(HEAD_READ).await;
                logs::replay(&self.view, &self.request, stream).await?
            }
            false => stream,
        };
        if !self.request.stream {
            return Ok(());
        }
        let attachment = Attachment {
            stream,
            leftover,
            stdin: self.request.stdin && self.view.spec.open_stdin,
            stdout: self.request.stdout,
            stderr: self.request.stderr,
            framed: !self.view.spec.tty && !self.request.unframed,
            detach_keys: self.detach_keys,
        };
        if let Some(at_start) = self.at_start {
            // Nobody there: the container was removed; the connection closes.
            let _ = at_start.send(attachment);
            return Ok(());
        }
        let process = ProcessRef::container(self.view.id.clone());
        let attached = self.core.ports.runtime.attach(&process, attachment).await;
        attached.map_err(|error| unattachable(&self.view, error))
    }
}

fn unattachable(view: &Container, error: RuntimeError) -> Error {
    match error.kind {
        RuntimeErrorKind::NotRunning => Error::conflict(format!("container {} is not running", view.id)),
        _ => Error::internal(format!("cannot attach to container {}: {}", view.id, error.message)),
    }
}

impl WaitHandle {
    pub async fn answer(mut self) -> Result<WaitAnswer> {
        let (condition, before) = (self.condition, self.exits_before);
        let failures_before = self.removal_failures_before;
        let done = |published: &Published| {
            let running = published.view.state.is_running();
            published.removed
                || match condition {
                    WaitCondition::NotRunning => !running || published.exits > before,
                    WaitCondition::NextExit => published.exits > before,
                    WaitCondition::Removed => published.removal_failures > failures_before,
                }
        };
        // An error: the task has ended; the last it published stands.
        let _ = self.published.wait_for(done).await.map(drop);
        let published = self.published.borrow().clone();
        let state = &published.view.state;
        let mut answer = WaitAnswer { status_code: i64::from(state.exit_code), ..WaitAnswer::default() };
        // A start that failed told its own caller; here only what an exit or a removal had to say belongs.
        let said = Some(state.error.clone()).filter(|text| !text.is_empty());
        if published.removal_failures > failures_before {
            answer.error = said;
        } else if published.exits > self.exits_before {
            answer.warning = said;
        }
        Ok(answer)
    }
}

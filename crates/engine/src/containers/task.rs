//! The task that owns one container.
//!
//! Everything that changes a container arrives here as a [`Command`], one after the other, so nothing is locked.
//! The task never waits for the container's process: a stop in progress is a deadline and a list of those who
//! want to know, beside which kills, renames and the exit itself are served. Only steps that take milliseconds
//! (start, records) are awaited in line.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::container::command::{Command, Reply};
use crate::container::index::{Handle, Published};
use crate::container::state::{self, Action};
use crate::container::{
    Container, NetworkMode, NetworkView, RemoveRequest, RestartPolicy, StateView, Status, StopRequest, signal,
};
use crate::core::{Core, blocking};
use crate::error::{Class, Error, Result};
use crate::flows;
use crate::layout;
use crate::ports::{Attachment, BoxFuture, Exit, ProcessRef, RuntimeErrorKind, Started};
use crate::records::{self, Record};

/// Depth of a container's inbox: senders wait beyond it.
const INBOX: usize = 64;
/// A process that ran this long has its restart back-off reset (as in Docker).
const BACKOFF_RESET: Duration = Duration::from_secs(10);
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_LAST: Duration = Duration::from_secs(60);
/// Changes of this long are written into its directory together, and what lives shorter never is: no request waits.
const MIRROR_DELAY: Duration = Duration::from_millis(250);
/// How long a start waits for a client whose connection is just being upgraded.
const ATTACH_WAIT: Duration = Duration::from_secs(5);

/// What is to be done when the process has ended.
#[derive(Debug)]
enum AfterExit {
    Stopped(Reply<()>),
    Restart(Reply<()>),
    Remove(RemoveRequest, Reply<()>),
}

/// A container and everything only its task may touch.
pub(crate) struct Owner {
    core: Arc<Core>,
    pub(crate) record: Record,
    inbox: mpsc::Receiver<Command>,
    publish: watch::Sender<Published>,
    process: ProcessRef,
    exit: Option<BoxFuture<'static, Exit>>,
    oom: Option<watch::Receiver<u64>>,
    /// When a stop in progress resorts to SIGKILL.
    kill_at: Option<BoxFuture<'static, ()>>,
    restart_at: Option<BoxFuture<'static, ()>>,
    backoff: Duration,
    after_exit: Vec<AfterExit>,
    waiting_clients: Vec<oneshot::Receiver<Attachment>>,
    /// When its `config.v2.json` is to be written.
    mirror_at: Option<BoxFuture<'static, ()>>,
    exits: u64,
    gone: bool,
}

impl Owner {
    /// Make the owner and its handle; nothing runs until [`Owner::spawn`].
    pub(crate) fn new(core: Arc<Core>, record: Record) -> (Self, Handle) {
        let (commands, inbox) = mpsc::channel(INBOX);
        let view = Arc::new(view_of(&core, &record));
        let (publish, published) =
            watch::channel(Published { view, exits: 0, removed: false, removal_failures: 0 });
        let process = ProcessRef::container(record.id.clone());
        let owner = Self {
            core,
            record,
            inbox,
            publish,
            process,
            exit: None,
            oom: None,
            kill_at: None,
            restart_at: None,
            backoff: BACKOFF_FIRST,
            after_exit: Vec::new(),
            waiting_clients: Vec::new(),
            mirror_at: None,
            exits: 0,
            gone: false,
        };
        (owner, Handle { commands, published })
    }

    /// Adopt a process that an earlier engine started.
    pub(crate) fn adopt(&mut self, started: Started, paused: bool) {
        self.record.pid = started.pid;
        self.record.status = if paused { Status::Paused } else { Status::Running };
        self.exit = Some(started.exit);
        self.oom = Some(started.oom);
        self.publish();
    }

    /// Restart soon, as the policy wants after a boot.
    pub(crate) fn restart_soon(&mut self) {
        self.record.status = Status::Restarting;
        self.restart_at = Some(self.core.ports.clock.sleep(Duration::ZERO));
        self.publish();
    }

    pub(crate) fn spawn(self) {
        tokio::spawn(self.run());
    }

    async fn run(mut self) {
        self.mirror_soon();
        while !self.gone {
            // Not biased: a flood of commands must not starve the exit, nor the other way round.
            tokio::select! {
                exit = ripe(&mut self.exit) => {
                    self.exit = None;
                    self.on_exit(exit).await;
                }
                () = grown(&mut self.oom) => self.on_oom().await,
                () = ripe(&mut self.kill_at) => {
                    self.kill_at = None;
                    self.force().await;
                }
                () = ripe(&mut self.restart_at) => {
                    self.restart_at = None;
                    self.restart().await;
                }
                () = ripe(&mut self.mirror_at) => {
                    self.mirror_at = None;
                    self.mirror();
                }
                command = self.inbox.recv() => match command {
                    Some(command) => self.serve(command).await,
                    // The index has let go of it, and so has every caller.
                    None => return,
                },
            }
        }
    }

    async fn serve(&mut self, command: Command) {
        match command {
            Command::Start(reply) => {
                // A start that was not even tried (it runs already) changes nothing.
                let tried = self.allow(Action::Start).is_ok();
                let result = self.start_by_user().await;
                let failed = tried && result.is_err();
                let _ = reply.send(result);
                if tried && !failed {
                    self.save_started().await;
                }
                // A container that never came up and that nobody will look at again.
                if failed && self.record.spec.host.auto_remove && !self.gone {
                    let _ = self.remove(RemoveRequest { volumes: true, ..RemoveRequest::default() }).await;
                }
            }
            Command::Stop(request, reply) => self.stop(request, reply).await,
            Command::Shutdown(reply) => self.shut_down(reply).await,
            Command::Restart(request, reply) => self.restart_by_user(request, reply).await,
            Command::Kill(signal, reply) => {
                let result = self.kill(signal).await;
                let _ = reply.send(result);
            }
            Command::Pause(reply) => {
                let result = self.pause().await;
                let _ = reply.send(result);
            }
            Command::Unpause(reply) => {
                let result = self.unpause().await;
                let _ = reply.send(result);
            }
            Command::Resize(rows, columns, reply) => {
                let _ = reply.send(self.resize(rows, columns).await);
            }
            Command::Rename(name, reply) => {
                let result = self.rename(name).await;
                let _ = reply.send(result);
            }
            Command::Remove(request, reply) => self.remove_by_user(request, reply).await,
            Command::AttachAtStart(client) if self.exit.is_none() => self.waiting_clients.push(client),
            // It came while the start was on its way.
            Command::AttachAtStart(client) => self.attach_now(client),
        }
    }

    fn attach_now(&self, client: oneshot::Receiver<Attachment>) {
        let (core, process) = (self.core.clone(), self.process.clone());
        tokio::spawn(async move {
            // An error here is a client that gave up during its upgrade.
            let Ok(attachment) = client.await else { return };
            if let Err(error) = core.ports.runtime.attach(&process, attachment).await {
                tracing::warn!(container = %process.container, %error, "could not attach a client");
            }
        });
    }

    fn allow(&self, action: Action) -> Result<()> {
        state::allow(self.record.status, action, &self.record.id)
    }

    // ------------------------------------------------------------------------------------- start

    async fn start_by_user(&mut self) -> Result<()> {
        self.allow(Action::Start)?;
        self.restart_at = None;
        self.backoff = BACKOFF_FIRST;
        self.record.restart_count = 0;
        self.record.stopped_by_user = false;
        self.start().await
    }

    async fn start(&mut self) -> Result<()> {
        let mut attachments = Vec::new();
        for client in std::mem::take(&mut self.waiting_clients) {
            // An error here is a client that gave up during its upgrade.
            if let Ok(Ok(attachment)) = tokio::time::timeout(ATTACH_WAIT, client).await {
                attachments.push(attachment);
            }
        }
        match flows::start::run(&self.core, &mut self.record, attachments).await {
            Ok(started) => {
                self.record.status = Status::Running;
                self.record.pid = started.pid;
                self.record.started_at = Some(started.started_at);
                self.record.error.clear();
                self.record.oom_killed = false;
                self.exit = Some(started.exit);
                self.oom = Some(started.oom);
                self.publish();
                self.event("start", &[]);
                Ok(())
            }
            Err(failure) => {
                self.record.status =
                    if self.record.started_at.is_some() { Status::Exited } else { Status::Created };
                self.record.pid = 0;
                self.record.exit_code = failure.exit_code;
                self.record.error.clone_from(&failure.error.message);
                if self.record.status == Status::Exited {
                    self.record.finished_at = Some(self.core.ports.clock.now());
                }
                self.save(false).await;
                self.publish();
                Err(failure.error)
            }
        }
    }

    /// After the news: that it runs is known to its monitor, so that nothing is lost if the engine ends before.
    async fn save_started(&mut self) {
        if !self.record.spec.host.auto_remove {
            self.save(false).await;
        }
    }

    // -------------------------------------------------------------------------------------- stop

    async fn stop(&mut self, request: StopRequest, reply: Reply<()>) {
        if let Err(error) = self.allow(Action::Stop) {
            let _ = reply.send(Err(error));
            return;
        }
        self.record.stopped_by_user = true;
        if self.cancel_restart().await {
            self.event("stop", &[]);
            let _ = reply.send(Ok(()));
            return;
        }
        match self.begin_stop(&request).await {
            Ok(()) => self.after_exit.push(AfterExit::Stopped(reply)),
            Err(error) => {
                let _ = reply.send(Err(error));
            }
        }
    }

    async fn shut_down(&mut self, reply: Reply<()>) {
        if self.cancel_restart().await {
            let _ = reply.send(Ok(()));
            return;
        }
        match self.begin_stop(&StopRequest::default()).await {
            Ok(()) => self.after_exit.push(AfterExit::Stopped(reply)),
            Err(error) => {
                let _ = reply.send(Err(error));
            }
        }
    }

    /// Waiting for its next try counts as running, but there is no process. True when that was the case.
    async fn cancel_restart(&mut self) -> bool {
        if self.exit.is_some() {
            return false;
        }
        self.restart_at = None;
        if self.record.status != Status::Restarting {
            return true;
        }
        self.record.status = Status::Exited;
        self.save(false).await;
        self.publish();
        true
    }

    async fn begin_stop(&mut self, request: &StopRequest) -> Result<()> {
        let number = match (&request.signal, &self.record.spec.stop_signal) {
            (Some(asked), _) => signal::parse(asked)?,
            (None, Some(own)) => signal::parse(own)?,
            (None, None) => signal::TERM,
        };
        let timeout_s = request.timeout_s.or(self.record.spec.stop_timeout_s).unwrap_or(10);
        self.core.failpoints.hit("stop.signal")?;
        let sent = self.send(number).await;
        if sent.is_ok() {
            self.event("kill", &[("signal", number.to_string())]);
        }
        self.core.failpoints.hit("stop.wait")?;
        let wait = match (&sent, u64::try_from(timeout_s)) {
            // Could not be told: it is probably ending already.
            (Err(_), _) => Some(Duration::from_secs(2)),
            (Ok(()), Ok(seconds)) => Some(Duration::from_secs(seconds)),
            (Ok(()), Err(_)) => None,
        };
        if let Some(wait) = wait {
            self.kill_at = Some(self.core.ports.clock.sleep(wait));
        }
        Ok(())
    }

    /// The stop's patience is over.
    async fn force(&mut self) {
        tracing::info!(container = %self.record.id, "did not stop in time, killing it");
        match self.send(signal::KILL).await {
            Ok(()) => self.event("kill", &[("signal", signal::KILL.to_string())]),
            Err(error) => tracing::warn!(container = %self.record.id, %error, "could not kill"),
        }
    }

    async fn restart_by_user(&mut self, request: StopRequest, reply: Reply<()>) {
        if matches!(self.record.status, Status::Removing | Status::Dead) {
            let _ = reply.send(self.allow(Action::Start));
            return;
        }
        if self.exit.is_none() {
            let result = self.start_by_user().await;
            let started = result.is_ok();
            if started {
                self.event("restart", &[]);
            }
            let _ = reply.send(result);
            if started {
                self.save_started().await;
            }
            return;
        }
        match self.begin_stop(&request).await {
            Ok(()) => self.after_exit.push(AfterExit::Restart(reply)),
            Err(error) => {
                let _ = reply.send(Err(error));
            }
        }
    }

    async fn kill(&mut self, number: i32) -> Result<()> {
        self.allow(Action::Kill)?;
        let stop_signal = self
            .record
            .spec
            .stop_signal
            .as_deref()
            .and_then(|s| signal::parse(s).ok())
            .unwrap_or(signal::TERM);
        // Whoever kills it does not want it back (Docker does the same for the stop signal).
        if number == signal::KILL || number == stop_signal {
            self.record.stopped_by_user = true;
        }
        self.send(number).await?;
        self.event("kill", &[("signal", number.to_string())]);
        Ok(())
    }

    /// Signal PID 1; thaw it when a paused one is to end.
    async fn send(&mut self, number: i32) -> Result<()> {
        let runtime = &self.core.ports.runtime;
        runtime.signal(&self.process, number).await.map_err(|error| match error.kind {
            RuntimeErrorKind::NotRunning => {
                Error::conflict(format!("container {} is not running", self.record.id))
            }
            _ => Error::internal(error.message),
        })?;
        if self.record.status == Status::Paused && matches!(number, signal::KILL | signal::TERM) {
            runtime.resume(&self.record.id).await.map_err(|error| Error::internal(error.message))?;
            self.record.status = Status::Running;
            self.publish();
        }
        Ok(())
    }

    // -------------------------------------------------------------------------------------- exit

    /// Docker tells of it at once, also when the container goes on without the process that was killed.
    async fn on_oom(&mut self) {
        self.record.oom_killed = true;
        self.save_started().await;
        self.publish();
        self.event("oom", &[]);
    }

    async fn on_exit(&mut self, exit: Exit) {
        self.oom = None;
        let ran = self
            .record
            .started_at
            .map_or(Duration::ZERO, |at| Duration::try_from(exit.at.duration_since(at)).unwrap_or_default());
        self.kill_at = None;
        self.exits += 1;
        self.record.pid = 0;
        self.record.exit_code = exit.code;
        // Of which nobody heard: it happened while no engine listened, or in the very last moment.
        let is_news = exit.oom_killed && !self.record.oom_killed;
        self.record.oom_killed |= exit.oom_killed;
        self.record.error = exit.error.unwrap_or_default();
        self.record.finished_at = Some(exit.at);
        self.record.status = Status::Exited;
        // An end cannot fail: these two only stop the engine.
        let _ = self.core.failpoints.hit("stop.release");
        flows::start::release(&self.core, &mut self.record).await;
        self.core.execs.container_ended(&self.record.id);

        if is_news {
            self.event("oom", &[]);
        }
        self.event(
            "die",
            &[("exitCode", exit.code.to_string()), ("execDuration", ran.as_secs().to_string())],
        );

        let after = std::mem::take(&mut self.after_exit);
        let planned = after.iter().any(|next| !matches!(next, AfterExit::Stopped(_)));
        let again = !planned && self.wants_restart(exit.code);
        if again {
            self.backoff = if ran > BACKOFF_RESET { BACKOFF_FIRST } else { self.backoff };
            self.restart_at = Some(self.core.ports.clock.sleep(self.backoff));
            self.backoff = (self.backoff * 2).min(BACKOFF_LAST);
            self.record.restart_count += 1;
            self.record.status = Status::Restarting;
        }
        // An auto-removed container's last state is of no use on disk.
        let removed_now = self.record.spec.host.auto_remove && !again && !planned;
        let _ = self.core.failpoints.hit("stop.record");
        if !removed_now {
            self.save(false).await;
            // Not before: an engine killed in between finds the exit code there.
            flows::start::forget(&self.core, &self.record).await;
        }
        self.publish();

        if removed_now {
            let request = RemoveRequest { force: true, volumes: true, link: false };
            if let Err(error) = self.remove(request).await {
                tracing::warn!(container = %self.record.id, %error, "could not remove it after its exit");
            }
        }
        for next in after {
            match next {
                AfterExit::Stopped(reply) => {
                    self.event("stop", &[]);
                    let _ = reply.send(Ok(()));
                }
                AfterExit::Restart(reply) => {
                    self.event("stop", &[]);
                    let result = if self.exit.is_some() { Ok(()) } else { self.start_by_user().await };
                    let started = result.is_ok();
                    if started {
                        self.event("restart", &[]);
                    }
                    let _ = reply.send(result);
                    if started {
                        self.save_started().await;
                    }
                }
                AfterExit::Remove(request, reply) => {
                    let result = if self.gone { Ok(()) } else { self.remove(request).await };
                    let _ = reply.send(result);
                }
            }
        }
    }

    fn wants_restart(&self, code: i32) -> bool {
        if self.record.stopped_by_user || self.core.stopping.load(std::sync::atomic::Ordering::Relaxed) {
            return false;
        }
        match self.record.spec.host.restart {
            RestartPolicy::No => false,
            RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
            RestartPolicy::OnFailure { max_retries } => {
                code != 0 && (max_retries == 0 || self.record.restart_count < max_retries)
            }
        }
    }

    /// One try: a start that fails ends the policy's work, as in Docker (`handleContainerExit` sets it stopped).
    async fn restart(&mut self) {
        match self.start().await {
            Ok(()) => self.save_started().await,
            Err(error) => tracing::warn!(container = %self.record.id, %error, "restart failed"),
        }
    }

    // --------------------------------------------------------------------- pause, resize, rename

    async fn pause(&mut self) -> Result<()> {
        self.allow(Action::Pause)?;
        self.core.ports.runtime.pause(&self.record.id).await.map_err(|error| {
            Error::internal(format!("cannot pause container {}: {error}", self.record.id))
        })?;
        self.record.status = Status::Paused;
        self.save(false).await;
        self.publish();
        self.event("pause", &[]);
        Ok(())
    }

    async fn unpause(&mut self) -> Result<()> {
        self.allow(Action::Unpause)?;
        self.core.ports.runtime.resume(&self.record.id).await.map_err(|error| {
            Error::internal(format!("Cannot unpause container {}: {error}", self.record.id))
        })?;
        self.record.status = Status::Running;
        self.save(false).await;
        self.publish();
        self.event("unpause", &[]);
        Ok(())
    }

    async fn resize(&mut self, rows: u16, columns: u16) -> Result<()> {
        self.allow(Action::Resize)?;
        let resized = self.core.ports.runtime.resize(&self.process, rows, columns).await;
        resized.map_err(|error| Error::internal(error.message))?;
        self.event("resize", &[("height", rows.to_string()), ("width", columns.to_string())]);
        Ok(())
    }

    async fn rename(&mut self, name: String) -> Result<()> {
        if name == self.record.name {
            return Err(Error::invalid("Renaming a container with the same name as its current name"));
        }
        let index = &self.core.index;
        index.reserve(&name, &self.record.id).map_err(|e| e.context("Error when allocating new name"))?;
        let old = std::mem::replace(&mut self.record.name, name);
        if let Err(error) = self.try_save(true).await {
            let name = std::mem::replace(&mut self.record.name, old);
            self.core.index.release(&name, &self.record.id);
            return Err(error);
        }
        self.core.index.release(&old, &self.record.id);
        self.publish();
        self.event("rename", &[("oldName", format!("/{old}"))]);
        Ok(())
    }

    // ------------------------------------------------------------------------------------ remove

    async fn remove_by_user(&mut self, request: RemoveRequest, reply: Reply<()>) {
        let action = if request.force { Action::ForceRemove } else { Action::Remove };
        if let Err(error) = self.allow(action) {
            let _ = reply.send(Err(error));
            return;
        }
        self.restart_at = None;
        if self.exit.is_some() {
            self.record.stopped_by_user = true;
            match self.send(signal::KILL).await {
                Ok(()) => self.event("kill", &[("signal", signal::KILL.to_string())]),
                // Its exit is on the way.
                Err(error) if error.class == Class::Conflict => {}
                Err(error) => {
                    let _ = reply.send(Err(error.context("could not kill container")));
                    return;
                }
            }
            self.after_exit.push(AfterExit::Remove(request, reply));
            return;
        }
        let result = self.remove(request).await;
        let _ = reply.send(result);
    }

    async fn remove(&mut self, request: RemoveRequest) -> Result<()> {
        let before = self.record.status;
        self.record.status = Status::Removing;
        self.publish();
        self.record.remove_volumes = request.volumes;
        match flows::remove::run(&self.core, &self.record).await {
            Ok(()) => {
                self.gone = true;
                self.core.execs.container_removed(&self.record.id);
                self.core.index.remove(&self.record.id, &self.record.name);
                self.event("destroy", &[]);
                self.publish.send_modify(|published| published.removed = true);
                Ok(())
            }
            Err(error) => {
                self.record.status = if before == Status::Removing { before } else { Status::Dead };
                self.record.error.clone_from(&error.message);
                self.save(false).await;
                self.publish();
                self.publish.send_modify(|published| published.removal_failures += 1);
                Err(error)
            }
        }
    }

    // ------------------------------------------------------------------------------------- words

    fn publish(&mut self) {
        self.mirror_soon();
        let view = Arc::new(view_of(&self.core, &self.record));
        let exits = self.exits;
        self.publish.send_modify(|published| {
            published.view = view;
            published.exits = exits;
        });
    }

    fn mirror_soon(&mut self) {
        if self.mirror_at.is_none() {
            self.mirror_at = Some(self.core.ports.clock.sleep(MIRROR_DELAY));
        }
    }

    /// Here rather than beside, so that no file comes into a directory that is being removed.
    fn mirror(&self) {
        let view = self.publish.borrow().view.clone();
        for (name, text) in self.core.ports.mirror.files(&view) {
            if let Err(error) = put_file(&view.directory.join(name), &text) {
                tracing::warn!(container = %view.id, file = name, %error, "could not write it for other programs");
            }
        }
    }

    async fn try_save(&mut self, durable: bool) -> Result<()> {
        let json = records::write(&self.record);
        if !durable {
            return self.core.ports.storage.put_record(&self.record.id, &json, false);
        }
        let (storage, id) = (self.core.ports.storage.clone(), self.record.id.clone());
        blocking(move || storage.put_record(&id, &json, true)).await
    }

    /// Observed state: nothing that was promised is lost when this fails, so it is said and that is all.
    async fn save(&mut self, durable: bool) {
        if let Err(error) = self.try_save(durable).await {
            tracing::warn!(container = %self.record.id, %error, "could not save its state");
        }
    }

    fn event(&self, action: &str, extra: &[(&str, String)]) {
        publish_event(&self.core, &self.record, action, extra);
    }
}

/// A container's event with the attributes Docker gives it: labels, image, name, and the action's own.
pub(crate) fn publish_event(core: &Core, record: &Record, action: &str, extra: &[(&str, String)]) {
    let mut attributes = record.spec.labels.clone();
    attributes.insert("image".into(), record.spec.image.clone());
    attributes.insert("name".into(), record.name.clone());
    attributes.extend(extra.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    core.events.publish("container", action, record.id.clone(), attributes);
}

/// Beside, then renamed over: whoever reads it sees one whole version. What is there already is left alone.
fn put_file(path: &std::path::Path, text: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    if std::fs::read(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    let beside = path.with_extension("tmp");
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(text)?;
    std::fs::rename(&beside, path)
}

/// Wait for a future that may not be there; what is not there never comes.
async fn ripe<T>(future: &mut Option<BoxFuture<'static, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

/// Wait until a number has grown; never, once nobody counts.
async fn grown(number: &mut Option<watch::Receiver<u64>>) {
    if let Some(receiver) = number {
        if receiver.changed().await.is_ok() {
            return;
        }
        *number = None;
    }
    std::future::pending().await
}

/// The record as the outside sees it.
fn view_of(core: &Core, record: &Record) -> Container {
    let settings = core.settings();
    let directory = layout::container(&settings.data_root, &record.id);
    let own_files = |name: &str| directory.join(name);
    let mut endpoints = std::collections::BTreeMap::new();
    match &record.spec.host.network_mode {
        NetworkMode::Container(_) => {}
        mode => {
            let endpoint = record.endpoint.clone().unwrap_or_else(|| crate::ports::Endpoint {
                network: mode.word(),
                ..crate::ports::Endpoint::default()
            });
            endpoints.insert(mode.word(), endpoint);
        }
    }
    let sandbox_key = match record.pid {
        0 => String::new(),
        pid => format!("/proc/{pid}/ns/net"),
    };
    Container {
        id: record.id.clone(),
        name: record.name.clone(),
        created: record.created,
        path: record.path.clone(),
        args: record.args.clone(),
        state: StateView {
            status: record.status,
            pid: record.pid,
            exit_code: record.exit_code,
            error: record.error.clone(),
            oom_killed: record.oom_killed,
            started_at: record.started_at,
            finished_at: record.finished_at,
        },
        image_id: record.image_id.clone(),
        image_manifest: record.image_manifest.clone(),
        spec: Arc::new(record.spec.clone()),
        restart_count: record.restart_count,
        driver: record.driver.clone(),
        rootfs: record.rootfs.clone().into(),
        mounts: record.mounts.clone(),
        network: NetworkView { sandbox_id: record.sandbox_id.clone(), sandbox_key, endpoints },
        exec_ids: Vec::new(),
        resolv_conf_path: own_files("resolv.conf"),
        hostname_path: own_files("hostname"),
        hosts_path: own_files("hosts"),
        log_path: match record.log_driver.as_str() {
            "json-file" => layout::log(&directory, &record.id),
            _ => std::path::PathBuf::new(),
        },
        directory,
        apparmor_profile: String::new(),
        mount_label: String::new(),
        process_label: String::new(),
        log_driver: record.log_driver.clone(),
        stopped_by_user: record.stopped_by_user,
        size_rw: None,
        size_rootfs: None,
    }
}

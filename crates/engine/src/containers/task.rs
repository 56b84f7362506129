//! The task that owns one container.
//!
//! Everything that changes a container arrives here as a [`Command`], one after the other, so nothing is locked.
//! The task never waits for the container's process: a stop in progress is a deadline and a list of those who
//! want to know, beside which kills, renames and the exit itself are served. Only steps that take milliseconds
//! (start, records) are awaited in line.

mod change;
mod checkpoint;
mod exit;
mod health;
mod links;
mod mounts;
mod networks;
mod ports;
mod remove;
mod start;
mod stop;
mod update;
mod words;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use self::words::view_of;
use crate::container::command::{Command, Reply};
use crate::container::index::{Handle, Published};
use crate::container::state::{self, Action};
use crate::container::{HealthResult, RemoveRequest, Status};
use crate::core::Core;
use crate::error::Result;
use crate::ports::{Attachment, BoxFuture, Exit, ProcessRef, RuntimeError, Started};
use crate::records::Record;

pub(crate) use self::words::publish_event;

/// Depth of a container's inbox: senders wait beyond it.
const INBOX: usize = 64;
/// A process that ran this long has its restart back-off reset (as in Docker).
const BACKOFF_RESET: Duration = Duration::from_secs(10);
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_LAST: Duration = Duration::from_secs(60);
/// How long a start waits for a client whose connection is just being upgraded.
const ATTACH_WAIT: Duration = Duration::from_secs(5);

/// What is to be done when the process has ended.
#[derive(Debug)]
enum AfterExit {
    Stopped(Reply<()>),
    Restart(Reply<()>),
    Remove(RemoveRequest, Reply<()>),
    Checkpointed(Reply<()>),
}

/// A container and everything only its task may touch.
pub(crate) struct Owner {
    core: Arc<Core>,
    pub(crate) record: Record,
    inbox: mpsc::Receiver<Command>,
    publish: watch::Sender<Published>,
    process: ProcessRef,
    exit: Option<BoxFuture<'static, Exit>>,
    /// When its process was started, by the clock that nobody sets.
    began: Duration,
    oom: Option<watch::Receiver<u64>>,
    detached: Option<watch::Receiver<u64>>,
    /// When a stop in progress resorts to SIGKILL.
    kill_at: Option<BoxFuture<'static, ()>>,
    restart_at: Option<BoxFuture<'static, ()>>,
    backoff: Duration,
    after_exit: Vec<AfterExit>,
    waiting_clients: Vec<oneshot::Receiver<Attachment>>,
    /// The wait for the next health check, and that check.
    check: Option<BoxFuture<'static, (Duration, HealthResult)>>,
    /// Its health has it ended: a failure for its restart policy, whatever the exit code.
    unhealthy: bool,
    /// A person has ended it: its restart policy has no more say, until the next start by a person.
    policy_over: bool,
    /// The stop in progress is a person's.
    stop_by_user: bool,
    /// When its `config.v2.json` is to be written.
    mirror_at: Option<BoxFuture<'static, ()>>,
    /// A checkpoint in the making, and who waits for it.
    checkpoint: Option<BoxFuture<'static, std::result::Result<(), RuntimeError>>>,
    pending: Option<checkpoint::Pending>,
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
            began: Duration::ZERO,
            oom: None,
            detached: None,
            kill_at: None,
            restart_at: None,
            backoff: BACKOFF_FIRST,
            after_exit: Vec::new(),
            waiting_clients: Vec::new(),
            check: None,
            unhealthy: false,
            policy_over: false,
            stop_by_user: false,
            mirror_at: None,
            checkpoint: None,
            pending: None,
            exits: 0,
            gone: false,
        };
        (owner, Handle { commands, published, files: Arc::default() })
    }

    /// Adopt a process that an earlier engine started.
    pub(crate) fn adopt(&mut self, started: Started, paused: bool) {
        let clock = &self.core.ports.clock;
        let age = Duration::try_from(clock.now().duration_since(started.started_at)).unwrap_or_default();
        self.began = clock.steady().saturating_sub(age);
        self.record.pid = started.pid;
        self.record.status = if paused { Status::Paused } else { Status::Running };
        self.exit = Some(started.exit);
        self.oom = Some(started.oom);
        self.detached = Some(started.detached);
        if !paused {
            self.resume_health();
        }
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
                () = grown(&mut self.detached) => self.event("detach", &[]),
                (ran, result) = ripe(&mut self.check) => {
                    self.check = None;
                    self.on_check(ran, result).await;
                }
                made = ripe(&mut self.checkpoint) => {
                    self.checkpoint = None;
                    self.on_checkpoint(made).await;
                }
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
            Command::Start(from, reply) => {
                // A start that was not even tried (it runs already) changes nothing.
                let tried = self.allow(Action::Start).is_ok();
                let result = self.start_by_user(from.as_deref()).await;
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
            Command::Checkpoint(request, reply) => self.checkpoint(request, reply).await,
            Command::Resize(rows, columns, reply) => {
                let _ = reply.send(self.resize(rows, columns).await);
            }
            Command::ClearLogs(reply) => {
                let _ = reply.send(self.clear_logs().await);
            }
            Command::Rename(name, reply) => {
                let result = self.rename(name).await;
                let _ = reply.send(result);
            }
            Command::Update(request, reply) => {
                let result = self.update(&request).await;
                let _ = reply.send(result);
            }
            Command::Connect(network, spec, reply) => {
                let result = self.connect(&network, *spec).await;
                let _ = reply.send(result);
            }
            Command::Disconnect(network, reply) => {
                let result = self.disconnect(&network).await;
                let _ = reply.send(result);
            }
            Command::Reconnect(network) => self.reconnect(&network).await,
            Command::Remove(request, reply) => self.remove_by_user(request, reply).await,
            Command::Unlink(alias, reply) => {
                let result = self.unlink(&alias).await;
                let _ = reply.send(result);
            }
            Command::LinkChanged => self.follow_links().await,
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

    /// For how long its process has been running.
    fn ran(&self) -> Duration {
        self.core.ports.clock.steady().saturating_sub(self.began)
    }

    fn allow(&self, action: Action) -> Result<()> {
        state::allow(self.record.status, action, &self.record.id)
    }
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

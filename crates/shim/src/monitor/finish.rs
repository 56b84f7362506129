//! The end: reaped, drained, written down, told.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Instant;

use rustix::process::{WaitId, WaitIdOptions, waitid};

use super::client::Client;
use super::foreign::Bundle;
use super::ports::Ports;
use super::{DRAIN, Ended, FAREWELL, Monitor};
use crate::layout;
use crate::protocol::{Event, Foreign};
use crate::record::{Exit, now};

/// What only a container leaves behind.
#[derive(Debug)]
pub(super) struct Container {
    pub(super) machine: Arc<cgroups::Machine>,
    pub(super) path: cgroups::CgroupPath,
    /// Its PID 1 is one: the kernel kills the rest with it. Otherwise that is done here.
    pub(super) own_pid_namespace: bool,
    pub(super) bundle: Option<Bundle>,
}

impl Container {
    pub(super) fn foreign(&self) -> Option<&Foreign> {
        self.bundle.as_ref().map(|bundle| &bundle.foreign)
    }

    pub(super) fn open(&self) -> Option<cgroups::Cgroup> {
        cgroups::Cgroup::open(Arc::clone(&self.machine), &self.path).ok()
    }

    pub(super) fn watch_oom(&self) -> Option<cgroups::OomWatch> {
        cgroups::watch_oom_in(&self.machine, &self.path).ok()
    }

    fn oom_killed(&self) -> bool {
        cgroups::oom_kills_in(&self.machine, &self.path).is_ok_and(|kills| kills > 0)
    }
}

impl Monitor {
    pub(super) fn reap(&mut self) {
        if self.ended.is_some() {
            return;
        }
        let status =
            match waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
                Ok(Some(status)) => Some(status),
                Ok(None) => return,
                // Not a child of ours, which the runtime should not do; the process has ended all the same.
                Err(_) => None,
            };
        let signal = status.as_ref().and_then(|status| status.terminating_signal());
        let code = status.as_ref().and_then(|status| status.exit_status());
        let code = code.or(signal.map(|signal| 128 + signal)).unwrap_or(255);
        self.ended = Some(Ended { code, signal, drain_until: Instant::now() + DRAIN });
        // A pidfd stays readable for ever.
        let _ = rustix::event::epoll::delete(&self.epoll, &self.pidfd);
        if let Some(container) = self.cgroup.as_ref().filter(|container| !container.own_pid_namespace)
            && let Some(cgroup) = container.open()
        {
            let _ = cgroup.kill();
        }
    }

    /// Nothing more will be read from the process.
    pub(super) fn is_drained(&self) -> bool {
        self.ended.is_some_and(|ended| {
            self.sources.iter().all(Option::is_none) || Instant::now() >= ended.drain_until
        })
    }

    /// Log, OOM counter, `exit.json`, engines, clients; then what nobody need wait for who only wants to know:
    /// bundle and cgroup. An engine that is going to remove or restart the container waits until this monitor
    /// has closed their connection.
    pub(super) fn finish(&mut self) {
        let Some(ended) = self.ended else { return };
        for index in 0..self.sources.len() {
            // What was there when others would not let go; now no client holds it back.
            self.pump(index, false);
            if self.sources[index].take().is_some() {
                let stream = if index == 0 { logs::Stream::Stdout } else { logs::Stream::Stderr };
                if let Err(error) = self.log.end_of_stream(stream, now()) {
                    self.note_log_error(&error);
                }
            }
        }
        if let Err(error) = self.log.close() {
            self.note_log_error(&error);
        }
        self.log_busy = false;
        self.stop_stdin();
        self.terminal = None;
        self.oom = None;
        // Before the news: who is told may give the ports to another.
        self.ports = Ports::default();

        let exit = Exit {
            version: 1,
            pid: self.state.pid,
            code: ended.code,
            signal: ended.signal,
            timed_out: self.limit.is_over(),
            checkpointed: self.checkpointed,
            oom_killed: self.cgroup.as_ref().is_some_and(Container::oom_killed),
            finished_at: now(),
            error: self.log_error.take(),
        };
        if let Err(error) = exit.write(&self.directory) {
            super::note(&layout::panic_log(&self.directory), &error.to_string());
        }
        self.exit = Some(exit.clone());
        // Before the news: who is told may remove the directory, and start the next process in a new one.
        let _ = std::fs::remove_file(layout::socket(&self.directory));
        self.tell(&Event::Exited(exit));
        // Whoever sees the end of the output may ask the engine for the status next.
        let mut scratch = self.scratch();
        for client in self.clients.values_mut().filter(|client| !client.is_behind()) {
            client.end(&mut scratch);
        }
        self.scratch = scratch;
        self.farewell_until = Some(Instant::now() + FAREWELL);
        self.settle();
        self.clean_up();
        self.engines.clear();
    }

    fn clean_up(&mut self) {
        let Some(container) = &self.cgroup else { return };
        if let Some(bundle) = &container.bundle {
            bundle.remove();
        }
        if let Some(cgroup) = container.open()
            && let Err(error) = cgroup.delete()
        {
            super::note(&layout::panic_log(&self.directory), &error.to_string());
        }
    }

    /// Every client has what it should have, and closed its side or had time to.
    pub(super) fn is_done(&self) -> bool {
        if self.clients.values().any(Client::is_behind) {
            return false;
        }
        self.clients.is_empty() || self.farewell_until.is_some_and(|until| Instant::now() >= until)
    }
}

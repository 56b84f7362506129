//! A checkpoint of the container: criu as a child beside everything else, since it may take long, and somebody may want to
//! end the container meanwhile.
//!
//! It is written beside its place and renamed when it is whole, here and not by the engine: if the container ends with it, it is
//! all that is left of the container's processes, and an engine may have been killed.

use std::fs;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Child;

use rustix::event::epoll::{self, EventFlags};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::{Monitor, Token};
use crate::criu::{self, Dump, External, Notes};
use crate::protocol::{self, Event, Reply};
use crate::wire;

/// One in progress.
#[derive(Debug)]
pub(super) struct Checkpoint {
    wanted: protocol::Checkpoint,
    /// Until it is whole.
    written: PathBuf,
    /// Who is answered: an engine, and its call's number.
    engine: u32,
    seq: u64,
    step: Step,
    criu: Child,
    pidfd: std::os::fd::OwnedFd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Check,
    Dump,
}

impl Monitor {
    /// The answer, if there is one already.
    pub(super) fn begin_checkpoint(
        &mut self,
        wanted: protocol::Checkpoint,
        (engine, seq): (u32, u64),
    ) -> Option<Reply> {
        let refused = |message: String| Some(Reply::Refused { message });
        if self.checkpoint.is_some() {
            return refused("a checkpoint of it is being made".into());
        }
        if self.ended.is_some() || self.cgroup.is_none() {
            return refused("the process has ended".into());
        }
        if self.state.foreign.is_some() || self.terminal.is_some() {
            return refused("this container cannot be written down".into());
        }
        let Some(written) = beside(&wanted.images) else { return refused("no name for it".into()) };
        let begun = make_directory(&written).and_then(|()| criu::check(&wanted.criu, &self.directory));
        match begun.and_then(|criu| self.watch_criu(criu)) {
            Ok((criu, pidfd)) => {
                let step = Step::Check;
                self.checkpoint = Some(Checkpoint { wanted, written, engine, seq, step, criu, pidfd });
                None
            }
            Err(error) => {
                let _ = fs::remove_dir_all(&written);
                refused(format!("run {}: {error}", wanted.criu.display()))
            }
        }
    }

    fn watch_criu(&self, mut criu: Child) -> std::io::Result<(Child, std::os::fd::OwnedFd)> {
        let watched = i32::try_from(criu.id()).ok().and_then(Pid::from_raw).map(|pid| {
            let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
            epoll::add(&self.epoll, &pidfd, Token::Criu.data(), EventFlags::IN)?;
            Ok::<_, rustix::io::Errno>(pidfd)
        });
        match watched {
            Some(Ok(pidfd)) => Ok((criu, pidfd)),
            failed => {
                let _ = criu.kill();
                let _ = criu.wait();
                Err(failed.and_then(Result::err).map_or_else(|| std::io::ErrorKind::Other.into(), Into::into))
            }
        }
    }

    /// Its criu has ended.
    pub(super) fn on_criu(&mut self) {
        let Some(mut checkpoint) = self.checkpoint.take() else { return };
        let _ = epoll::delete(&self.epoll, &checkpoint.pidfd);
        let succeeded = checkpoint.criu.wait().is_ok_and(|status| status.success());
        let wanted = &checkpoint.wanted;
        let result = match (checkpoint.step, succeeded) {
            (Step::Check, false) => Err(criu::does_not_work(&wanted.criu, &self.directory)),
            (Step::Check, true) if self.ended.is_some() => Err("the process has ended".to_owned()),
            (Step::Check, true) => match self.dump(wanted, &checkpoint.written) {
                Ok((criu, pidfd)) => {
                    self.checkpoint = Some(Checkpoint { step: Step::Dump, criu, pidfd, ..checkpoint });
                    return;
                }
                Err(error) => Err(format!("run {}: {error}", wanted.criu.display())),
            },
            (Step::Dump, false) => Err(criu::dump_failed(&self.directory)),
            (Step::Dump, true) => criu::publish(&checkpoint.written, &wanted.images)
                .map_err(|error| format!("put the checkpoint into {}: {error}", wanted.images.display())),
        };
        let reply = match result {
            Ok(()) => {
                self.checkpointed |= !checkpoint.wanted.leave_running;
                Reply::Done
            }
            Err(message) => {
                let _ = fs::remove_dir_all(&checkpoint.written);
                Reply::Refused { message }
            }
        };
        let answer = Event::Answer { seq: checkpoint.seq, reply: fitted(reply) };
        if let Some(socket) = self.engines.get(&checkpoint.engine)
            && wire::send(socket, &answer, &[]).is_err()
        {
            self.engines.remove(&checkpoint.engine);
        }
    }

    fn dump(
        &self,
        wanted: &protocol::Checkpoint,
        written: &Path,
    ) -> std::io::Result<(Child, std::os::fd::OwnedFd)> {
        let pid = self.state.pid;
        let table = fs::read_to_string(format!("/proc/{pid}/mountinfo"))?;
        let mounts: Vec<External> = criu::externals(&table, &fs::read_to_string("/proc/self/mountinfo")?);
        let theirs = criu::namespace(&pid.to_string(), "net");
        let netns = theirs.filter(|_| theirs != criu::namespace("self", "net"));
        let notes = Notes {
            version: 1,
            streams: [
                self.stdin.as_ref().and_then(criu::pipe_name),
                self.sources[0].as_ref().and_then(criu::pipe_name),
                self.sources[1].as_ref().and_then(criu::pipe_name),
            ],
            netns: netns.is_some(),
            mounts,
        };
        notes.write(written)?;
        let group = self.cgroup.as_ref().and_then(super::finish::Container::open);
        let dump = Dump {
            criu: &wanted.criu,
            pid,
            images: written,
            directory: &self.directory,
            leave_running: wanted.leave_running,
            freezer: group.and_then(|group| group.controller_path("freezer")),
            netns,
            mounts: &notes.mounts,
        };
        dump.start().and_then(|criu| self.watch_criu(criu))
    }
}

/// With a dot in front of its name.
fn beside(place: &Path) -> Option<PathBuf> {
    let name = place.file_name()?.to_str()?;
    Some(place.with_file_name(format!(".{name}")))
}

/// Empty; of another monitor's attempt nothing is left.
fn make_directory(path: &Path) -> std::io::Result<()> {
    let _ = fs::remove_dir_all(path);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Cut to what one message holds.
fn fitted(reply: Reply) -> Reply {
    const TEXT_CHARACTERS_MAX: usize = 2000;
    match reply {
        Reply::Refused { message } => {
            Reply::Refused { message: message.chars().take(TEXT_CHARACTERS_MAX).collect() }
        }
        reply => reply,
    }
}

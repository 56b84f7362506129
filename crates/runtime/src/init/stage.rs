//! A process in between, for namespaces that the caller could not leave again (user), or that count for
//! children only (pid, time). It enters them, makes the real process as the caller's child, and ends.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use oci::runtime::NamespaceType;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{ThreadNameSpaceType, move_into_thread_name_spaces};
use sys::process::{CloneFlags, Cloned, clone3, exit_now, unshare};

use super::{identity, namespaces, program};
use crate::Result;
use crate::error::Context;
use crate::handshake::{Channel, Message};
use crate::job::{ContainerJob, Join, ProcessJob, streams};

/// For a new container.
pub(crate) fn run(job: &ContainerJob<'_>, channel: Channel, gate: Option<OwnedFd>) -> ! {
    let born = enter(job).and_then(|new| {
        clone3(new | CloneFlags::PARENT, None).step(|| "clone the container's process".into())
    });
    match born {
        Ok(Cloned::Child) => program::container(job, channel, gate, true),
        other => {
            report(other, &channel);
            exit_now(0)
        }
    }
}

fn enter(job: &ContainerJob<'_>) -> Result<CloneFlags> {
    // Processes of a pid namespace that is joined must not look into this one.
    hide()?;
    program::join_cgroup(&job.process)?;
    identity::early(&job.process)?;
    let is_user = |join: &&Join| join.kind == NamespaceType::User;
    // A namespace that the host owns has to be entered before the user namespace, one that the user
    // namespace owns may be entered only after.
    let mut later = Vec::new();
    for join in job.joins.iter().filter(|j| !is_user(j)) {
        if let Err(error) = namespaces::enter(join) {
            later.push((join, error));
        }
    }
    let user = job.joins.iter().find(is_user);
    if let Some(user) = user {
        namespaces::enter(user)?;
    }
    for (join, error) in later {
        if user.is_none() {
            return Err(error);
        }
        namespaces::enter(join)?;
    }
    let mut new = job.new.without(CloneFlags::NEWCGROUP);
    if new.contains(CloneFlags::NEWTIME) {
        unshare(CloneFlags::NEWTIME).step(|| "make a time namespace".into())?;
        namespaces::clocks(&job.process.proc, job.linux)?;
        new = new.without(CloneFlags::NEWTIME);
    }
    Ok(new)
}

/// For one more process of a container, whose PID 1 is `target`. The memory may be the caller's own
/// ([`sys::process::vfork`]): nothing but the caller's channel and descriptors is borrowed, and nothing closed in them.
pub(crate) fn run_exec(
    job: &ProcessJob<'_>,
    target: BorrowedFd<'_>,
    kinds: ThreadNameSpaceType,
    channel: &mut Channel,
) {
    let born = enter_exec(job, target, kinds, channel)
        .and_then(|()| clone3(CloneFlags::PARENT, None).step(|| "clone the process".into()));
    if let Ok(Cloned::Child) = born {
        // In memory of its own.
        program::exec(job, channel, kinds.contains(ThreadNameSpaceType::USER));
    }
    report(born, channel);
}

fn enter_exec(
    job: &ProcessJob<'_>,
    target: BorrowedFd<'_>,
    kinds: ThreadNameSpaceType,
    channel: &Channel,
) -> Result<()> {
    hide()?;
    if let Some(affinity) = &job.process.exec_cpu_affinity {
        identity::affinity(&affinity.initial)?;
    }
    program::join_cgroup(job)?;
    identity::early(job)?;
    // A process in there that may trace others sees this one from now on: no handle of the host comes along,
    // save /proc where a label has to be written to it.
    let mut kept = vec![channel.as_fd().as_raw_fd()];
    kept.extend(streams(&job.stdio).iter().flatten().map(AsRawFd::as_raw_fd));
    if !job.process.apparmor_profile.is_empty() || !job.process.selinux_label.is_empty() {
        kept.push(job.proc.as_raw_fd());
    }
    let process_has = kept.clone();
    kept.push(target.as_raw_fd());
    program::keep_only(job, kept)?;
    move_into_thread_name_spaces(target, kinds).step(|| "join the container's namespaces".into())?;
    program::keep_only(job, process_has)
}

fn hide() -> Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable).step(|| "clear the dumpable flag".into())
}

fn report(born: Result<Cloned>, channel: &Channel) {
    let sent = match born {
        Ok(Cloned::Parent { pid, pidfd }) => {
            channel.send(&Message::Born { pid: pid.as_raw_nonzero().get() }, &[pidfd.as_fd()])
        }
        Ok(Cloned::Child) => return,
        Err(error) => channel.send(&Message::Failed(error), &[]),
    };
    // When the caller is gone, nobody is left to tell.
    let _ = sent;
}

//! Who the process is and what it may: ids, capabilities, limits, scheduling, labels.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use oci::runtime::{CAPABILITY_NAMES, Linux, Process, Scheduler};
use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit};
use rustix::thread::{
    CapabilitySet, CapabilitySets, CpuSet, capabilities, clear_ambient_capability_set,
    configure_capability_in_ambient_set, remove_capability_from_bounding_set, sched_setaffinity,
    set_capabilities, set_keep_capabilities, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};
use sys::sched::SchedAttr;

use crate::capability::Sets;
use crate::check::has_apparmor;
use crate::error::Context;
use crate::job::ProcessJob;
use crate::{Error, Result, user};

/// Root of a user namespace, before anything is made: files then belong to it. Ids that are not mapped are
/// left as they are.
pub(super) fn become_root() -> Result<()> {
    let (uid, gid) = (Uid::ROOT, Gid::ROOT);
    match set_thread_res_gid(gid, gid, gid) {
        Ok(()) | Err(Errno::INVAL) => {}
        Err(error) => return Err(error).step(|| "setresgid to 0".into()),
    }
    match set_thread_groups(&[]) {
        Ok(()) | Err(Errno::PERM) => {}
        Err(error) => return Err(error).step(|| "setgroups".into()),
    }
    match set_thread_res_uid(uid, uid, uid) {
        Ok(()) | Err(Errno::INVAL) => Ok(()),
        Err(error) => Err(error).step(|| "setresuid to 0".into()),
    }
}

/// uid, gid and groups of the process, and its home.
pub(super) fn who(job: &ProcessJob<'_>, root: BorrowedFd<'_>) -> Result<user::Identity> {
    let spec = &job.process.user;
    if job.user.is_some() || !job.additional_groups.is_empty() {
        let named;
        let text = match job.user {
            Some(text) => text,
            None => {
                named = format!("{}:{}", spec.uid, spec.gid);
                &named
            }
        };
        let mut identity = user::resolve(root, text, job.additional_groups)?;
        if job.user.is_none() {
            let more = spec.additional_gids.iter().filter(|g| !identity.groups.contains(g));
            let more: Vec<u32> = more.copied().collect();
            identity.groups.extend(more);
        }
        return Ok(identity);
    }
    let has_home = job.process.env.iter().any(|e| e.starts_with("HOME=") && e != "HOME=");
    let home = if has_home { String::new() } else { user::home(root, spec.uid)? };
    Ok(user::Identity { uid: spec.uid, gid: spec.gid, groups: spec.additional_gids.clone(), home })
}

/// What needs the host's privileges, or files of this process that it will not own later.
pub(super) fn early(job: &ProcessJob<'_>) -> Result<()> {
    if let Some(score) = job.process.oom_score_adj {
        write(job.proc.as_fd(), "self/oom_score_adj", &score.to_string())
            .step(|| format!("write oom_score_adj {score}"))?;
    }
    if let Some(priority) = &job.process.io_priority {
        let class = match priority.class.as_str() {
            "IOPRIO_CLASS_RT" => 1,
            "IOPRIO_CLASS_BE" => 2,
            "IOPRIO_CLASS_IDLE" => 3,
            other => return Err(Error::Invalid(format!("invalid ioPriority.class: {other:?}"))),
        };
        let level = u16::try_from(priority.priority).ok().filter(|l| *l < 8);
        let level = level
            .ok_or_else(|| Error::Invalid(format!("invalid ioPriority.priority: {}", priority.priority)))?;
        sys::sched::set_io_priority(class, level).step(|| "set the I/O priority".into())?;
    }
    if let Some(scheduler) = &job.process.scheduler {
        sys::sched::set_scheduler(attributes(scheduler)?).step(|| "set the scheduling policy".into())?;
    }
    Ok(())
}

/// Raises the limits that are to be higher, which takes the host's privileges. What is to be lower comes with
/// [`settle_limits`]: it would hinder the set-up itself.
pub(super) fn raise_limits(job: &ProcessJob<'_>) -> Result<()> {
    let higher = |one: Option<u64>, other: Option<u64>| one.zip(other).map(|(one, other)| one.max(other));
    for (resource, wanted) in &job.rlimits {
        let now = rustix::process::getrlimit(*resource);
        let maximum = higher(now.maximum, wanted.maximum);
        if maximum != now.maximum {
            let raised = Rlimit { current: now.current, maximum };
            rustix::process::setrlimit(*resource, raised).step(|| limit_text(*resource))?;
        }
    }
    Ok(())
}

/// Exactly the limits asked for.
pub(super) fn settle_limits(job: &ProcessJob<'_>) -> Result<()> {
    for (resource, limit) in &job.rlimits {
        rustix::process::setrlimit(*resource, *limit).step(|| limit_text(*resource))?;
    }
    Ok(())
}

fn limit_text(resource: Resource) -> String {
    format!("error setting rlimit type {}", resource as u32)
}

fn attributes(scheduler: &Scheduler) -> Result<SchedAttr> {
    let policy = match scheduler.policy.as_str() {
        "SCHED_OTHER" => 0,
        "SCHED_FIFO" => 1,
        "SCHED_RR" => 2,
        "SCHED_BATCH" => 3,
        "SCHED_ISO" => 4,
        "SCHED_IDLE" => 5,
        "SCHED_DEADLINE" => 6,
        other => return Err(Error::Invalid(format!("invalid scheduler policy: {other:?}"))),
    };
    let mut flags = 0;
    for flag in &scheduler.flags {
        flags |= match flag.as_str() {
            "SCHED_FLAG_RESET_ON_FORK" => 1,
            "SCHED_FLAG_RECLAIM" => 2,
            "SCHED_FLAG_DL_OVERRUN" => 4,
            "SCHED_FLAG_KEEP_POLICY" => 8,
            "SCHED_FLAG_KEEP_PARAMS" => 16,
            "SCHED_FLAG_UTIL_CLAMP_MIN" => 32,
            "SCHED_FLAG_UTIL_CLAMP_MAX" => 64,
            other => return Err(Error::Invalid(format!("invalid scheduler flag: {other:?}"))),
        };
    }
    let priority = u32::try_from(scheduler.priority)
        .map_err(|_| Error::Invalid(format!("invalid scheduler priority: {}", scheduler.priority)))?;
    Ok(SchedAttr {
        policy,
        flags,
        nice: scheduler.nice,
        priority,
        runtime: scheduler.runtime,
        deadline: scheduler.deadline,
        period: scheduler.period,
    })
}

/// All processors that the cgroup has, however few the caller is bound to.
pub(super) fn any_processor() -> Result<()> {
    let mut set = CpuSet::new();
    (0..CpuSet::MAX_CPU).for_each(|cpu| set.set(cpu));
    match sched_setaffinity(None, &set) {
        // Not to be had where the kernel lets nobody ask (an outer sandbox); then it stays as it is.
        Ok(()) | Err(Errno::PERM | Errno::NOSYS) => Ok(()),
        Err(error) => Err(error).step(|| "reset the CPU affinity".into()),
    }
}

/// A list like `0-3,7` as a CPU set for this thread.
pub(super) fn affinity(list: &str) -> Result<()> {
    if list.is_empty() {
        return Ok(());
    }
    let invalid = || Error::Invalid(format!("invalid CPU list {list:?}"));
    let mut set = CpuSet::new();
    for cpu in numbers(list).ok_or_else(invalid)? {
        if cpu >= CpuSet::MAX_CPU {
            return Err(invalid());
        }
        set.set(cpu);
    }
    sched_setaffinity(None, &set).step(|| format!("set the CPU affinity {list:?}"))
}

/// The numbers of a list like `0-3,7`.
pub(crate) fn numbers(list: &str) -> Option<Vec<usize>> {
    let mut all = Vec::new();
    for part in list.split(',') {
        let part = part.trim();
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        if last < first || last > 1 << 16 {
            return None;
        }
        all.extend(first..=last);
    }
    Some(all)
}

/// Personality and memory policy.
pub(super) fn modes(linux: Option<&Linux>) -> Result<()> {
    let Some(linux) = linux else { return Ok(()) };
    if let Some(personality) = &linux.personality {
        let domain = match personality.domain.as_str() {
            "LINUX" => 0,
            "LINUX32" => 8,
            other => return Err(Error::Invalid(format!("invalid personality domain {other:?}"))),
        };
        if let Some(flag) = personality.flags.first() {
            return Err(Error::Unsupported(format!("personality flag {flag:?} is not supported")));
        }
        sys::process::set_personality(domain).step(|| "set the personality".into())?;
    }
    if let Some(policy) = &linux.memory_policy {
        let invalid = |what: &str| Error::Invalid(format!("invalid memoryPolicy {what:?}"));
        let mut mode = match policy.mode.as_str() {
            "MPOL_DEFAULT" => 0,
            "MPOL_PREFERRED" => 1,
            "MPOL_BIND" => 2,
            "MPOL_INTERLEAVE" => 3,
            "MPOL_LOCAL" => 4,
            "MPOL_PREFERRED_MANY" => 5,
            "MPOL_WEIGHTED_INTERLEAVE" => 6,
            other => return Err(invalid(other)),
        };
        for flag in &policy.flags {
            mode |= match flag.as_str() {
                "MPOL_F_STATIC_NODES" => 1 << 15,
                "MPOL_F_RELATIVE_NODES" => 1 << 14,
                "MPOL_F_NUMA_BALANCING" => 1 << 13,
                other => return Err(invalid(other)),
            };
        }
        let mut nodes = Vec::new();
        if !policy.nodes.is_empty() {
            for node in numbers(&policy.nodes).ok_or_else(|| invalid(&policy.nodes))? {
                let word = node / 64;
                if nodes.len() <= word {
                    nodes.resize(word + 1, 0_u64);
                }
                nodes[word] |= 1 << (node % 64);
            }
        }
        sys::sched::set_memory_policy(mode, &nodes).step(|| "set the memory policy".into())?;
    }
    Ok(())
}

/// The label that the program will run with.
pub(super) fn labels(job: &ProcessJob<'_>) -> Result<()> {
    let proc = job.proc.as_fd();
    let Process { apparmor_profile, selinux_label, .. } = job.process;
    if !apparmor_profile.is_empty() && has_apparmor() {
        let text = format!("exec {apparmor_profile}");
        match write(proc, "thread-self/attr/apparmor/exec", &text) {
            Err(error) if error.raw_os_error() == Some(Errno::NOENT.raw_os_error()) => {
                write(proc, "thread-self/attr/exec", &text)
            }
            other => other,
        }
        .step(|| format!("unable to apply apparmor profile {apparmor_profile:?}"))?;
    }
    if !selinux_label.is_empty() {
        write(proc, "thread-self/attr/exec", selinux_label)
            .step(|| format!("unable to apply the SELinux label {selinux_label:?}"))?;
    }
    Ok(())
}

pub(super) fn write(proc: BorrowedFd<'_>, path: &str, text: &str) -> io::Result<()> {
    let file = rustix::fs::openat(proc, path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&file, text.as_bytes())?;
    Ok(())
}

/// Becomes the user, and keeps of the capabilities what the sets say, plus `CAP_SYS_ADMIN` when `for_filter`:
/// a seccomp filter is installed last of all, and without `no_new_privs` needs it. [`settle`] gives it back.
pub(super) fn become_user(who: &user::Identity, sets: &Sets, for_filter: bool) -> Result<()> {
    drop_bounding(sets.bounding)?;
    set_keep_capabilities(true).step(|| "keep capabilities".into())?;
    let groups: Vec<Gid> = who.groups.iter().map(|g| Gid::from_raw(*g)).collect();
    match set_thread_groups(&groups) {
        // In a user namespace with setgroups denied, having none to set is no error.
        Err(Errno::PERM) if groups.is_empty() => {}
        other => other.step(|| "setgroups".into())?,
    }
    let (uid, gid) = (Uid::from_raw(who.uid), Gid::from_raw(who.gid));
    set_thread_res_gid(gid, gid, gid).step(|| format!("setgid {}", who.gid))?;
    set_thread_res_uid(uid, uid, uid).step(|| format!("setuid {}", who.uid))?;
    let mut now = *sets;
    if for_filter {
        let held = capabilities(None).step(|| "capget".into())?.permitted;
        now.effective |= held & CapabilitySet::SYS_ADMIN;
        now.permitted |= held & CapabilitySet::SYS_ADMIN;
    }
    settle(&now)?;
    set_keep_capabilities(false).step(|| "stop keeping capabilities".into())?;
    // Refused one by one where permitted or inheritable lack it; the kernel's rule, not an error of the spec.
    clear_ambient_capability_set().step(|| "clear the ambient capabilities".into())?;
    for capability in sets.ambient.iter() {
        match configure_capability_in_ambient_set(capability, true) {
            Ok(()) | Err(Errno::PERM) => {}
            Err(error) => return Err(error).step(|| "raise an ambient capability".into()),
        }
    }
    Ok(())
}

/// Exactly the sets.
pub(super) fn settle(sets: &Sets) -> Result<()> {
    // In a process without the right, asking for more than it has would be refused as a whole.
    let held = capabilities(None).step(|| "capget".into())?.permitted;
    let permitted = sets.permitted & held;
    let wanted =
        CapabilitySets { effective: sets.effective & permitted, permitted, inheritable: sets.inheritable };
    set_capabilities(None, wanted).step(|| "unable to apply caps".into())
}

fn drop_bounding(keep: CapabilitySet) -> Result<()> {
    for (number, name) in CAPABILITY_NAMES.iter().enumerate() {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        if keep.contains(capability) {
            continue;
        }
        match remove_capability_from_bounding_set(capability) {
            // EINVAL: a kernel that does not know this one yet.
            Ok(()) | Err(Errno::INVAL) => {}
            Err(error) => return Err(error).step(|| format!("drop {name} from the bounding set")),
        }
    }
    Ok(())
}

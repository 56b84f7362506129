//! A change to a container that exists: what may be asked for beside what holds, and what becomes of the limits of one
//! that runs.

use std::collections::BTreeMap;

use oci::runtime as rt;

use super::{ContainerSpec, Limits, MountSpec, PortBinding, Resources, RestartPolicy, oci_spec, republished};
use crate::error::{Error, Result};

/// `POST /containers/{id}/update`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UpdateRequest {
    /// Zero and empty: as it was. A limit of processes of `Some(0)` is none.
    pub resources: Resources,
    pub restart: Option<RestartPolicy>,
    /// Wharf's own: labels to set and to drop.
    pub labels_add: BTreeMap<String, String>,
    pub labels_remove: Vec<String>,
    /// Wharf's own: variables (`KEY=value`) and names to drop, for the next start.
    pub env_add: Vec<String>,
    pub env_remove: Vec<String>,
    /// Wharf's own: ports to publish beside those that are, and to publish no more (with no binding: wherever it is).
    pub ports_add: BTreeMap<String, Vec<PortBinding>>,
    pub ports_remove: BTreeMap<String, Vec<PortBinding>>,
    /// Wharf's own: what to mount more, and where to mount nothing more.
    pub mounts_add: Vec<MountSpec>,
    pub mounts_remove: Vec<String>,
}

/// The specification as it will be. Refusals are Docker's.
pub(crate) fn changed(now: &ContainerSpec, request: &UpdateRequest) -> Result<ContainerSpec> {
    let mut spec = now.clone();
    limits(&mut spec.host.resources, &request.resources)?;
    if let Some(restart) = &request.restart {
        if spec.host.auto_remove && *restart != RestartPolicy::No {
            return Err(Error::conflict(
                "Restart policy cannot be updated because AutoRemove is enabled for the container",
            ));
        }
        spec.host.restart = restart.clone();
    }
    republished::apply(&mut spec, &request.ports_add, &request.ports_remove)?;
    for name in &request.labels_remove {
        spec.labels.remove(name);
    }
    spec.labels.extend(request.labels_add.clone());
    let named = |variable: &String, name: &str| variable.split('=').next() == Some(name);
    for name in &request.env_remove {
        spec.env.retain(|variable| !named(variable, name));
    }
    for variable in &request.env_add {
        let name = variable.split('=').next().unwrap_or_default();
        if name.is_empty() || !variable.contains('=') {
            return Err(Error::invalid(format!("invalid environment variable: {variable}")));
        }
        // In its place, so that an order that means something stays.
        match spec.env.iter_mut().find(|old| named(old, name)) {
            Some(old) => old.clone_from(variable),
            None => spec.env.push(variable.clone()),
        }
    }
    Ok(spec)
}

fn limits(now: &mut Resources, asked: &Resources) -> Result<()> {
    let conflict = |text: &str| Err(Error::conflict(format!("Conflicting options: {text}")));
    if asked.nano_cpus > 0 && now.cpu_period_us > 0 {
        return conflict("Nano CPUs cannot be updated as CPU Period has already been set");
    }
    if asked.nano_cpus > 0 && now.cpu_quota_us > 0 {
        return conflict("Nano CPUs cannot be updated as CPU Quota has already been set");
    }
    if asked.cpu_period_us > 0 && now.nano_cpus > 0 {
        return conflict("CPU Period cannot be updated as NanoCPUs has already been set");
    }
    if asked.cpu_quota_us > 0 && now.nano_cpus > 0 {
        return conflict("CPU Quota cannot be updated as NanoCPUs has already been set");
    }
    // Any limit fits where swap has none.
    if asked.memory_bytes != 0
        && asked.memory_swap_bytes == 0
        && now.memory_swap_bytes != -1
        && asked.memory_bytes > now.memory_swap_bytes
    {
        return Err(Error::conflict(
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
        ));
    }
    fn take<T: Clone + Default + PartialEq>(now: &mut T, asked: &T) {
        if *asked != T::default() {
            now.clone_from(asked);
        }
    }
    take(&mut now.blkio_weight, &asked.blkio_weight);
    take(&mut now.blkio_weight_device, &asked.blkio_weight_device);
    take(&mut now.blkio_read_bps, &asked.blkio_read_bps);
    take(&mut now.blkio_write_bps, &asked.blkio_write_bps);
    take(&mut now.blkio_read_iops, &asked.blkio_read_iops);
    take(&mut now.blkio_write_iops, &asked.blkio_write_iops);
    take(&mut now.cpu_shares, &asked.cpu_shares);
    take(&mut now.nano_cpus, &asked.nano_cpus);
    take(&mut now.cpu_period_us, &asked.cpu_period_us);
    take(&mut now.cpu_quota_us, &asked.cpu_quota_us);
    take(&mut now.cpu_rt_period_us, &asked.cpu_rt_period_us);
    take(&mut now.cpu_rt_runtime_us, &asked.cpu_rt_runtime_us);
    take(&mut now.cpuset_cpus, &asked.cpuset_cpus);
    take(&mut now.cpuset_mems, &asked.cpuset_mems);
    take(&mut now.memory_bytes, &asked.memory_bytes);
    take(&mut now.memory_swap_bytes, &asked.memory_swap_bytes);
    take(&mut now.memory_reservation_bytes, &asked.memory_reservation_bytes);
    take(&mut now.pids_limit, &asked.pids_limit);
    Ok(())
}

/// What to write into the cgroup of one that runs: what was asked for, and what belongs to it in the same file.
pub(crate) fn live(asked: &Resources, becomes: &Resources) -> Result<rt::Resources> {
    let mut wanted = asked.clone();
    if asked.memory_bytes != 0 || asked.memory_swap_bytes != 0 {
        // Version 2 limits swap alone: their difference.
        wanted.memory_bytes = becomes.memory_bytes;
        wanted.memory_swap_bytes = becomes.memory_swap_bytes;
    }
    if asked.cpu_quota_us != 0 || asked.cpu_period_us != 0 {
        // One line of version 2.
        wanted.cpu_quota_us = becomes.cpu_quota_us;
        wanted.cpu_period_us = becomes.cpu_period_us;
    }
    oci_spec::resources(&wanted)
}

/// How it was before, for a change that the kernel refused half way. Block I/O is written last, so that nothing of it
/// needs to be undone.
pub(crate) fn undo(asked: &Resources, was: &Resources, offered: &Limits) -> Result<rt::Resources> {
    let or = |was: i64, unlimited: i64| if was == 0 { unlimited } else { was };
    let mut wanted = Resources::default();
    if asked.memory_bytes != 0 || asked.memory_swap_bytes != 0 {
        wanted.memory_bytes = or(was.memory_bytes, -1);
        wanted.memory_swap_bytes = or(was.memory_swap_bytes, -1);
    }
    if asked.memory_reservation_bytes != 0 {
        wanted.memory_reservation_bytes = or(was.memory_reservation_bytes, -1);
    }
    if asked.cpu_shares != 0 {
        wanted.cpu_shares = or(was.cpu_shares, 1024);
    }
    if was.nano_cpus != 0 {
        wanted.nano_cpus = was.nano_cpus;
    } else if asked.nano_cpus != 0 || asked.cpu_quota_us != 0 || asked.cpu_period_us != 0 {
        wanted.cpu_quota_us = or(was.cpu_quota_us, -1);
        wanted.cpu_period_us = or(was.cpu_period_us, 100_000);
    }
    let or_all = |asked: &String, was: &String, all: &String| match (asked.is_empty(), was.is_empty()) {
        (true, _) => String::new(),
        (false, true) => all.clone(),
        (false, false) => was.clone(),
    };
    wanted.cpuset_cpus = or_all(&asked.cpuset_cpus, &was.cpuset_cpus, &offered.cpus);
    wanted.cpuset_mems = or_all(&asked.cpuset_mems, &was.cpuset_mems, &offered.mems);
    wanted.pids_limit = asked.pids_limit.map(|_| was.pids_limit.unwrap_or(0));
    oci_spec::resources(&wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Class;

    fn with(change: impl FnOnce(&mut Resources)) -> Resources {
        let mut resources = Resources::default();
        change(&mut resources);
        resources
    }

    fn update(was: &Resources, asked: &Resources) -> Result<Resources> {
        let mut spec = ContainerSpec::default();
        spec.host.resources = was.clone();
        let request = UpdateRequest { resources: asked.clone(), ..UpdateRequest::default() };
        changed(&spec, &request).map(|spec| spec.host.resources)
    }

    #[test]
    fn combinations_that_docker_refuses() {
        let cpus = with(|r| r.nano_cpus = 1);
        let quota = with(|r| r.cpu_quota_us = 5000);
        let period = with(|r| r.cpu_period_us = 5000);
        let memory = with(|r| r.memory_bytes = 64 << 20);
        let both = with(|r| (r.memory_bytes, r.memory_swap_bytes) = (32 << 20, 48 << 20));
        for (was, asked, text) in [
            (
                &period,
                &cpus,
                "Conflicting options: Nano CPUs cannot be updated as CPU Period has already been set",
            ),
            (
                &quota,
                &cpus,
                "Conflicting options: Nano CPUs cannot be updated as CPU Quota has already been set",
            ),
            (
                &cpus,
                &period,
                "Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set",
            ),
            (
                &cpus,
                &quota,
                "Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set",
            ),
            (
                &both,
                &memory,
                "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
            ),
        ] {
            let error = update(was, asked).unwrap_err();
            assert_eq!((error.class, error.message.as_str()), (Class::Conflict, text));
        }
        let any_swap = with(|r| (r.memory_bytes, r.memory_swap_bytes) = (32 << 20, -1));
        assert_eq!(update(&any_swap, &memory).unwrap().memory_bytes, 64 << 20);
        assert_eq!(update(&both, &quota).unwrap().cpu_quota_us, 5000);
        assert_eq!(update(&both, &quota).unwrap().memory_swap_bytes, 48 << 20, "what is not said stays");

        let mut spec = ContainerSpec::default();
        spec.host.auto_remove = true;
        let always = UpdateRequest { restart: Some(RestartPolicy::Always), ..UpdateRequest::default() };
        let error = changed(&spec, &always).unwrap_err();
        assert_eq!(
            error.message,
            "Restart policy cannot be updated because AutoRemove is enabled for the container"
        );
        let no = UpdateRequest { restart: Some(RestartPolicy::No), ..UpdateRequest::default() };
        changed(&spec, &no).unwrap();
    }

    #[test]
    fn what_shares_a_file_is_written_together_and_back() {
        let was =
            with(|r| (r.memory_bytes, r.memory_swap_bytes, r.cpu_period_us) = (32 << 20, 128 << 20, 50_000));
        let asked = with(|r| (r.memory_bytes, r.cpu_quota_us, r.pids_limit) = (64 << 20, 10_000, Some(0)));
        let becomes = update(&was, &asked).unwrap();
        let live = live(&asked, &becomes).unwrap();
        let (memory, cpu) = (live.memory.unwrap(), live.cpu.unwrap());
        assert_eq!((memory.limit, memory.swap), (Some(64 << 20), Some(128 << 20)));
        assert_eq!((cpu.quota, cpu.period), (Some(10_000), Some(50_000)));
        assert_eq!((live.pids.unwrap().limit, live.block_io), (Some(-1), None));

        let back = undo(&asked, &was, &Limits::default()).unwrap();
        let (memory, cpu) = (back.memory.unwrap(), back.cpu.unwrap());
        assert_eq!((memory.limit, memory.swap), (Some(32 << 20), Some(128 << 20)));
        assert_eq!((cpu.quota, cpu.period, back.pids.unwrap().limit), (Some(-1), Some(50_000), Some(-1)));
    }

    #[test]
    fn labels_and_variables_are_changed_in_their_place() {
        let spec = ContainerSpec {
            labels: [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())].into(),
            env: vec!["PATH=/bin".into(), "X=1".into(), "Y=2".into()],
            ..ContainerSpec::default()
        };
        let request = UpdateRequest {
            labels_add: [("c".to_owned(), "3".to_owned())].into(),
            labels_remove: vec!["a".into(), "nosuch".into()],
            env_add: vec!["X=new".into(), "Z=".into()],
            env_remove: vec!["Y".into()],
            ..UpdateRequest::default()
        };
        let spec = changed(&spec, &request).unwrap();
        assert_eq!(
            spec.labels.into_iter().collect::<Vec<_>>(),
            [("b".into(), "2".into()), ("c".into(), "3".into())]
        );
        assert_eq!(spec.env, ["PATH=/bin", "X=new", "Z="]);
        let bare = UpdateRequest { env_add: vec!["X".into()], ..UpdateRequest::default() };
        assert_eq!(
            changed(&ContainerSpec::default(), &bare).unwrap_err().message,
            "invalid environment variable: X"
        );
    }
}

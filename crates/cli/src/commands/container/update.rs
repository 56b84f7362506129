//! `update`: other limits, another restart policy; with flags of Wharf's own, other labels, variables, published ports and mounts.

use api::network::PortMap;
use api::update::UpdateRequest;

use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::failure::Failure;
use crate::flags::{Flag, Parsed};
use crate::options::request::{bytes, restart_policy};
use crate::options::{environment, mounts, ports, resources, values};
use crate::output;

pub(crate) const COMMAND: Command = Command {
    name: "update",
    aliases: &[],
    usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    about: "Update configuration of one or more containers",
    flags: &[
        Flag::uint16(
            "blkio-weight",
            "Block IO (relative weight), between 10 and 1000, or 0 to disable (default 0)",
        ),
        Flag::int("cpu-period", "Limit CPU CFS (Completely Fair Scheduler) period"),
        Flag::int("cpu-quota", "Limit CPU CFS (Completely Fair Scheduler) quota"),
        Flag::int("cpu-rt-period", "Limit the CPU real-time period in microseconds"),
        Flag::int("cpu-rt-runtime", "Limit the CPU real-time runtime in microseconds"),
        Flag::int("cpu-shares", "CPU shares (relative weight)").short('c'),
        Flag::checked("cpus", "decimal", values::cpus, "Number of CPUs"),
        Flag::text("cpuset-cpus", "CPUs in which to allow execution (0-3, 0,1)"),
        Flag::text("cpuset-mems", "MEMs in which to allow execution (0-3, 0,1)"),
        Flag::checked_list("env-add", "list", environment::check, "Set a variable, from the next start on"),
        Flag::list("env-rm", "Remove a variable, from the next start on"),
        Flag::checked("kernel-memory", "bytes", values::bytes, "Kernel memory limit (deprecated)")
            .deprecated("and no longer supported by the kernel"),
        Flag::checked_list("label-add", "list", values::label, "Set a label"),
        Flag::list("label-rm", "Remove a label"),
        Flag::checked("memory", "bytes", values::bytes, "Memory limit").short('m'),
        Flag::checked("memory-reservation", "bytes", values::bytes, "Memory soft limit"),
        Flag::checked(
            "memory-swap",
            "bytes",
            values::swap,
            "Swap limit equal to memory plus swap: -1 to enable unlimited swap",
        ),
        Flag::checked_list("mount-add", "mount", values::mount, "Mount a file system beside those that are"),
        Flag::list("mount-rm", "Unmount what is mounted at a path of the container"),
        Flag::int("pids-limit", "Tune container pids limit (set -1 for unlimited)"),
        Flag::checked_list(
            "publish",
            "list",
            published,
            "Publish ports of the container on the host, beside those that are",
        )
        .short('p'),
        Flag::checked_list(
            "publish-rm",
            "list",
            published,
            "Publish a port of the container no more (80/tcp, 8080:80)",
        ),
        Flag::text("restart", "Restart policy to apply when a container exits"),
    ],
    operands: Operands::AtLeast(1),
    interspersed: true,
    spellings: &["container update", "update"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

async fn run(app: &App, line: &Parsed) -> Outcome {
    if line.all_given().next().is_none() {
        return Err(Failure::new("you must provide one or more flags when using this command"));
    }
    let request = request(line).map_err(Failure::new)?;
    let (mut warnings, mut failures) = (Vec::new(), Vec::new());
    for name in &line.operands {
        match app.client.containers().update(name, &request).await {
            Ok(more) => {
                output::out(&format!("{name}\n"));
                warnings.extend(more);
            }
            Err(error) if error.is_connect() => return Err(error.into()),
            Err(error) => failures.push(error.to_string()),
        }
    }
    if !warnings.is_empty() {
        output::out(&format!("{}\n", warnings.join("\n")));
    }
    if failures.is_empty() { Ok(0) } else { Err(Failure::new(failures.join("\n"))) }
}

fn published(text: &str) -> Result<(), String> {
    ports::parse(&[text.to_owned()]).map(drop)
}

/// Ports that go: without a place on the host, wherever they are.
fn unpublished(given: &[String]) -> Result<PortMap, String> {
    let (_, mut ports) = ports::parse(given)?;
    for bindings in ports.values_mut() {
        if bindings.iter().flatten().any(|one| one.host_ip.is_empty() && one.host_port.is_empty()) {
            *bindings = None;
        }
    }
    Ok(ports)
}

fn request(line: &Parsed) -> Result<UpdateRequest, String> {
    Ok(UpdateRequest {
        blkio_weight: u16::try_from(line.int("blkio-weight")).unwrap_or(0),
        cpu_shares: line.int("cpu-shares"),
        nano_cpus: line.given("cpus").map_or(Ok(0), resources::nano_cpus)?,
        cpu_period: line.int("cpu-period"),
        cpu_quota: line.int("cpu-quota"),
        cpu_realtime_period: line.int("cpu-rt-period"),
        cpu_realtime_runtime: line.int("cpu-rt-runtime"),
        cpuset_cpus: line.text("cpuset-cpus").to_owned(),
        cpuset_mems: line.text("cpuset-mems").to_owned(),
        memory: bytes(line, "memory"),
        memory_reservation: bytes(line, "memory-reservation"),
        memory_swap: bytes(line, "memory-swap"),
        pids_limit: Some(line.int("pids-limit")).filter(|limit| *limit != 0),
        restart_policy: restart_policy(line.text("restart"))?,
        label_add: line.list("label-add").iter().map(|label| environment::pair(label)).collect(),
        label_remove: line.list("label-rm"),
        env_add: environment::variables(&[], &line.list("env-add"))?,
        env_remove: line.list("env-rm"),
        port_bindings: ports::parse(&line.list("publish"))?.1,
        port_bindings_remove: unpublished(&line.list("publish-rm"))?,
        mount_add: line.list("mount-add").iter().map(|text| mounts::parse(text)).collect::<Result<_, _>>()?,
        mount_remove: line.list("mount-rm"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::parse;

    fn said(line: &str) -> Result<String, String> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let line = parse(COMMAND.flags, &words, COMMAND.interspersed).map_err(|error| error.to_string())?;
        request(&line).map(|request| serde_json::to_string(&request).unwrap())
    }

    #[test]
    fn only_what_was_said_is_sent() {
        assert_eq!(said("x").unwrap(), "{}");
        assert_eq!(
            said("-m 64m --memory-swap -1 --cpus 1.5 -c 5 --pids-limit -1 --restart on-failure:3 x").unwrap(),
            "{\"CpuShares\":5,\"NanoCpus\":1500000000,\"Memory\":67108864,\"MemorySwap\":-1,\"PidsLimit\":-1,\
             \"RestartPolicy\":{\"Name\":\"on-failure\",\"MaximumRetryCount\":3}}"
        );
        assert_eq!(
            said("--label-add a=b --label-rm c --env-add D=e --env-rm F x").unwrap(),
            "{\"LabelAdd\":{\"a\":\"b\"},\"LabelRemove\":[\"c\"],\"EnvAdd\":[\"D=e\"],\"EnvRemove\":[\"F\"]}"
        );
        assert_eq!(
            said("-p 127.0.0.1:8080:80 --publish-rm 81 --publish-rm 90:82 x").unwrap(),
            "{\"PortBindings\":{\"80/tcp\":[{\"HostIp\":\"127.0.0.1\",\"HostPort\":\"8080\"}]},\
             \"PortBindingsRemove\":{\"81/tcp\":null,\"82/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"90\"}]}}"
        );
        assert_eq!(
            said("--mount-add type=bind,src=/a,dst=/b,ro --mount-rm /c x").unwrap(),
            "{\"MountAdd\":[{\"Type\":\"bind\",\"Source\":\"/a\",\"Target\":\"/b\",\"ReadOnly\":true}],\"MountRemove\":[\"/c\"]}"
        );
        assert!(said("--mount-add type=x,dst x").is_err());
        assert!(said("--publish-rm 80/foo x").unwrap_err().contains("invalid proto: foo"));
        assert!(
            said("--restart on-failure:x x").unwrap_err().contains("maximum retry count must be an integer")
        );
        assert!(said("--env-add =x x").unwrap_err().contains("invalid environment variable: =x"));
    }
}

//! Other limits for a container that runs, and what is kept of them.

use crate::House;

/// A file of the container's cgroup, in either version.
fn limit(house: &House, name: &str, v1: (&str, &str), v2: &str) -> String {
    let id = house.inspect(name, "{{.Id}}");
    let parent = house.engine.cgroup_parent();
    let (controller, file) = v1;
    let v1 = format!("/sys/fs/cgroup/{controller}/{parent}/{id}/{file}");
    let v2 = format!("/sys/fs/cgroup/{parent}/{id}/{v2}");
    std::fs::read_to_string(&v1).or_else(|_| std::fs::read_to_string(&v2)).expect(&v1).trim().to_owned()
}

const SHOWN: &str = "{{.HostConfig.Memory}} {{.HostConfig.MemorySwap}} {{.HostConfig.CpuQuota}} {{.HostConfig.CpuPeriod}} {{.HostConfig.PidsLimit}} {{.HostConfig.CpusetCpus}} {{.HostConfig.CpuShares}}";

#[test]
fn limits_are_changed_at_once_and_kept() {
    let mut house = House::new();
    house.ok(&["run", "-d", "--name", "one", "-m", "64m", "--cpu-period", "50000", "bb", "sleep", "1000"]);
    house.ok(&["create", "--name", "two", "bb", "sleep", "1000"]);
    let said = house.ok(&[
        "update",
        "-m",
        "32m",
        "--memory-swap",
        "48m",
        "--cpu-quota",
        "20000",
        "--pids-limit",
        "55",
        "--cpuset-cpus",
        "0",
        "-c",
        "512",
        "one",
        "two",
    ]);
    assert_eq!(said, "one\ntwo");
    let shown = "33554432 50331648 20000 50000 55 0 512";
    assert_eq!(house.inspect("one", SHOWN), shown);
    let memory = limit(&house, "one", ("memory", "memory.limit_in_bytes"), "memory.max");
    assert_eq!(memory, (32 << 20).to_string());
    let quota = limit(&house, "one", ("cpu", "cpu.cfs_quota_us"), "cpu.max");
    assert!(quota == "20000" || quota == "20000 50000", "{quota}");
    assert_eq!(limit(&house, "one", ("pids", "pids.max"), "pids.max"), "55");
    assert_eq!(limit(&house, "one", ("cpuset", "cpuset.cpus"), "cpuset.cpus"), "0");
    assert_eq!(house.events(&["--filter", "event=update"], "{{.Actor.Attributes.name}}"), "one\ntwo");

    // One that did not run has them from its start on; the other over a new engine and a restart.
    house.ok(&["start", "two"]);
    assert_eq!(limit(&house, "two", ("pids", "pids.max"), "pids.max"), "55");
    house.engine.kill();
    house.engine.run();
    assert_eq!(house.inspect("one", SHOWN), shown);
    house.ok(&["restart", "-t", "0", "one"]);
    assert_eq!(
        limit(&house, "one", ("memory", "memory.limit_in_bytes"), "memory.max"),
        (32 << 20).to_string()
    );
    house.ok(&["pause", "one"]);
    house.ok(&["update", "--pids-limit", "-1", "one"]);
    assert_eq!(limit(&house, "one", ("pids", "pids.max"), "pids.max"), "max");
    assert_eq!(house.inspect("one", "{{.HostConfig.PidsLimit}}"), "0");
}

#[test]
fn what_is_refused_changes_nothing() {
    let house = House::new();
    house.ok(&["run", "-d", "--name", "one", "-m", "64m", "--cpus", "1", "bb", "sleep", "1000"]);
    let id = house.inspect("one", "{{.Id}}");
    let before = house.inspect("one", SHOWN);
    for (words, text) in [
        (
            &["--memory", "1g"][..],
            "Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time",
        ),
        (
            &["--cpu-quota", "5000"],
            "Conflicting options: CPU Quota cannot be updated as NanoCPUs has already been set",
        ),
        (
            &["--cpu-period", "5000"],
            "Conflicting options: CPU Period cannot be updated as NanoCPUs has already been set",
        ),
    ] {
        let (status, error) = house.fails(&[&["update"], words, &["one"]].concat());
        assert_eq!(
            (status, error),
            (1, format!("Error response from daemon: Cannot update container {id}: {text}\n"))
        );
    }
    for (words, text) in [
        (&["--memory", "1m"][..], "Minimum memory limit allowed is 6MB"),
        (&["--cpuset-cpus", "4000"], "Requested CPUs are not available"),
        (&["--restart", "sometimes"], "invalid restart policy: unknown policy 'sometimes'"),
    ] {
        let (_, error) = house.fails(&[&["update"], words, &["one"]].concat());
        assert!(error.contains(text), "{error}");
    }
    // What the kernel took before it refused is put back. (Version 2 takes the greatest weight instead.)
    if std::path::Path::new("/sys/fs/cgroup/memory").exists() {
        let (_, error) = house.fails(&["update", "-m", "32m", "--cpu-shares", "300000", "one"]);
        assert!(error.contains("the maximum allowed cpu-shares is 262144"), "{error}");
        assert_eq!(limit(&house, "one", ("cpu", "cpu.shares"), "cpu.weight"), "1024");
    }
    let memory = limit(&house, "one", ("memory", "memory.limit_in_bytes"), "memory.max");
    assert_eq!(memory, (64 << 20).to_string());
    assert_eq!(house.inspect("one", SHOWN), before);
    let (_, error) = house.fails(&["update", "one"]);
    assert_eq!(error, "you must provide one or more flags when using this command\n");
    house.ok(&["run", "-d", "--rm", "--name", "gone", "bb", "sleep", "1000"]);
    let (_, error) = house.fails(&["update", "--restart", "always", "gone"]);
    assert!(error.contains("Restart policy cannot be updated because AutoRemove is enabled"), "{error}");
}

#[test]
fn a_restart_policy_holds_from_now_on() {
    let house = House::new();
    house.ok(&["run", "-d", "--name", "one", "bb", "sh", "-c", "mkfifo /go; cat /go; exit 3"]);
    house.ok(&["update", "--restart", "on-failure:2", "one"]);
    assert_eq!(
        house.inspect(
            "one",
            "{{.HostConfig.RestartPolicy.Name}}:{{.HostConfig.RestartPolicy.MaximumRetryCount}}"
        ),
        "on-failure:2"
    );
    let started = house.inspect("one", "{{.State.StartedAt}}");
    house.ok(&["exec", "one", "sh", "-c", "until [ -p /go ]; do :; done; echo > /go"]);
    assert!(crate::eventually(|| {
        house.inspect("one", "{{.RestartCount}} {{.State.Running}}") == "1 true"
            && house.inspect("one", "{{.State.StartedAt}}") != started
    }));
}

#[test]
fn labels_and_variables_change_while_the_rest_stays() {
    let house = House::new();
    let run = ["run", "-d", "--name", "one", "-l", "a=1", "-l", "b=2", "-e", "X=old", "-e", "Y=2", "bb"];
    house.ok(&[&run[..], &["sh", "-c", "env; sleep 1000"]].concat());
    let (id, address) = (
        house.inspect("one", "{{.Id}}"),
        house.inspect("one", "{{.NetworkSettings.Networks.bridge.IPAddress}}"),
    );
    house.ok(&[
        "update",
        "--label-add",
        "c=3",
        "--label-rm",
        "a",
        "--env-add",
        "X=new",
        "--env-rm",
        "Y",
        "--env-add",
        "Z=z",
        "one",
    ]);
    assert_eq!(house.inspect("one", "{{json .Config.Labels}}"), "{\"b\":\"2\",\"c\":\"3\"}");
    assert_eq!(house.ok(&["ps", "-q", "--no-trunc", "--filter", "label=c=3"]), id);
    house.ok(&["restart", "-t", "0", "one"]);
    assert!(crate::eventually(|| house.ok(&["logs", "one"]).contains("Z=z")));
    let last = house.ok(&["logs", "one"]);
    let last = &last[last.rfind("X=").expect("X")..];
    assert!(last.starts_with("X=new"), "{last}");
    assert_eq!(house.inspect("one", "{{.Id}}"), id);
    assert_eq!(house.inspect("one", "{{.NetworkSettings.Networks.bridge.IPAddress}}"), address);
}

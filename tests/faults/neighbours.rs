//! A second engine, and a machine that lacks something.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use testkit::Output;

use super::{BINARY, Private};

#[test]
fn a_second_engine_is_refused_and_the_first_is_untouched() {
    let private = Private::start();
    private.ok(&["run", "-d", "--name", "cc", "bb", "sleep", "1000"]);
    let other = private.directory.path().join("other");
    let path = |name: &str| other.join(name).display().to_string();
    let (data, exec, pid) = (path("data"), path("exec"), path("pid"));
    let host = format!("unix://{}", path("sock"));
    let own: [(&str, &str); 4] =
        [("--data-root", &data), ("--exec-root", &exec), ("--pidfile", &pid), ("-H", &host)];
    let pidfile = private.engine.directory().join("pid");
    for (shared, said) in [
        ("--data-root", private.data().display().to_string()),
        ("--exec-root", private.engine.directory().join("exec").display().to_string()),
        ("--pidfile", format!("process with PID {} is still running", private.engine.pid().unwrap())),
        ("-H", "another engine answers".to_owned()),
    ] {
        let config = private.engine.directory().join("daemon.json").display().to_string();
        let mut second = std::process::Command::new(BINARY);
        second.args(["daemon", "--config-file", &config, "--bridge", "none"]);
        for (flag, value) in own {
            let value = match (flag == shared, flag) {
                (false, _) => value.to_owned(),
                (true, "-H") => private.engine.host(),
                (true, "--pidfile") => pidfile.display().to_string(),
                (true, "--data-root") => private.data().display().to_string(),
                (true, _) => private.engine.directory().join("exec").display().to_string(),
            };
            second.args([flag, &value]);
        }
        let output = Output::of(&mut second);
        assert_ne!(output.status, 0, "{shared}");
        assert!(output.stderr.contains(&said), "{shared}: {output:?}");
        assert_eq!(private.status("cc"), "running", "{shared}");
        assert_eq!(private.ok(&["exec", "cc", "echo", "in"]), "in");
        assert_eq!(private.ok(&["run", "--rm", "bb", "echo", "fine"]), "fine");
        assert!(pidfile.exists(), "{shared}");
    }
    // Everything shared, as when somebody types the same command twice.
    let output = Output::of(&mut private.engine.daemon());
    assert_ne!(output.status, 0);
    private.ok(&["exec", "cc", "ping", "-c", "1", "-W", "10", &gateway(&private)]);
    private.ok(&["rm", "-f", "cc"]);
}

fn gateway(private: &Private) -> String {
    private.ok(&["inspect", "-f", "{{.NetworkSettings.Networks.bridge.Gateway}}", "cc"])
}

/// A program in `directory` that runs wharf, and its engine in a mount namespace prepared by `script`.
pub(crate) fn prepared(directory: &Path, script: &str) -> PathBuf {
    let path = directory.join("wharf");
    let text = format!(
        "#!/bin/sh\n[ \"$1\" = daemon ] || exec {BINARY} \"$@\"\nexec unshare -m sh -ec '{script}' sh \"$@\"\n"
    );
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[test]
fn without_controllers_limits_are_discarded_and_told() {
    let place = testkit::directory();
    let missing = ["pids", "memory", "cpu", "cpuset", "blkio", "freezer"];
    let unmount: String = missing.iter().map(|name| format!("umount /sys/fs/cgroup/{name}; ")).collect();
    let private = Private::with_binary(&prepared(place.path(), &format!("{unmount}exec {BINARY} \"$@\"")));
    for (flag, value, lost) in [
        ("--pids-limit", "50", "PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded."),
        ("--memory", "64m", "memory limit capabilities or the cgroup is not mounted. Limitation discarded."),
        (
            "--memory-reservation",
            "64m",
            "memory soft limit capabilities or the cgroup is not mounted. Limitation discarded.",
        ),
        ("--cpu-shares", "50", "CPU shares or the cgroup is not mounted. Shares discarded."),
        ("--cpu-quota", "5000", "CPU CFS scheduler. CPU period/quota discarded."),
        ("--cpuset-cpus", "0", "cpuset or the cgroup is not mounted. Cpuset discarded."),
        ("--blkio-weight", "500", "Block I/O weight or the cgroup is not mounted. Weight discarded."),
    ] {
        let output = private.engine.wharf(&["run", "--rm", flag, value, "bb", "echo", "fine"]);
        assert_eq!((output.status, output.stdout.trim()), (0, "fine"), "{flag}: {output:?}");
        let told = format!("WARNING: Your kernel does not support {lost}");
        assert!(output.stderr.contains(&told), "{flag}: {output:?}");
    }
    let refused = private.fails(&["run", "--rm", "--cpus", "0.5", "bb", "true"]);
    assert!(refused.contains("NanoCPUs can not be set, as your kernel does not support"), "{refused}");
    let warnings = private.ok(&["info", "-f", "{{json .Warnings}}"]);
    assert!(
        warnings.contains("No memory limit support") && warnings.contains("No cpuset support"),
        "{warnings}"
    );

    private.ok(&["run", "-d", "--name", "cc", "bb", "sleep", "1000"]);
    let refused = private.fails(&["pause", "cc"]);
    assert!(refused.contains("pausing needs the cgroup controller freezer"), "{refused}");
    assert_eq!(private.ok(&["exec", "cc", "echo", "in"]), "in");
    private.ok(&["rm", "-f", "cc"]);
    private.clean("after limits that cannot be");
}

#[test]
fn without_the_devices_controller_nothing_runs_unguarded() {
    let place = testkit::directory();
    let script = format!("umount /sys/fs/cgroup/devices; exec {BINARY} \"$@\"");
    let private = Private::with_binary(&prepared(place.path(), &script));
    let output = private.engine.wharf(&["run", "--rm", "bb", "echo", "fine"]);
    assert_eq!(output.status, 125, "{output:?}");
    assert!(output.stderr.contains("a device rule needs the cgroup controller devices"), "{output:?}");
    private.clean("after a start that was refused");
}

#[test]
fn without_network_rights_the_engine_says_so() {
    let private = Private::start();
    let daemon = private.engine.daemon();
    let place = testkit::directory();
    let other = |name: &str| place.path().join(name).display().to_string();
    let mut command = std::process::Command::new("setpriv");
    command.args(["--bounding-set", "-net_admin", "--inh-caps", "-net_admin"]);
    command.arg(daemon.get_program()).args(daemon.get_args());
    command.args(["--data-root", &other("data"), "--exec-root", &other("exec"), "--pidfile", &other("pid")]);
    let mut command = without_host(command, &other("sock"));
    let output = Output::of(command.args(["--bridge", "wtnone0"]));
    assert_ne!(output.status, 0);
    let said = output.stderr.to_lowercase();
    assert!(said.contains("network controller") && said.contains("wtnone0"), "{output:?}");
    assert!(said.contains("permitted"), "{output:?}");
}

/// The same command with another socket: `-H` adds up, so the old one must go.
fn without_host(command: std::process::Command, socket: &str) -> std::process::Command {
    let mut changed = std::process::Command::new(command.get_program());
    for argument in command.get_args() {
        let text = argument.to_string_lossy();
        if text.starts_with("unix://") {
            changed.arg(format!("unix://{socket}"));
        } else {
            changed.arg(argument);
        }
    }
    changed
}

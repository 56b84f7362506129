//! The tests' own net: what an engine leaves is noticed, and what a killed test leaves is taken away.

use std::io::{BufRead, BufReader};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{Private, names, until};

/// One of each kind that an engine could leave.
fn litter(private: &Private) -> Vec<std::process::Child> {
    let directory = private.engine.directory();
    let mount = directory.join("stray");
    std::fs::create_dir(&mount).unwrap();
    let run = |program: &str, args: &[&str]| {
        assert!(Command::new(program).args(args).status().unwrap().success(), "{program} {args:?}");
    };
    run("mount", &["-t", "tmpfs", "stray", mount.to_str().unwrap()]);
    let group = Path::new("/sys/fs/cgroup/pids").join(private.engine.cgroup_parent()).join("stray");
    std::fs::create_dir_all(&group).unwrap();
    let name = format!("{}s", private.engine.bridge());
    run("ip", &["link", "add", &name, "type", "veth", "peer", "name", &format!("{name}p")]);
    run("ip", &["link", "set", &name, "master", private.engine.bridge()]);
    let sleep = || {
        let mut sleep = Command::new("/bin/busybox");
        sleep.args(["sleep", "1000"]);
        sleep
    };
    let of_the_engine = sleep().env("WHARF_TEST_DIRECTORY", directory).spawn().unwrap();
    let contained = sleep().spawn().unwrap();
    std::fs::write(group.join("cgroup.procs"), contained.id().to_string()).unwrap();
    vec![of_the_engine, contained]
}

#[test]
fn what_is_left_is_noticed_and_taken_away() {
    let mut private = Private::start();
    let mut strays = litter(&private);
    let name = format!("{}s", private.engine.bridge());
    let left = private.engine.left().join("\n");
    for kind in ["mount: ", "cgroup: ", "interface: ", "process "] {
        assert!(left.contains(kind), "{kind} in {left}");
    }
    private.engine.set_patience(Duration::from_millis(1));
    let (bridge, cgroup) = (private.engine.bridge().to_owned(), private.engine.cgroup_parent().to_owned());
    let directory = private.directory.path().to_owned();
    let failure = catch_unwind(AssertUnwindSafe(|| drop(private))).expect_err("the engine left something");
    let text = failure.downcast_ref::<String>().unwrap();
    for kind in ["mount: ", "cgroup: ", "interface: ", "process "] {
        assert!(text.contains(kind), "{kind} in {text}");
    }
    strays.iter_mut().for_each(|stray| assert!(!stray.wait().unwrap().success()));
    let _ = Command::new("ip").args(["link", "del", &name]).status();
    assert!(gone(&bridge, &cgroup, &directory).is_empty());
}

/// What there is of an engine that should have gone.
fn gone(bridge: &str, cgroup: &str, directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut look = |path: std::path::PathBuf| {
        if path.exists() {
            found.push(path.display().to_string());
        }
    };
    look(directory.to_owned());
    look(Path::new("/sys/class/net").join(bridge));
    for hierarchy in names(Path::new("/sys/fs/cgroup")) {
        look(Path::new("/sys/fs/cgroup").join(hierarchy).join(cgroup));
    }
    let here = directory.display().to_string();
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    found.extend(mounts.lines().filter(|line| line.contains(&here)).map(str::to_owned));
    let table = format!("wharf-{bridge}");
    let listed = Command::new("nft").args(["list", "tables"]).output().unwrap();
    if String::from_utf8_lossy(&listed.stdout).lines().any(|line| line.ends_with(&format!(" {table}"))) {
        found.push(table);
    }
    for pid in names(Path::new("/proc")).iter().filter(|name| name.parse::<u32>().is_ok()) {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        if String::from_utf8_lossy(&environment).contains(&here) {
            found.push(format!("process {pid}"));
        }
    }
    found
}

/// Run by the test below in a process of its own, and killed there.
#[test]
#[ignore = "started by the test below"]
fn victim() {
    let private = Private::start();
    for name in ["runs", "frozen"] {
        private.ok(&["run", "-d", "--name", name, "bb", "sleep", "1000"]);
    }
    private.ok(&["pause", "frozen"]);
    #[expect(clippy::print_stdout, reason = "read by the other test")]
    {
        let Private { engine, directory } = &private;
        let pids = [engine.pid().unwrap(), private.pid("runs"), private.pid("frozen")];
        println!(
            "victim {} {} {} {}",
            engine.bridge(),
            engine.cgroup_parent(),
            directory.path().display(),
            pids.map(|pid| pid.to_string()).join(",")
        );
    }
    std::thread::sleep(Duration::from_secs(1000));
}

#[test]
fn a_killed_test_leaves_nothing() {
    let mut test = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kit::victim", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(test.stdout.take().unwrap()).lines();
    let said =
        lines.map_while(Result::ok).find(|line| line.contains("victim wt")).expect("the victim speaks");
    let words: Vec<&str> = said.split("victim ").last().unwrap().split(' ').collect();
    let [bridge, cgroup, directory, pids] = words[..] else { panic!("{said}") };
    let pids: Vec<u32> = pids.split(',').map(|pid| pid.parse().unwrap()).collect();
    assert!(pids.iter().all(|&pid| super::runs(pid)));
    test.kill().unwrap();
    test.wait().unwrap();
    let mut left = Vec::new();
    until("nothing is left", || {
        left = gone(bridge, cgroup, Path::new(directory));
        left.extend(pids.iter().filter(|&&pid| super::runs(pid)).map(|pid| format!("process {pid}")));
        left.is_empty()
    });
}

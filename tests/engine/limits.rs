//! Memory, logs, shared memory, ulimits: what is bounded, and what happens at the bound.

use crate::House;

#[test]
fn out_of_memory_is_told() {
    let house = House::new();
    house.ok(&[
        "run",
        "-d",
        "--name",
        "fat",
        "-m",
        "16m",
        "--memory-swap",
        "16m",
        "bb",
        "sh",
        "-c",
        "tail /dev/zero",
    ]);
    house.until("fat", "{{.State.Status}} {{.State.OOMKilled}}", "exited true");
    let seen = house.events(&["--filter", "event=oom"], "{{.Action}}");
    assert!(seen.lines().count() >= 1 && seen.lines().all(|line| line == "oom"), "{seen}");
    house.ok(&["run", "-d", "--name", "one", "-m", "16m", "--memory-swap", "16m", "bb", "tail", "/dev/zero"]);
    house.until("one", "{{.State.ExitCode}} {{.State.OOMKilled}}", "137 true");
}

#[test]
fn out_of_memory_is_told_at_once() {
    let house = House::new();
    let script = "tail /dev/zero; echo went on; sleep 1000";
    let limit = ["-m", "16m", "--memory-swap", "16m"];
    house.ok(&[&["run", "-d", "--name", "some"], &limit[..], &["bb", "sh", "-c", script]].concat());
    // Its first process goes on: nothing but the kernel's word tells of it.
    house.until("some", "{{.State.Running}} {{.State.OOMKilled}}", "true true");
    let seen = house.events(&["--filter", "container=some"], "{{.Action}}");
    assert!(seen.contains("oom") && !seen.contains("die"), "{seen}");
    let first = seen.lines().filter(|line| *line == "oom").count();
    house.ok(&["rm", "-f", "some"]);
    let seen = house.events(&["--filter", "container=some", "--filter", "event=oom"], "{{.Action}}");
    assert_eq!(seen.lines().count(), first, "its end is no news: {seen}");
}

#[test]
fn the_daemons_defaults_reach_the_container() {
    let house = House::with(&[
        "--default-shm-size=32M",
        "--default-ulimit=nofile=512:1024",
        "--init",
        "--no-new-privileges",
    ]);
    let got = house.sh(
        &[],
        "df -k /dev/shm | tail -1; ulimit -n; ulimit -Hn; echo $$; grep NoNewPrivs /proc/self/status",
    );
    assert!(got.contains("32768"), "{got}");
    assert!(got.contains("\n512\n1024\n"), "{got}");
    assert!(!got.contains("\n1\n"), "{got}");
    assert!(got.ends_with('1'), "{got}");
    assert_eq!(
        house.sh(
            &["--ulimit", "nofile=300", "--shm-size", "1m"],
            "ulimit -n; df -k /dev/shm | tail -1 | grep -c 1024"
        ),
        "300\n1"
    );
}

#[test]
fn logs_are_rotated_and_read_as_one() {
    let house = House::with(&["--log-opt=max-size=20k", "--log-opt=max-file=3"]);
    house.ok(&[
        "run",
        "--name",
        "cr",
        "bb",
        "sh",
        "-c",
        "i=0; while [ $i -lt 400 ]; do echo line-$i; i=$((i+1)); done",
    ]);
    let path = house.inspect("cr", "{{.LogPath}}");
    let rotated = std::path::PathBuf::from(format!("{path}.1"));
    assert!(rotated.exists(), "{} was not rotated", path);
    let lines: Vec<String> = house.ok(&["logs", "cr"]).lines().map(str::to_owned).collect();
    let last: usize = lines.len();
    assert!(last > 250, "{last} lines are left");
    for (line, number) in lines.iter().rev().zip((0..400).rev()) {
        assert_eq!(*line, format!("line-{number}"));
    }
    assert_eq!(house.ok(&["logs", "-n", "2", "cr"]), "line-398\nline-399");
    // A container's own word is stronger.
    house.ok(&["run", "--name", "own", "--log-opt", "max-size=-1", "bb", "sh", "-c", "seq 1000"]);
    assert_eq!(house.ok(&["logs", "own"]).lines().count(), 1000);
}

#[test]
fn a_follower_sees_lines_as_they_come_and_the_end() {
    let house = House::new();
    house.ok(&["run", "-d", "--name", "cf", "bb", "sh", "-c", "echo one; sleep 1; echo two"]);
    let mut follower = house.engine.client("wharf");
    let mut follower =
        follower.args(["logs", "-f", "cf"]).stdout(std::process::Stdio::piped()).spawn().expect("follow");
    let output = {
        use std::io::Read as _;
        let mut text = String::new();
        follower.stdout.take().expect("piped").read_to_string(&mut text).expect("read");
        follower.wait().expect("it ends");
        text
    };
    assert!(output.starts_with("one\n"), "{output}");
    // `until` ends a follower although nothing is written.
    house.ok(&["run", "-d", "--name", "quiet", "bb", "sh", "-c", "echo hi; sleep 1000"]);
    assert!(crate::eventually(|| house.ok(&["logs", "quiet"]) == "hi"));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let until = (now.as_secs() + 2).to_string();
    assert_eq!(house.ok(&["logs", "-f", "--until", &until, "quiet"]), "hi");
}

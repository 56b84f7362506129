//! One table of scenarios, run through this client and through the unmodified `docker`, against the same engine:
//! stdout, stderr and status must be the same.
//!
//! Each scenario is a list of lines; `NAME` is a container's name, different for the two clients. What differs by nature
//! (names, ids, ages) is made the same before it is compared. `IN:` before a line gives it stdin.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use testkit::{Engine, Output, busybox_image};

const SCENARIOS: &[&[&str]] = &[
    &["run --rm bb echo hi"],
    &["run --rm bb sh -c 'echo out; exit 3'"],
    &["run --rm bb nosuch"],
    &["run --rm bb /bin"],
    &["run --rm -a stdout bb sh -c 'echo out; echo err >&2'"],
    &["run --rm -e A=1 -e B= bb sh -c 'echo $A-$B-$HOME'"],
    &["run --rm -w /bin --entrypoint ls bb -d ."],
    &["run --rm -v /etc:/x:ro bb ls -d /x"],
    &["run --rm --hostname foo bb cat /etc/hostname"],
    &["run --rm -m 4 bb true"],
    &["run --rm --name a/b bb true"],
    &["run --rm --network host bb true"],
    &["run --rm -t bb sh -c 'echo tty; exit 4'"],
    &["IN:hello run --rm -i bb cat"],
    &["IN: run --rm -i bb cat"],
    &["create --name NAME bb sh", "start NAME", "wait NAME", "rm NAME"],
    &[
        "run --name NAME bb sh -c 'echo one; sleep 0.1; echo two >&2'",
        "logs NAME",
        "logs --tail 1 NAME",
        "rm NAME",
    ],
    &[
        "run -d --name NAME --label a=b bb sleep 100",
        "ps --filter name=NAME --format '{{.Names}} {{.Image}} {{.Command}} {{.State}} {{.Label \"a\"}} {{.Labels}}'",
        "exec NAME sh -c 'echo a; exit 5'",
        "IN:typed exec -i NAME cat",
        "exec -e X=1 -w /bin NAME sh -c 'echo $X; ls -d .'",
        "exec NAME nosuch",
        "exec -d NAME true",
        "inspect -f '{{.State.Status}} {{json .Config.Labels}} {{.HostConfig.NetworkMode}}' NAME",
        "inspect -f '{{.State.Foo}}' NAME",
        "pause NAME",
        "pause NAME",
        "exec NAME true",
        "unpause NAME",
        "kill -s BOGUS NAME",
        "rename NAME NAME-2",
        "rename NAME-2 NAME",
        "restart -t 0 NAME",
        "stop -t 0 NAME",
        "exec NAME true",
        "start NAME",
        "rm NAME",
        "kill NAME",
        "wait NAME",
        "rm NAME",
    ],
    &["exec nosuch true"],
    &["kill nosuch"],
    &["rm nosuch"],
    &["rm -f nosuch"],
    &["logs nosuch"],
    &["top nosuch"],
    &["wait nosuch"],
    &["container inspect nosuch"],
    &["image inspect nosuch"],
    &["tag bb NAME:x", "images NAME --format '{{.Repository}}:{{.Tag}} {{.ID}} {{.Size}}'", "rmi NAME:x"],
    &["tag nosuch x"],
    &["rmi nosuch"],
    &["rmi -f nosuch"],
    &["history nosuch"],
    &["history -q bb"],
    &["inspect bb"],
];

#[test]
fn both_clients_say_the_same() {
    let directory = tempfile::tempdir().unwrap();
    // Any engine can be compared with; by default it is a private one.
    let (engine, host) = match std::env::var("WHARF_TEST_ENGINE") {
        Ok(host) => (None, host),
        Err(_) => {
            let engine = Engine::start(Path::new(env!("CARGO_BIN_EXE_wharf")), directory.path());
            let host = engine.host();
            (Some(engine), host)
        }
    };
    let tar = busybox_image(directory.path());
    let imported =
        crate::outcome(&host, &["import", "-c", "CMD [\"sh\"]", tar.to_str().unwrap(), "bb:latest"]);
    assert_eq!(imported.status, 0, "{imported:?}");
    let docker = engine.as_ref().map_or_else(|| Some(Command::new("docker")), Engine::docker);
    let docker = docker.expect("the docker CLI is installed (Debian: docker.io or docker-cli)");
    let mut different = Vec::new();
    for scenario in SCENARIOS {
        for line in *scenario {
            let ours = said(env!("CARGO_BIN_EXE_wharf"), &host, line, "ours");
            let theirs = said(&docker.get_program().to_string_lossy(), &host, line, "theirs");
            if ours != theirs {
                different.push(format!("{line}\n  wharf:  {ours:?}\n  docker: {theirs:?}"));
            }
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

/// Runs a line through a shell, for its quotes, with the program called as `docker`.
fn said(program: &str, host: &str, line: &str, name: &str) -> Output {
    let (stdin, line) = match line.strip_prefix("IN:").and_then(|rest| rest.split_once(' ')) {
        Some((stdin, line)) => (stdin, line),
        None => ("", line),
    };
    let mut child = Command::new("bash")
        .args(["-c", &format!("exec -a docker {program} {}", line.replace("NAME", name))])
        .env("DOCKER_HOST", host)
        .env("DOCKER_CONFIG", "/nonexistent")
        .env("WHARF_AUTOSTART", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A client that does not read its stdin has closed it by now.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| same(&String::from_utf8_lossy(bytes), name);
    Output {
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
        status: output.status.code().unwrap_or(-1),
    }
}

/// Names and ids as one.
fn same(text: &str, name: &str) -> String {
    let words = text.replace(name, "NAME");
    let mut plain = String::new();
    let mut digits = String::new();
    for c in words.chars().chain(['\n']) {
        if c.is_ascii_hexdigit() {
            digits.push(c);
            continue;
        }
        plain.push_str(if digits.len() >= 12 { "ID" } else { &digits });
        digits.clear();
        plain.push(c);
    }
    plain.pop();
    plain
}

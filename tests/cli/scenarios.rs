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
    &[
        "create --name NAME -v /anon bb",
        "run --rm --volumes-from NAME bb sh -c 'echo x > /anon/f'",
        "run --rm --volumes-from NAME:ro bb sh -c 'cat /anon/f; touch /anon/g'",
        "run --rm --volumes-from nosuch bb true",
        "rm -v NAME",
    ],
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
    &["run --rm bb sh -c 'kill -9 $$'"],
    &["run --rm --env-file /dev/null -e HOME=/x bb sh -c 'echo $HOME'"],
    &["run --rm -u nobody bb id"],
    &["run --rm -u 7:8 bb id"],
    &["run --rm -u nosuch bb id"],
    &["run --rm --group-add 99 bb id"],
    &["run --rm --read-only bb touch /x"],
    &["run --rm --tmpfs /t:size=64k bb sh -c 'grep \" /t \" /proc/mounts'"],
    &["run --rm --mount type=tmpfs,target=/t bb sh -c 'grep \" /t \" /proc/mounts'"],
    &["run --rm --mount type=bind,source=/etc,target=/x,readonly bb touch /x/y"],
    &["run --rm --mount type=bind,source=/nosuch,target=/x bb true"],
    &["run --rm --cap-drop ALL bb grep Cap /proc/self/status"],
    &["run --rm --cap-add SYS_ADMIN --cap-add BOGUS bb true"],
    &["run --rm --cap-add NET_ADMIN bb grep CapEff /proc/self/status"],
    &["run --rm --security-opt no-new-privileges bb grep NoNewPrivs /proc/self/status"],
    &["run --rm --security-opt seccomp=unconfined bb grep Seccomp: /proc/self/status"],
    &["run --rm --security-opt bogus bb true"],
    &["run --rm --privileged bb grep -E 'Cap|Seccomp:' /proc/self/status"],
    &["run --rm --ulimit nofile=100:200 bb sh -c 'ulimit -n; ulimit -Hn'"],
    &[
        "run --rm --sysctl net.ipv4.ip_unprivileged_port_start=7 bb cat /proc/sys/net/ipv4/ip_unprivileged_port_start",
    ],
    &["run --rm --sysctl kernel.bogus=1 bb true"],
    &["run --rm --device /dev/null:/dev/zed bb ls /dev/zed"],
    &["run --rm --device /dev/nosuch bb true"],
    &["run --rm --network none bb sh -c 'grep : /proc/net/dev | cut -d: -f1'"],
    &["run --rm --network container:nosuch bb true"],
    &["run --rm --network nosuch bb true"],
    &["run --rm --add-host foo:1.2.3.4 bb grep foo /etc/hosts"],
    &["run --rm --dns 9.9.9.9 --dns-search example.com bb grep -v '^#' /etc/resolv.conf"],
    &["run --rm --shm-size 1m bb sh -c 'df /dev/shm | tail -1'"],
    &["run --rm --init bb sh -c 'cat /proc/1/comm >/dev/null; exit 9'"],
    &["run --rm --uts host --pid host --ipc host bb true"],
    &["run --rm --uts host --hostname x bb true"],
    &["run --rm --oom-score-adj 300 bb cat /proc/self/oom_score_adj"],
    &["run --rm --oom-score-adj 3000 bb true"],
    &["run --rm --log-driver bogus bb true"],
    &["run --rm --restart on-failure:2 bb true"],
    &["run --name NAME --restart on-failure:1 bb false", "rm -f NAME"],
    &["run --rm --stop-signal BOGUS bb true"],
    &["run --rm --memory 64m --cpus 0.5 --pids-limit 50 bb true"],
    &["run --rm --cpus 1000 bb true"],
    &["run --rm -v relative:x:zz bb true"],
    &["run --rm -v /a:relative bb true"],
    &["run --rm -w relative bb true"],
    &["run --rm -i -t bb true"],
    &["run -d --rm -i --name NAME bb cat", "rm -f NAME"],
    &["run -d -a stdout bb true"],
    &["run --log-driver none --name NAME bb echo x", "logs NAME", "rm NAME"],
    &[
        "create --name NAME --label k=v bb echo x",
        "ps -a --filter label=k=v --filter name=NAME --format '{{.Names}}: {{.Status}}'",
        "ps -a --filter status=created --filter name=NAME -q --no-trunc",
        "ps --filter bogus=x",
        "ps --filter status=bogus",
        "start -a NAME",
        "ps -a --filter exited=0 --filter name=NAME --format '{{.Names}} {{json .Ports}} {{.LocalVolumes}} {{.Mounts}} {{.Networks}}'",
        "logs --since 10m NAME",
        "logs --since bogus NAME",
        "logs --tail bogus NAME",
        "logs --until 10m NAME",
        "inspect --type container -f '{{.Config.Cmd}} {{.State.ExitCode}} {{.Name}}' NAME",
        "inspect -f '{{.Name}}' NAME nosuch",
        "inspect --type bogus NAME",
        "container inspect -f '{{.HostConfig.LogConfig.Type}}' NAME",
        "stop NAME",
        "pause NAME",
        "unpause NAME",
        "attach NAME",
        "top NAME",
        "start NAME nosuch",
        "rm NAME nosuch",
    ],
    &["images -q --no-trunc", "images --filter reference=bb --format '{{.Repository}} {{.Tag}} {{.Digest}}'"],
    &["images --filter dangling=true -q", "images --filter bogus=1"],
    &["IN:junk import -", "import /nosuch.tar"],
    &["IN:junk load", "load -i /nosuch.tar", "save nosuch"],
    &["image rm bb:nosuch", "image rm"],
    &["info -f '{{.Driver}} {{.DefaultRuntime}}'", "version -f '{{.Server.Version}}'"],
    &["events --since 1 --until 2", "events --since bogus", "events --filter bogus=1 --until 1"],
    &["system df --format '{{.Type}}'"],
    &["rename nosuch x", "restart nosuch", "stop nosuch", "start nosuch", "pause nosuch", "unpause nosuch"],
    &["attach nosuch", "container ls -n x", "rm", "exec", "run", "logs"],
    &["exec nosuch true"],
    &["kill nosuch"],
    &["rm nosuch"],
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

/// Texts that Docker 29 changed, and Wharf with it: an older client's, and what it is now.
const REWORDED: &[(&str, &str)] = &[
    ("Invalid --security-opt:", "invalid --security-opt:"),
    (
        "the input device is not a TTY",
        "cannot attach stdin to a TTY-enabled container because stdin is not a terminal",
    ),
    ("Error: No such object:", "error: no such object:"),
    ("You cannot attach to a stopped container", "cannot attach to a stopped container"),
    ("Error: failed to start containers:", "failed to start containers:"),
    (
        "Error response from daemon: No such container: nosuch\nError: failed to rename container named nosuch",
        "failed to rename container: Error response from daemon: No such container: nosuch",
    ),
];

#[test]
fn both_clients_say_the_same() {
    let directory = testkit::directory();
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
    // Answers differ by API version: both ask in the one that Docker's client knows.
    let mut asked = Command::new(docker.get_program());
    let asked = asked.args(["version", "-f", "{{.Client.APIVersion}}"]).env("DOCKER_HOST", &host);
    let version = Output::of(asked.env("DOCKER_CONFIG", "/nonexistent")).stdout.trim().to_owned();
    // 1.48 is what Docker 28 speaks; Debian 12 has 20.10.
    let old =
        version.strip_prefix("1.").and_then(|minor| minor.parse().ok()).is_none_or(|minor: u32| minor < 48);
    let mut different = Vec::new();
    for scenario in SCENARIOS {
        for line in *scenario {
            let ours = said(env!("CARGO_BIN_EXE_wharf"), (&host, &version), line, "ours");
            let theirs = said(&docker.get_program().to_string_lossy(), (&host, &version), line, "theirs");
            let mut theirs = theirs;
            for (old, new) in REWORDED {
                theirs.stderr = theirs.stderr.replace(old, new);
            }
            // Before 28 its own texts were others; what it prints and how it ends was not.
            let same = if old {
                (&ours.stdout, ours.status) == (&theirs.stdout, theirs.status)
            } else {
                ours == theirs
            };
            if !same {
                different.push(format!("{line}\n  wharf:  {ours:?}\n  docker: {theirs:?}"));
            }
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

/// Runs a line through a shell, for its quotes, with the program called as `docker`.
fn said(program: &str, (host, version): (&str, &str), line: &str, name: &str) -> Output {
    let (stdin, line) = match line.strip_prefix("IN:").and_then(|rest| rest.split_once(' ')) {
        Some((stdin, line)) => (stdin, line),
        None => ("", line),
    };
    let mut child = Command::new("bash")
        .args(["-c", &format!("exec -a docker {program} {}", line.replace("NAME", name))])
        .env("DOCKER_HOST", host)
        .env("DOCKER_API_VERSION", version)
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

//! Completion in a real bash, which sources the script and presses the key.

use std::process::Command;

use testkit::Output;
use testkit::canned::{Answer, Server};

use crate::outcome;

#[test]
fn bash_completes_commands_flags_containers_and_images() {
    let directory = testkit::directory();
    let server = Server::start(directory.path(), |line| match line.split('?').next().unwrap_or_default() {
        "GET /containers/json" => Answer::Json(
            200,
            r#"[{"Names":["/web"],"State":"running"},{"Names":["/old"],"State":"exited"}]"#.into(),
        ),
        "GET /images/json" => Answer::Json(
            200,
            r#"[{"RepoTags":["debian:12","debian:13"]},{"RepoTags":["busybox:latest"]}]"#.into(),
        ),
        other => Answer::Json(500, format!("{{\"message\":\"not expected: {other}\"}}")),
    });
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_wharf"), directory.path().join("docker")).unwrap();
    let press = |line: &str| {
        let script = r#"
            source <(docker completion bash)
            COMP_LINE=$1 COMP_POINT=${#1}
            $(complete -p docker | sed 's/.*-F \([^ ]*\).*/\1/')
            printf '%s\n' "${COMPREPLY[@]}"
        "#;
        let path = format!("{}:{}", directory.path().display(), std::env::var("PATH").unwrap());
        let mut bash = Command::new("bash");
        bash.args(["--norc", "-c", script, "bash", line])
            .env("PATH", path)
            .env("DOCKER_HOST", server.host())
            .env("DOCKER_CONFIG", "/nonexistent");
        let got = Output::of(&mut bash);
        got.stdout.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(press("docker ru"), ["run"]);
    assert_eq!(press("docker container pa"), ["pause"]);
    assert_eq!(press("docker run --cidf"), ["--cidfile"]);
    assert_eq!(press("docker run --pull "), ["always", "missing", "never"]);
    assert_eq!(press("docker run --pull=m"), ["missing"]);
    assert_eq!(press("docker stop "), ["web"]);
    assert_eq!(press("docker start "), ["old"]);
    assert_eq!(press("docker rm -f web o"), ["old"]);
    assert_eq!(press("docker run -it deb"), ["debian:12", "debian:13"]);
    // bash has split at the colon, and puts back only what follows it.
    assert_eq!(press("docker run -it debian:"), ["12", "13"]);
}

/// The protocol of Docker's own scripts, which installations have lying about.
#[test]
fn dockers_scripts_are_answered() {
    let got = outcome("unix:///nonexistent.sock", &["__complete", "ru"]);
    assert_eq!(got.status, 0, "{}", got.stderr);
    assert!(got.stdout.starts_with("run\t") && got.stdout.ends_with("\n:4\n"), "{}", got.stdout);
    let got = outcome("unix:///nonexistent.sock", &["__complete", "stop", ""]);
    assert_eq!((got.status, got.stdout.as_str()), (0, ":1\n"));
}

//! `run` against an engine of answers: its requests, its streams, its status.

use std::io::Write;
use std::process::Stdio;

use testkit::canned::{Answer, Server, frame};

use crate::{docker, outcome};

fn server(directory: &tempfile::TempDir, start: (u16, &'static str), status: i64) -> Server {
    Server::start(directory.path(), move |line| {
        let path = line.split(['?']).next().unwrap_or_default();
        match path {
            "POST /containers/create" => {
                Answer::Json(201, r#"{"Id":"c0ffee","Warnings":["careful"]}"#.into())
            }
            "POST /containers/c0ffee/attach" => {
                Answer::Hijack([frame(1, b"out\n"), frame(2, b"err\n"), frame(1, b"more\n")].concat())
            }
            "POST /containers/c0ffee/wait" => Answer::Json(200, format!("{{\"StatusCode\":{status}}}")),
            "POST /containers/c0ffee/start" => Answer::Json(start.0, start.1.into()),
            other => Answer::Json(500, format!("{{\"message\":\"not expected: {other}\"}}")),
        }
    })
}

#[test]
fn streams_are_kept_apart_and_the_status_is_the_process_s() {
    let directory = testkit::directory();
    let server = server(&directory, (204, ""), 3);
    let got = outcome(&server.host(), &["run", "--rm", "busybox", "sh", "-c", "exit 3"]);
    assert_eq!(
        (got.status, got.stdout.as_str(), got.stderr.as_str()),
        (3, "out\nmore\n", "WARNING: careful\nerr\n")
    );
    let lines: Vec<String> =
        server.asked().into_iter().map(|asked| asked.line).filter(|line| line != "stdin").collect();
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert_eq!(lines[0], "POST /containers/create");
    assert!(
        lines[1..3].iter().any(|line| line == "POST /containers/c0ffee/wait?condition=removed"),
        "{lines:?}"
    );
    assert_eq!(lines[3], "POST /containers/c0ffee/start", "the start comes when attach and wait stand");
}

#[test]
fn stdin_goes_in_and_its_end_is_told() {
    let directory = testkit::directory();
    let server = server(&directory, (204, ""), 0);
    let mut child = docker(&server.host(), &["run", "-i", "busybox", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"typed").unwrap();
    assert!(child.wait().unwrap().success());
    let stdin = server.asked().into_iter().find(|asked| asked.line == "stdin").expect("stdin ended");
    assert_eq!(stdin.body, "typed");
}

#[test]
fn a_failed_start_has_dockers_status() {
    for (message, status) in [
        (r#"{"message":"exec: \"nosuch\": executable file not found in $PATH"}"#, 127),
        (r#"{"message":"exec: \"/bin\": permission denied"}"#, 126),
        (r#"{"message":"no more of it"}"#, 125),
    ] {
        let directory = testkit::directory();
        let server = server(&directory, (400, message), 127);
        let got = outcome(&server.host(), &["run", "--rm", "busybox", "nosuch"]);
        assert_eq!(got.status, status, "{message}");
        assert!(got.stderr.contains("docker: Error response from daemon: "), "{}", got.stderr);
        assert!(got.stderr.ends_with("\n\nRun 'docker run --help' for more information\n"), "{}", got.stderr);
    }
}

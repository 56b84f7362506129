//! The door itself: bad and unusual HTTP, and connections that stop being HTTP.

mod common;

use common::Fixture;

#[tokio::test(flavor = "multi_thread")]
async fn a_half_closed_client_gets_its_answer() {
    let fixture = Fixture::new().await;
    let answer = fixture.raw(b"GET /_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", true).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nOK"), "{answer}");
    let answer = answer.to_lowercase();
    for header in [
        "api-version: 1.55",
        "ostype: linux",
        "docker-experimental: false",
        "server: docker/29.0.0-test (linux)",
    ] {
        assert!(answer.contains(header), "{header} in {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_answered_in_order() {
    let fixture = Fixture::new().await;
    let one = "GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n".repeat(3);
    let requests = format!("{one}GET /nope HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let answer = fixture.raw(requests.as_bytes(), false).await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 3, "{answer}");
    assert!(
        answer.contains("HTTP/1.1 404") && answer.ends_with("{\"message\":\"page not found\"}\n"),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_refused_in_docker_s_words() {
    let fixture = Fixture::new().await;
    let post = |path: &str, kind: &str, body: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let json = "application/json";
    for (request, status, text) in [
        (post("/containers/create", json, "{bad"), 400, "invalid JSON: "),
        (post("/containers/create", json, ""), 400, "invalid JSON: got EOF while reading request body"),
        (post("/containers/create", json, "{} {}"), 400, "unexpected content after JSON"),
        (
            post("/containers/create", json, "{}"),
            400,
            "config cannot be empty in order to create a container",
        ),
        (
            post("/containers/create", "text/plain", "{}"),
            400,
            "unsupported Content-Type header (text/plain): must be 'application/json'",
        ),
        (post("/containers/create", json, r#"{"Tty":"yes"}"#), 400, "invalid JSON: Tty: "),
        (post("/containers/create", json, r#"{"Image":"nope"}"#), 404, "No such image: nope:latest"),
        (post("/build", json, ""), 501, "POST /build is not supported yet"),
        (post("/containers/x/wait?condition=never", json, ""), 400, "invalid condition: \\\"never\\\""),
        (get("/v1.99/info"), 400, "client version 1.99 is too new. Maximum supported API version is 1.55"),
        (get("/v1.10/info"), 400, "client version 1.10 is too old. Minimum supported API version is 1.24"),
        (get("/containers/nope/json"), 404, "No such container: nope"),
        (get("/containers/nope/logs"), 400, "must specify at least one of 'stdout' or 'stderr'"),
        (get("/containers/json?filters=x"), 400, "invalid filter"),
        (get("/containers/json?limit=x"), 400, "invalid syntax"),
        (get("/events?since=x"), 400, "invalid value for 'since'"),
        (get("/plugins/privileges?remote=x"), 501, "GET /plugins/privileges is not supported yet"),
        (get("/services"), 503, "This node is not a swarm manager."),
    ] {
        let answer = fixture.raw(request.as_bytes(), false).await;
        let line = request.lines().next().unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{line}: {answer}");
        assert!(answer.contains(text), "{line}: {answer}");
    }
    let giant = format!("GET /_ping HTTP/1.1\r\nHost: x\r\nX-Big: {}\r\n\r\n", "a".repeat(2 << 20));
    // The server may answer and close before it has been sent to the end.
    let stream = tokio::net::UnixStream::connect(fixture.socket()).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    tokio::spawn(async move {
        let _ = tokio::io::AsyncWriteExt::write_all(&mut write, giant.as_bytes()).await;
    });
    let mut answer = vec![0; 64];
    let length = tokio::io::AsyncReadExt::read(&mut read, &mut answer).await.unwrap();
    assert!(answer[..length].starts_with(b"HTTP/1.1 431 "), "{}", String::from_utf8_lossy(&answer));
}

async fn container(fixture: &Fixture) -> String {
    fixture.image("base").await;
    let request = api::container::CreateRequest {
        config: api::container::ContainerConfig {
            image: "base".into(),
            cmd: vec!["/echo".into()],
            open_stdin: true,
            attach_stdin: true,
            attach_stdout: true,
            ..Default::default()
        },
        ..Default::default()
    };
    fixture.client.containers().create("con", "", &request).await.unwrap().id
}

#[tokio::test(flavor = "multi_thread")]
async fn attach_start_and_wait_end_to_end() {
    let fixture = Fixture::new().await;
    let id = container(&fixture).await;
    let containers = fixture.client.containers();
    let what = client::Attach { stream: true, stdin: true, stdout: true, ..Default::default() };
    let hijacked = containers.attach(&id, &what).await.unwrap();
    assert!(hijacked.is_multiplexed());
    let wait = containers.wait("con", &"next-exit".into()).await.unwrap();
    containers.start(&id, "").await.unwrap();
    let (leftover, read, mut write) = hijacked.into_split();
    tokio::io::AsyncWriteExt::write_all(&mut write, b"hello").await.unwrap();
    tokio::io::AsyncWriteExt::shutdown(&mut write).await.unwrap();
    let mut frames = client::Demultiplexer::new(read, &leftover);
    let (kind, bytes) = frames.next().await.unwrap().unwrap();
    assert_eq!((kind, bytes), (client::FrameKind::Stdout, &b"hello"[..]));
    assert_eq!(wait.answer().await.unwrap().status_code, 7);
    containers.remove("con", client::Remove { force: true, ..Default::default() }).await.unwrap();
    assert!(containers.inspect("con", false).await.unwrap_err().is_not_found());
}

#[tokio::test(flavor = "multi_thread")]
async fn hijacks_with_leftover_bytes_and_without_upgrade() {
    let fixture = Fixture::new().await;
    let id = container(&fixture).await;
    fixture.client.containers().start(&id, "").await.unwrap();
    for (headers, head) in [
        ("Connection: Upgrade\r\nUpgrade: tcp\r\n", "HTTP/1.1 101 "),
        ("", "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n"),
    ] {
        let request = api::exec::ExecCreateRequest {
            attach_stdin: true,
            attach_stdout: true,
            cmd: vec!["echo".into()],
            ..Default::default()
        };
        let exec = fixture.client.containers().exec(&id, &request).await.unwrap();
        let body = "{\"Detach\":false,\"Tty\":false}";
        let request = format!(
            "POST /v1.30/exec/{exec}/start HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{headers}Content-Length: {}\r\n\r\n{body}first ",
            body.len()
        );
        let answer = fixture.raw(format!("{request}second").as_bytes(), true).await;
        assert!(answer.starts_with(head), "{headers}: {answer}");
        assert!(answer.ends_with("first second"), "{headers}: {answer}");
        // The exit is recorded a moment after the stream has ended.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        loop {
            let view = fixture.client.execs().inspect(&exec).await.unwrap();
            if view.exit_code == Some(7) {
                break;
            }
            assert!(std::time::Instant::now() < deadline, "{view:?}");
            tokio::task::yield_now().await;
        }
    }
}

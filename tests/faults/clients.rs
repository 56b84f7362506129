//! Clients that are killed, or close their connection, in the middle of everything that streams. The engine forgets
//! them; what they had begun is whole or not there; what runs goes on.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Stdio};

use super::{Private, names, until};

/// A client with pipes that nobody reads and somebody may write.
fn spawn(private: &Private, args: &[&str]) -> Child {
    let mut client = private.engine.client("wharf");
    client.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

fn end(mut client: Child) {
    client.kill().unwrap();
    client.wait().unwrap();
}

fn descriptors(private: &Private) -> usize {
    names(Path::new(&format!("/proc/{}/fd", private.engine.pid().unwrap()))).len()
}

/// The engine has let go of all that its clients held.
fn settled(private: &Private, before: usize, what: &str) {
    let mut now = 0;
    until(&format!("{what}: descriptors are closed"), || {
        now = descriptors(private);
        // The pool of prepared networks fills up in between.
        now <= before + 6
    });
}

/// Sends a request by hand and goes on with the connection.
fn request(private: &Private, line: &str, headers: &str) -> UnixStream {
    let mut socket = UnixStream::connect(private.engine.socket()).unwrap();
    write!(socket, "{line} HTTP/1.1\r\nHost: x\r\n{headers}\r\n").unwrap();
    socket
}

fn answered(socket: &mut UnixStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && socket.read(&mut byte).unwrap() == 1 {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}

#[test]
fn killed_in_streams_from_a_container() {
    let private = Private::start();
    let flood = "while :; do echo flood flood flood flood flood flood flood; done";
    private.ok(&["run", "-d", "-i", "--name", "cc", "--log-opt", "max-size=1m", "bb", "sh", "-c", flood]);
    private.ok(&["run", "-d", "--name", "quiet", "bb", "sh", "-c", "echo hi; sleep 1000"]);
    let before = descriptors(&private);
    for args in [
        &["attach", "cc"][..],
        &["attach", "--no-stdin", "quiet"],
        &["logs", "-f", "cc"],
        &["logs", "-f", "quiet"],
        &["exec", "-i", "cc", "sh", "-c", flood],
        &["exec", "-i", "quiet", "cat"],
        &["events"],
        &["wait", "quiet"],
    ] {
        // Some of them are stopped first, so that the engine and the monitors have more to say than anyone takes.
        let clients: Vec<Child> = (0..4).map(|_| spawn(&private, args)).collect();
        until("they are served", || {
            descriptors(&private) > before || args[0] == "attach" || args[0] == "exec"
        });
        clients.into_iter().for_each(end);
    }
    settled(&private, before, "streams");
    assert_eq!((private.status("cc").as_str(), private.status("quiet").as_str()), ("running", "running"));
    // The execs of the killed clients had an input that ended, or nobody to write to: none stays.
    until("no exec stays", || {
        private.ok(&["exec", "quiet", "sh", "-c", "ps | grep -c ' cat$' || true"]) == "0"
    });
    for name in ["cc", "quiet"] {
        assert_eq!(private.ok(&["exec", name, "echo", "in"]), "in");
    }
    private.ok(&["rm", "-f", "cc", "quiet"]);
    private.clean("after killed clients");
}

#[test]
fn killed_while_it_feeds_an_archive() {
    let private = Private::start();
    let saved = private.directory.path().join("saved.tar");
    private.ok(&["save", "-o", saved.to_str().unwrap(), "bb"]);
    let (archive, rootfs) = (
        std::fs::read(&saved).unwrap(),
        std::fs::read(private.directory.path().join("busybox.tar")).unwrap(),
    );
    private.ok(&["tag", "bb", "keep"]);
    let stored = || {
        let places =
            ["content/blobs/sha256", "content/ingest", "snapshots/overlay/layers", "snapshots/overlay/tmp"];
        places.map(|place| names(&private.data().join(place)))
    };
    let (before, descriptors_before) = (stored(), descriptors(&private));
    for (args, bytes) in [(&["import", "-", "half"][..], &rootfs), (&["load"], &archive)] {
        for part in [1, bytes.len() / 2, bytes.len() - 600] {
            let mut client = spawn(&private, args);
            client.stdin.as_mut().unwrap().write_all(&bytes[..part]).unwrap();
            until("the engine has begun", || {
                part == 1 || !names(&private.data().join("content/ingest")).is_empty() || stored() != before
            });
            end(client);
            until("nothing half-made is left", || stored() == before);
        }
    }
    // By hand: a body that stops in the middle of a chunk, or is shorter than it said.
    for headers in ["Transfer-Encoding: chunked\r\n", "Content-Length: 100000\r\n"] {
        for line in ["POST /images/create?fromSrc=-&repo=half", "POST /images/load"] {
            let mut socket = request(&private, line, headers);
            socket.write_all(b"10000\r\nabcdefgh").unwrap();
            socket.shutdown(Shutdown::Write).unwrap();
            let head = answered(&mut socket);
            // Whole requests only are acknowledged. (The load of a stream begins before its end is known.)
            assert!(
                !head.starts_with("HTTP/1.1 200") || line.ends_with("load") || head.is_empty(),
                "{line}: {head}"
            );
            drop(socket);
            until("nothing half-made is left", || stored() == before);
        }
    }
    assert!(private.ok(&["images", "-q", "half"]).is_empty());
    // And one that stops taking what it asked for.
    let client = spawn(&private, &["save", "bb"]);
    until("it is served", || descriptors(&private) > descriptors_before);
    end(client);
    let mut socket = request(&private, "GET /images/bb/get", "");
    assert!(answered(&mut socket).starts_with("HTTP/1.1 200"));
    drop(socket);
    settled(&private, descriptors_before, "archives");
    assert_eq!(private.ok(&["run", "--rm", "keep", "echo", "fine"]), "fine");
}

#[test]
fn killed_while_its_container_starts() {
    let private = Private::start();
    let before = descriptors(&private);
    for pause_ms in [0, 2, 4, 8, 12, 16, 24, 32] {
        for args in [&["run", "--rm", "bb", "sleep", "1"][..], &["run", "--rm", "-i", "bb", "cat"]] {
            let client = spawn(&private, args);
            // Not to wait for anything: to be killed at different points.
            std::thread::sleep(std::time::Duration::from_millis(pause_ms));
            end(client);
        }
    }
    // One that was created and never started is the client's own; all that were started have ended, and are removed.
    until("all that ran have ended", || {
        private.ok(&["ps", "-a", "--format", "{{.State}}"]).lines().all(|state| state == "created")
    });
    for id in private.ok(&["ps", "-aq"]).lines() {
        private.ok(&["rm", id]);
    }
    settled(&private, before, "runs");
    private.clean("after killed clients");
}

#[test]
fn half_closed_and_silent_connections_hold_nobody_up() {
    let private = Private::start();
    private.ok(&["run", "-d", "-i", "--name", "cc", "bb", "cat"]);
    let before = descriptors(&private);
    let upgrade = "Connection: Upgrade\r\nUpgrade: tcp\r\n";
    let silent: Vec<UnixStream> = (0..20)
        .flat_map(|_| {
            let dumb = UnixStream::connect(private.engine.socket()).unwrap();
            let mut half = UnixStream::connect(private.engine.socket()).unwrap();
            half.write_all(b"GET /_ping HT").unwrap();
            half.shutdown(Shutdown::Write).unwrap();
            let attached = request(&private, "POST /containers/cc/attach?stream=1&stdin=1&stdout=1", upgrade);
            [dumb, half, attached]
        })
        .collect();
    assert_eq!(private.ok(&["exec", "cc", "echo", "in"]), "in");
    let mut typist = request(&private, "POST /containers/cc/attach?stream=1&stdin=1&stdout=1", upgrade);
    assert!(answered(&mut typist).starts_with("HTTP/1.1 101"));
    typist.write_all(b"typed\n").unwrap();
    let mut frame = [0; 14];
    typist.read_exact(&mut frame).unwrap();
    assert_eq!(&frame[8..], b"typed\n");
    // Half-closed: it has said all it wants to say and still listens until it is let go.
    typist.shutdown(Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    typist.read_to_end(&mut rest).unwrap();
    drop(silent);
    settled(&private, before, "connections");
    assert_eq!(private.status("cc"), "running");
    private.ok(&["rm", "-f", "cc"]);
}

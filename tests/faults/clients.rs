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
    private.ok(&["run", "-d", "-i", "--name", "deaf", "bb", "sleep", "1000"]);
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
        &["stats"],
        &["stats", "cc", "quiet"],
    ] {
        // Some of them are stopped first, so that the engine and the monitors have more to say than anyone takes.
        let clients: Vec<Child> = (0..4).map(|_| spawn(&private, args)).collect();
        until("they are served", || {
            descriptors(&private) > before || args[0] == "attach" || args[0] == "exec"
        });
        clients.into_iter().for_each(end);
    }
    settled(&private, before, "streams");
    // By WebSocket, and as HTTP/1.0's successors did before there was an upgrade; some say more than a container takes.
    for (name, said) in [("cc", 0), ("quiet", 0), ("deaf", 4 << 20)] {
        let sockets: Vec<UnixStream> = (0..4)
            .flat_map(|_| {
                let mut web = request(
                    &private,
                    &format!("GET /containers/{name}/attach/ws?stream=1&stdin=1&stdout=1"),
                    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
                );
                assert!(answered(&mut web).starts_with("HTTP/1.1 101"));
                let attach = format!("POST /containers/{name}/attach?stream=1&stdin=1&stdout=1");
                let mut chunked = request(&private, "GET /_ping", "");
                assert!(answered(&mut chunked).starts_with("HTTP/1.1 200"));
                chunked.read_exact(&mut [0; 2]).unwrap();
                // Not the first request of its connection: it is relayed.
                write!(chunked, "{attach} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
                    .unwrap();
                assert!(answered(&mut chunked).starts_with("HTTP/1.1 200"));
                [web, chunked]
            })
            .collect();
        if said > 0 {
            for (at, socket) in sockets.iter().enumerate() {
                socket.set_nonblocking(true).unwrap();
                let head: &[u8] = match at % 2 {
                    // A masked frame of 4 GiB.
                    0 => &[0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4],
                    _ => b"10000000\r\n",
                };
                let said = [head, &vec![b'x'; said]].concat();
                // As much as there is room for.
                assert!((&*socket).write(&said).unwrap() > 0);
            }
        }
        drop(sockets);
        settled(&private, before, &format!("relayed streams of {name}"));
    }
    assert_eq!((private.status("cc").as_str(), private.status("quiet").as_str()), ("running", "running"));
    // The execs of the killed clients had an input that ended, or nobody to write to: none stays.
    until("no exec stays", || {
        private.ok(&["exec", "quiet", "sh", "-c", "ps | grep -c ' cat$' || true"]) == "0"
    });
    for name in ["cc", "quiet"] {
        assert_eq!(private.ok(&["exec", name, "echo", "in"]), "in");
    }
    private.ok(&["rm", "-f", "cc", "quiet", "deaf"]);
    private.clean("after killed clients");
}

/// Beside the one in front, who waits until all are there.
#[test]
fn of_many_clients_each_sees_every_byte_and_none_waits_for_one_that_does_not_read() {
    const BYTES: u64 = 32 << 20;
    let private = Private::start();
    let script = format!(
        "until [ -e /go ]; do echo .; sleep 0.05; done; head -c {BYTES} /dev/zero | tr '\\0' x; exit 3"
    );
    let mut front = private.engine.client("wharf");
    front.args(["run", "--name", "many", "bb", "sh", "-c", &script]).stdout(Stdio::piped());
    let front = front.spawn().unwrap();
    until("it runs", || private.exists("many") && private.status("many") == "running");
    let attach = |args: &[&str]| spawn(&private, args);
    let mut clients: Vec<Child> = (0..3).map(|_| attach(&["attach", "--no-stdin", "many"])).collect();
    clients.extend((0..2).map(|_| attach(&["logs", "-f", "many"])));
    clients.push(front);
    let upgrade = "Connection: Upgrade\r\nUpgrade: tcp\r\n";
    let mute: Vec<UnixStream> = (0..3)
        .map(|_| {
            let mut socket = request(&private, "POST /containers/many/attach?stream=1&stdout=1", upgrade);
            assert!(answered(&mut socket).starts_with("HTTP/1.1 101"));
            socket
        })
        .collect();
    // Whoever has seen a dot is there.
    let outputs: Vec<_> = clients
        .iter_mut()
        .map(|client| {
            let mut output = client.stdout.take().unwrap();
            let mut dot = [0];
            output.read_exact(&mut dot).unwrap();
            assert_eq!(&dot, b".");
            output
        })
        .collect();
    for socket in &mute {
        (&*socket).read_exact(&mut [0; 9]).unwrap();
    }
    let monitor = super::parent(private.pid("many"));
    private.ok(&["exec", "many", "touch", "/go"]);
    std::thread::scope(|scope| {
        for (number, mut output) in outputs.into_iter().enumerate() {
            scope.spawn(move || {
                let (mut piece, mut seen) = (vec![0; 1 << 20], 0);
                loop {
                    match output.read(&mut piece).unwrap() {
                        0 => break,
                        count => seen += piece[..count].iter().filter(|&&b| b == b'x').count() as u64,
                    }
                }
                assert_eq!(seen, BYTES, "client {number}");
            });
        }
    });
    for (number, client) in clients.iter_mut().enumerate() {
        let code = client.wait().unwrap().code();
        // `logs` has no status of the container's.
        assert_eq!(code, Some(if number == 3 || number == 4 { 0 } else { 3 }), "client {number}");
    }
    assert_eq!(private.ok(&["wait", "many"]), "3");
    // Those that never read are all that is left of it.
    if super::runs(monitor) {
        assert!(super::hostile::peak_kib(monitor) < 24 << 10, "{} KiB", super::hostile::peak_kib(monitor));
    }
    drop(mute);
    until("the monitor ends with its clients", || !super::runs(monitor));
    private.ok(&["rm", "many"]);
    private.clean("after many clients");
}

/// Who is in front is the reader of a pipe: slow or not, it misses nothing.
#[test]
fn a_gigabyte_without_a_newline_to_the_one_in_front() {
    const BYTES: u64 = 1 << 30;
    let private = Private::start();
    let mut client = private.engine.client("wharf");
    let line = format!("head -c {BYTES} /dev/zero | tr '\\0' x");
    client.args(["run", "--name", "giga", "bb", "sh", "-c", &line]).stdout(Stdio::piped());
    let mut client = client.spawn().unwrap();
    let mut output = client.stdout.take().unwrap();
    let mut piece = vec![0; 1 << 20];
    let mut seen = output.read(&mut piece).unwrap() as u64;
    let monitor = super::parent(private.pid("giga"));
    // Longer than anybody is waited for who only looks on.
    std::thread::sleep(std::time::Duration::from_secs(3));
    let peak = super::hostile::peak_kib(monitor);
    while let count @ 1.. = output.read(&mut piece).unwrap() {
        assert!(piece[..count].iter().all(|&b| b == b'x'));
        seen += count as u64;
    }
    assert_eq!((seen, client.wait().unwrap().code()), (BYTES, Some(0)));
    assert!(peak < 16 << 10, "the monitor had {peak} KiB");
    // What is kept of it is capped.
    assert!(private.ok(&["logs", "--tail", "1", "giga"]).len() > 1000);
    private.ok(&["rm", "giga"]);
    private.clean("after a gigabyte");
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
    // All that were started end, and are removed. One that was created and never started is the client's own; its start may
    // still be on its way.
    until("all that ran have ended, and the others are removed", || {
        let list = private.ok(&["ps", "-a", "--format", "{{.ID}} {{.State}}"]);
        for id in list.lines().filter_map(|line| line.strip_suffix(" created")) {
            private.engine.wharf(&["rm", id]);
        }
        list.is_empty()
    });
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

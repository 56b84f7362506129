//! `-H tcp://name`: the name's address is in `/etc/hosts`, or known to the servers of `/etc/resolv.conf`.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, UdpSocket};
use std::process::Command;

use testkit::Output;

/// A server of names: `engine.test` is 127.0.0.1, and there is no other.
fn server() -> String {
    let pid = std::process::id();
    let address = format!("127.{}.{}.53", pid >> 8 & 0xff, pid & 0xff);
    let socket = UdpSocket::bind((address.as_str(), 53)).expect("the port of name servers");
    std::thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((length, client)) = socket.recv_from(&mut query) {
            let known = query[12..length].starts_with(b"\x06engine\x04test\0");
            let question = 12 + query[12..length].iter().position(|b| *b == 0).expect("a name's end") + 5;
            // Type A, RFC 1035 3.2.2. Of other types it has none.
            let answers = u8::from(known && query[question - 3] == 1);
            let mut reply = query[..2].to_vec();
            reply.extend([0x81, if known { 0x80 } else { 0x83 }, 0, 1, 0, answers, 0, 0, 0, 0]);
            reply.extend(&query[12..question]);
            if answers == 1 {
                reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1]);
            }
            socket.send_to(&reply, client).expect("answer");
        }
    });
    address
}

/// The client on a machine with these files.
fn client(hosts: &str, resolv_conf: &str, host: &str) -> Output {
    let directory = testkit::directory();
    let put = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let script = "mount --bind \"$1\" /etc/hosts; mount --bind \"$2\" /etc/resolv.conf; shift 2; exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-ec", script, "sh"]);
    command.args([put("hosts", hosts), put("resolv.conf", resolv_conf)]);
    command.args([env!("CARGO_BIN_EXE_wharf"), "-H", host, "version"]);
    Output::of(command.env("DOCKER_CONFIG", "/nonexistent"))
}

#[test]
fn names_of_hosts_become_addresses() {
    let nameserver = format!("nameserver {}\noptions timeout:2 attempts:1\n", server());
    let engine = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = engine.local_addr().unwrap().port();
    for (hosts, name) in [("127.0.0.1 listed.test\n", "listed.test"), ("", "engine.test")] {
        let host = format!("tcp://{name}:{port}");
        let heard = std::thread::scope(|scope| {
            let accepted = scope.spawn(|| {
                let (stream, _) = engine.accept().unwrap();
                let lines = BufReader::new(&stream).lines().map_while(Result::ok);
                lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>()
            });
            let got = client(hosts, &nameserver, &host);
            assert_eq!(got.status, 1, "{got:?}");
            accepted.join().unwrap()
        });
        let wanted = format!("host: {name}:{port}");
        assert!(heard.iter().any(|line| line.to_lowercase() == wanted), "{heard:?}");
    }
    let got = client("", &nameserver, &format!("tcp://nosuch.test:{port}"));
    assert_eq!(got.status, 1, "{got:?}");
    assert!(got.stderr.contains("lookup nosuch.test: no such host"), "{got:?}");
}

//! Servers that are dead, slow, lying, or say too much, behind the resolver of an engine: what containers hear then.

use std::io::{Read, Write};
use std::net::{TcpListener, UdpSocket};
use std::time::{Duration, Instant};

use crate::dns::{self, A, NO_ERROR, SERVER_FAILURE, ask, ask_tcp};
use crate::land::{Home, Land};

/// Clients ask again after five seconds; a loaded machine may take a little longer.
const CLIENTS_WAIT: Duration = Duration::from_secs(7);
/// So many addresses do not fit into what a client takes over UDP that does not say more.
const MANY: u8 = 100;

/// An answer with many addresses.
fn long(question: &[u8]) -> Vec<u8> {
    let mut bytes = dns::answer(question, [10, 7, 0, 0].into());
    let record = bytes[question.len()..].to_vec();
    for last in 1..MANY {
        bytes.extend(&record[..record.len() - 1]);
        bytes.push(last);
    }
    bytes[7] = MANY;
    bytes
}

/// What the server says to a question over UDP, packet by packet, each after a pause.
fn says(question: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let truth = || dns::answer(question, [10, 7, 7, 7].into());
    let lie = || dns::answer(question, [66, 66, 66, 66].into());
    let label = &question[13..13 + usize::from(question[12])];
    match label {
        b"dead" => Vec::new(),
        b"slow" => vec![(1500, truth())],
        b"lying" => {
            let mut other_id = lie();
            other_id[0] ^= 1;
            let mut other_name = lie();
            other_name[13] = b'x';
            let mut other_kind = lie();
            let kind = question.len() - 3;
            other_kind[kind] = 28;
            // A name that points at itself, and a length that leads out of the packet.
            let mut circle = lie();
            circle[12..14].copy_from_slice(&[0xc0, 12]);
            let mut beyond = lie();
            let length = beyond.len() - 5;
            beyond[length] = 255;
            let question_back = question.to_vec();
            [
                other_id,
                other_name,
                other_kind,
                circle,
                beyond,
                question_back,
                b"nonsense".to_vec(),
                Vec::new(),
                truth(),
            ]
            .into_iter()
            .map(|packet| (0, packet))
            .collect()
        }
        b"long" | b"cut" | b"huge" => vec![(0, long(question))],
        _ => vec![(0, truth())],
    }
}

/// The server, over UDP and TCP, at this address of a process's network namespace.
fn hostile(pid: u32, at: &str) {
    let (udp_at, tcp_at) = (at.to_owned(), at.to_owned());
    let udp = dns::inside(pid, move || UdpSocket::bind(udp_at).expect("bind"));
    let tcp = dns::inside(pid, move || TcpListener::bind(tcp_at).expect("bind"));
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, client)) = udp.recv_from(&mut buffer) {
            let (question, socket) = (buffer[..length].to_vec(), udp.try_clone().expect("copy"));
            std::thread::spawn(move || {
                for (pause_ms, packet) in says(&question) {
                    std::thread::sleep(Duration::from_millis(pause_ms));
                    let _ = socket.send_to(&packet, client);
                }
            });
        }
    });
    std::thread::spawn(move || {
        for stream in tcp.incoming() {
            let Ok(mut stream) = stream else { return };
            std::thread::spawn(move || {
                let mut length = [0; 2];
                stream.read_exact(&mut length)?;
                let mut question = vec![0; u16::from_be_bytes(length).into()];
                stream.read_exact(&mut question)?;
                let answer = match &question[13..16] {
                    // It says that more comes, and goes.
                    b"cut" => return stream.write_all(&[&[255, 255][..], &question].concat()),
                    // As much as can be said, and none of it makes sense.
                    b"hug" => {
                        [&question[..2], &[0x81, 0x80, 255, 255, 255, 255][..], &[0xc0; 65_527]].concat()
                    }
                    b"dea" => return stream.read_exact(&mut length),
                    _ => long(&question),
                };
                let length = u16::try_from(answer.len()).unwrap_or(u16::MAX);
                stream.write_all(&[&length.to_be_bytes()[..], &answer[..length.into()]].concat())
            });
        }
    });
}

/// One that says the same to everything.
fn good(pid: u32, at: &str, address: [u8; 4]) {
    let at = at.to_owned();
    let server = dns::inside(pid, move || UdpSocket::bind(at).expect("bind"));
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, client)) = server.recv_from(&mut buffer) {
            let _ = server.send_to(&dns::answer(&buffer[..length], address.into()), client);
        }
    });
}

/// More at once than may wait of one container, about what nobody answers: each hears something.
fn burst(pid: u32) {
    // So many find room in a socket's queue; then one that needs not wait says that they were taken out.
    const AT_ONCE: usize = 50;
    const QUESTIONS: usize = 6 * AT_ONCE;
    let (question, local) = (dns::question("dead.burst.test", A), dns::question("web", A));
    dns::inside(pid, move || {
        let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
        socket.set_read_timeout(Some(CLIENTS_WAIT)).expect("set a time-out");
        socket.connect(dns::SERVER).expect("connect");
        let mut buffer = [0; 512];
        let mut heard = 0;
        for sent in 1..=QUESTIONS {
            socket.send(&question).expect("ask");
            if sent % AT_ONCE == 0 {
                socket.send(&local).expect("ask");
                socket.recv(&mut buffer).expect("an answer");
                heard += 1;
            }
        }
        for _ in heard..QUESTIONS + QUESTIONS / AT_ONCE {
            socket.recv(&mut buffer).expect("an answer");
        }
    });
}

/// Everything that can be heard of that server, by a process of a container.
fn hear_it_all(pid: u32) {
    let truth = ["10.7.7.7"].map(str::to_owned);
    assert_eq!(ask(pid, "good.test", A).data, truth);
    assert_eq!(ask(pid, "lying.test", A).data, truth, "no lie is believed, and none is an answer");
    assert_eq!(ask(pid, "lying.test", A).data, truth, "nor kept");
    assert_eq!(ask(pid, "slow.test", A).data, truth);
    let begun = Instant::now();
    assert_eq!(ask(pid, "dead.test", A).code, SERVER_FAILURE);
    assert!(begun.elapsed() < CLIENTS_WAIT, "{:?}", begun.elapsed());
    let cut = ask(pid, "long.test", A);
    assert!(cut.is_cut && cut.code == NO_ERROR, "it says that there is more: {cut:?}");
    assert_eq!(ask_tcp(pid, "long.test", A).data.len(), usize::from(MANY), "and there is");
    for name in ["cut.test", "huge.test"] {
        let begun = Instant::now();
        assert_eq!(ask_tcp(pid, name, A).code, SERVER_FAILURE, "{name}");
        assert!(begun.elapsed() < CLIENTS_WAIT, "{name}: {:?}", begun.elapsed());
    }
}

#[test]
fn whatever_servers_do_containers_hear_in_time() {
    let directory = testkit::directory();
    let path = directory.path().join("resolv.conf");
    std::fs::write(&path, "nameserver 127.0.0.2\n").unwrap();
    let prefix =
        format!("unshare -m sh -ec 'mount --bind {} /etc/resolv.conf; exec \"$@\"' sh", path.display());
    let home = Home::through(Land::new(), &[], &prefix);
    hostile(home.host.pid(), "127.0.0.2:53");
    home.ok(&["network", "create", "one"]);
    let gateway = home.ok(&["network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", "one"]);
    let sleeper = |name: &str, flags: &[&str]| -> u32 {
        let words = [&["run", "-d", "--name", name, "--network", "one"], flags, &["bb", "sleep", "1000"]];
        home.ok(&words.concat());
        home.inspect(name, "{{.State.Pid}}").parse().expect("a number")
    };
    let web = sleeper("web", &[]);
    hear_it_all(web);
    burst(web);
    assert_eq!(ask(web, "good.later.test", A).data, ["10.7.7.7"], "those that had to wait are forgotten");
    // One that nobody is at, and one that is silent, before one that is good.
    std::fs::write(&path, "nameserver 127.0.0.9\nnameserver 127.0.0.2\nnameserver 127.0.0.3\n").unwrap();
    good(home.host.pid(), "127.0.0.3:53", [10, 8, 8, 8]);
    crate::until("the good one is asked, too", || ask(web, "dead.elsewhere.test", A).data == ["10.8.8.8"]);
    // One that is behind an interface.
    home.host.sh("ip -6 addr add fe80::99/64 dev lo nodad");
    good(home.host.pid(), "[fe80::99%1]:53", [10, 9, 9, 9]);
    std::fs::write(&path, "nameserver fe80::99%lo\n").unwrap();
    crate::until("that one is asked", || ask(web, "scoped.test", A).data == ["10.9.9.9"]);
    let seen = home.sh(&["--network", "one"], "grep ExtServers /etc/resolv.conf");
    assert_eq!(seen, "# ExtServers: [host(fe80::99%lo)]");
    // Who is told to ask here what is not known here is not sent in a circle.
    let circle = sleeper("circle", &["--dns", "127.0.0.11"]);
    let begun = Instant::now();
    assert_eq!(ask_tcp(circle, "good.test", A).code, SERVER_FAILURE);
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    // The same from a container's own namespace, of a server of its own.
    hostile(home.host.pid(), &format!("{gateway}:53"));
    let own = sleeper("own", &["--dns", &gateway]);
    hear_it_all(own);
    // Names of containers have waited for nobody, and are no worse for it.
    let begun = Instant::now();
    assert_eq!(ask(own, "web", A).data.len(), 1);
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}

#[test]
fn the_resolver_takes_its_address_along() {
    let mut home = Home::with(Land::new(), &[]);
    home.ok(&["network", "create", "one"]);
    home.ok(&["run", "-d", "--name", "web", "--network", "one", "bb", "sleep", "1000"]);
    let address = home.engine.directory().join("exec/resolver.sock");
    assert!(address.exists());
    home.engine.terminate();
    assert!(address.exists(), "a container runs: its names are found without an engine");
    home.engine.run();
    home.ok(&["rm", "-f", "web"]);
    home.engine.terminate();
    crate::until("it has ended", || !address.exists());
    // And nothing is in the way of the next.
    home.engine.run();
    home.ok(&["run", "--rm", "--network", "one", "bb", "true"]);
}

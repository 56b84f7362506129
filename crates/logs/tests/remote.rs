//! Drivers that send, against collectors of this process; the forwarder is a thread.

mod collectors;
mod common;

use std::io::Read;
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use collectors::{Place, accept, eventually, msgpack, pem, tls_accept, udp};
use common::at;
use logs::Stream;

#[test]
fn syslog_goes_over_udp_in_each_format() {
    for (format, expected) in [
        ("", "<28>Jan  1 00:00:01 abababababab[PID]: oops"),
        ("rfc3164", "<28>Jan  1 00:00:01 HOST abababababab[PID]: oops"),
        ("rfc5424", "<28>1 1970-01-01T00:00:01Z HOST abababababab PID abababababab - oops"),
        ("rfc5424micro", "<28>1 1970-01-01T00:00:01.000000Z HOST abababababab PID abababababab - oops"),
    ] {
        let (socket, port) = udp();
        let address = format!("udp://127.0.0.1:{port}");
        let place = Place::new("syslog", &[("syslog-address", &address), ("syslog-format", format)]);
        let mut writer = place.open().unwrap();
        writer.write(Stream::Stdout, b"\nx\n", at(1)).unwrap();
        writer.write(Stream::Stderr, b"oops\n", at(1)).unwrap();
        let mut buffer = [0; 2048];
        let mut next = || {
            let length = socket.recv(&mut buffer).unwrap();
            let host = rustix::system::uname().nodename().to_str().unwrap().to_owned();
            let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
            text.replace(&std::process::id().to_string(), "PID").replace(&host, "HOST")
        };
        // Empty lines are not sent, and output is information.
        assert!(next().starts_with("<30>"));
        assert_eq!(next(), format!("{}\n", expected.replace("<28>", "<27>")));
        assert_eq!(place.kept(), ["", "x", "oops"]);
    }
}

#[test]
fn syslog_goes_over_tcp_and_finds_a_collector_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    let options = [("syslog-address", address.as_str()), ("syslog-facility", "local3"), ("tag", "{{.Name}}")];
    let place = Place::new("syslog", &options);
    let mut writer = place.open().unwrap();
    let mut first = accept(&listener);
    writer.write(Stream::Stdout, b"one\n", at(1)).unwrap();
    let mut text = [0; 11];
    first.read_exact(&mut text).unwrap();
    assert_eq!(&text[..5], b"<158>");
    // It goes away and comes back; nothing is lost, since its going is seen.
    drop(first);
    writer.write(Stream::Stdout, b"two\n", at(2)).unwrap();
    let mut second = accept(&listener);
    writer.close().unwrap();
    let mut text = String::new();
    second.read_to_string(&mut text).unwrap();
    assert!(text.contains("name[") && text.ends_with("]: two\n"), "{text}");
}

#[test]
fn syslog_goes_over_tls_with_lengths() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp+tls://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let mut tls = tls_accept(&listener);
        let mut text = String::new();
        // The client just goes.
        let _ = tls.read_to_string(&mut text);
        text
    });
    let (ca, cert, key) = (pem("ca"), pem("client"), pem("client-key"));
    let options = [
        ("syslog-address", address.as_str()),
        ("syslog-format", "rfc5424"),
        ("syslog-tls-ca-cert", &ca),
        ("syslog-tls-cert", &cert),
        ("syslog-tls-key", &key),
    ];
    let place = Place::new("syslog", &options);
    let mut writer = place.open().unwrap();
    let long = "x".repeat(40_000);
    writer.write(Stream::Stdout, format!("secret {long}\n").as_bytes(), at(1)).unwrap();
    writer.close().unwrap();
    drop(writer);
    let text = server.join().unwrap();
    let (length, rest) = text.split_once(' ').unwrap();
    assert!(rest.starts_with("<30>1 ") && rest.contains("- secret xxx"), "{}", &rest[..100]);
    let next = &rest[length.parse::<usize>().unwrap()..];
    assert!(next.split_once(' ').unwrap().1.starts_with("<30>1 "), "{}", &next[..40]);
}

#[test]
fn a_collector_that_nobody_trusts_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp+tls://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || drop(tls_accept(&listener)));
    let place = Place::new("syslog", &[("syslog-address", &address)]);
    let error = place.open().unwrap_err().to_string();
    assert!(error.starts_with("failed to initialize logging driver: tls: "), "{error}");
}

#[test]
fn syslog_goes_to_unix_sockets() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log");
    let socket = UnixDatagram::bind(&path).unwrap();
    let place = Place::new("syslog", &[("syslog-address", &format!("unixgram://{}", path.display()))]);
    let mut writer = place.open().unwrap();
    writer.write(Stream::Stdout, b"hello\n", at(1)).unwrap();
    let mut buffer = [0; 1024];
    let length = socket.recv(&mut buffer).unwrap();
    assert!(buffer[..length].ends_with(b"]: hello\n"));
    // Started anew, the daemon has a new socket at the place.
    drop(socket);
    std::fs::remove_file(&path).unwrap();
    let socket = UnixDatagram::bind(&path).unwrap();
    writer.write(Stream::Stdout, b"again\n", at(1)).unwrap();
    let length = socket.recv(&mut buffer).unwrap();
    assert!(buffer[..length].ends_with(b"]: again\n"));
}

#[test]
fn a_dead_collector_is_told_at_the_start() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = format!("dial tcp {closed}: connect: connection refused");
    let tcp = format!("tcp://{closed}");
    for (driver, option, said) in [
        ("syslog", "syslog-address", refused.clone()),
        ("gelf", "gelf-address", format!("gelf: cannot connect to GELF endpoint: {closed} {refused}")),
        ("fluentd", "fluentd-address", refused.clone()),
    ] {
        let error = Place::new(driver, &[(option, &tcp)]).open().unwrap_err().to_string();
        assert_eq!(error, format!("failed to initialize logging driver: {said}"), "{driver}");
    }
}

#[test]
fn gelf_goes_over_udp_compressed_and_in_chunks() {
    for (kind, level) in [("gzip", "1"), ("zlib", "9"), ("none", "0")] {
        let (socket, port) = udp();
        let address = format!("udp://127.0.0.1:{port}");
        let options = [
            ("gelf-address", address.as_str()),
            ("gelf-compression-type", kind),
            ("gelf-compression-level", level),
            ("labels", "team"),
        ];
        let place = Place::new("gelf", &options);
        let mut writer = place.open().unwrap();
        // Not to be compressed much, so that there are several chunks.
        let long: String = (0..3000u32).map(|n| format!("{:08x}", n.wrapping_mul(2_654_435_761))).collect();
        writer.write(Stream::Stderr, format!("<{}>\n", &long[..15_000]).as_bytes(), at(1)).unwrap();
        let message = collectors::gelf(&socket);
        assert_eq!(message["short_message"].as_str().unwrap(), format!("<{}>", &long[..15_000]));
        assert_eq!((message["level"].as_i64(), message["timestamp"].as_f64()), (Some(3), Some(1.0)));
        assert_eq!(message["version"], "1.1");
        assert_eq!(message["_team"], "a b");
        assert_eq!(message["_command"], "sh -c");
        assert_eq!(message["_created"], "2026-01-01T00:00:00Z");
        assert_eq!(message["_tag"], "abababababab");
    }
}

#[test]
fn gelf_goes_over_tcp_with_zeros_and_finds_a_collector_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    let place = Place::new("gelf", &[("gelf-address", &address)]);
    let mut writer = place.open().unwrap();
    drop(accept(&listener));
    std::thread::sleep(Duration::from_millis(20));
    writer.write(Stream::Stdout, b"one\ntwo\n", at(1)).unwrap();
    let mut socket = accept(&listener);
    writer.close().unwrap();
    let mut text = String::new();
    socket.read_to_string(&mut text).unwrap();
    let messages: Vec<&str> = text.split_terminator('\0').collect();
    assert!(messages.len() == 2 && messages[1].contains("\"short_message\":\"two\""), "{text}");
}

#[test]
fn fluentd_gets_events_with_nanoseconds() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let options = [
        ("fluentd-address", address.as_str()),
        ("fluentd-sub-second-precision", "true"),
        ("env", "A"),
        ("tag", "docker.{{.Name}}"),
    ];
    let place = Place::new("fluentd", &options);
    let mut writer = place.open().unwrap();
    let mut socket = accept(&listener);
    let now = jiff::Timestamp::new(5, 7).unwrap();
    writer.write(Stream::Stderr, b"hi\n", now).unwrap();
    writer.close().unwrap();
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).unwrap();
    assert_eq!(
        msgpack(&bytes),
        format!(
            "[docker.name (5 7) {{source=stderr log=hi A=1 container_id={} container_name=/name}} {{}}]",
            common::id()
        )
    );
}

#[test]
fn fluentd_retries_until_it_is_acknowledged() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let options = [
        ("fluentd-address", address.as_str()),
        ("fluentd-request-ack", "true"),
        ("fluentd-retry-wait", "10ms"),
    ];
    let place = Place::new("fluentd", &options);
    let mut writer = place.open().unwrap();
    // Takes the event, and is gone before it says so.
    let mut first = accept(&listener);
    let long = "y".repeat(20_000);
    writer.write(Stream::Stdout, format!("{long}\nlast\n").as_bytes(), at(1)).unwrap();
    assert!(first.read(&mut [0; 100]).unwrap() > 0);
    drop(first);
    let mut second = accept(&listener);
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(collectors::acknowledge(&mut second));
    }
    assert!(seen[0].contains("partial_message=true") && seen[0].contains("partial_ordinal=1"), "{}", seen[0]);
    assert!(seen[1].contains("partial_last=true"));
    assert!(seen[2].contains("log=last "));
    writer.close().unwrap();
}

#[test]
fn fluentd_starts_without_a_collector_and_buffers() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let options = [
        ("fluentd-address", address.as_str()),
        ("fluentd-async", "true"),
        ("fluentd-retry-wait", "20ms"),
        ("fluentd-buffer-limit", "50"),
    ];
    let place = Place::new("fluentd", &options);
    let mut writer = place.open().unwrap();
    for n in 0..2000 {
        writer.write(Stream::Stdout, format!("line {n} {}\n", "z".repeat(1000)).as_bytes(), at(n)).unwrap();
        // The container is not held back for long: the forwarder takes all, and keeps what it may.
        assert!(eventually(|| {
            writer.idle().unwrap();
            !writer.holds_back()
        }));
    }
    let listener = TcpListener::bind(&address).unwrap();
    let mut socket = accept(&listener);
    writer.close().unwrap();
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    assert!(text.contains("line 0 ") && text.contains("line 10 "));
    // Of the rest, what came after the buffer had room again.
    assert!(!text.contains("line 900 "), "more than the limit was kept");
    assert_eq!(place.kept().len(), 2000);
}

#[test]
fn fluentd_goes_to_unix_sockets() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("fluent");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let place = Place::new("fluentd", &[("fluentd-address", &format!("unix://{}", path.display()))]);
    let mut writer = place.open().unwrap();
    let (mut socket, _) = listener.accept().unwrap();
    writer.write(Stream::Stdout, b"hi\n", at(9)).unwrap();
    writer.close().unwrap();
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).unwrap();
    assert!(msgpack(&bytes).starts_with("[abababababab 9 {source=stdout log=hi "));
}

/// Writes lines until no more is taken, and answers how many. The forwarder may only be slow: it gets time.
fn fill(writer: &mut dyn logs::LogWriter) -> u64 {
    let line = [&[b'x'; 8000][..], b"\n"].concat();
    let (mut written, mut held) = (0, 0);
    let full = eventually(|| {
        writer.idle().unwrap();
        held = if writer.holds_back() { held + 1 } else { 0 };
        while !writer.holds_back() {
            writer.write(Stream::Stdout, &line, at(1)).unwrap();
            written += 1;
        }
        held > 1000
    });
    assert!(full);
    written
}

#[test]
fn a_slow_collector_holds_the_container_back_or_costs_lines() {
    for (mode, holds) in [("blocking", true), ("non-blocking", false)] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("tcp://{}", listener.local_addr().unwrap());
        let mut options = vec![("syslog-address", address.as_str()), ("mode", mode)];
        if !holds {
            options.push(("max-buffer-size", "64k"));
        }
        let place = Place::new("syslog", &options);
        let mut writer = place.open().unwrap();
        let mut socket = accept(&listener);
        let line = format!("{}\n", "w".repeat(8000));
        // Nobody reads: sockets fill up. Non-blocking takes whatever comes.
        let written = if holds {
            fill(&mut *writer)
        } else {
            (0..8192).for_each(|_| writer.write(Stream::Stdout, line.as_bytes(), at(1)).unwrap());
            8192
        };
        assert_eq!(writer.holds_back(), holds);
        assert!(writer.waits_for().is_some());
        writer.close().unwrap();
        let mut bytes = Vec::new();
        socket.read_to_end(&mut bytes).unwrap();
        let came = bytes.iter().filter(|b| **b == b'\n').count() as u64;
        assert!(
            came > 0 && if holds { came == written } else { came < written },
            "{mode}: {came} of {written}"
        );
    }
}

#[test]
fn a_collector_that_stalls_is_given_up_after_the_end() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    let place = Place::new("gelf", &[("gelf-address", &address), ("cache-disabled", "true")]);
    let (ours, theirs) = logs::Pipe::pair().unwrap();
    let destination = place.destination.remote().unwrap().clone();
    let forwarder = std::thread::spawn(move || logs::forward(&destination, theirs));
    let mut writer = logs::open(&place.destination, |_| Ok(ours)).unwrap();
    let _stalled = accept(&listener);
    fill(&mut *writer);
    writer.close().unwrap();
    // Within Docker's ten seconds and a bit.
    let deadline = std::time::Instant::now() + Duration::from_secs(40);
    while !forwarder.is_finished() {
        assert!(std::time::Instant::now() < deadline, "the forwarder lives on");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_forwarder_that_is_killed_stalls_nobody() {
    let (socket, port) = udp();
    drop(socket);
    let address = format!("udp://127.0.0.1:{port}");
    let place = Place::new("syslog", &[("syslog-address", &address)]);
    let (ours, theirs) = logs::Pipe::pair().unwrap();
    // It connects, and is gone.
    rustix::io::write(theirs.descriptors()[0], &[0]).unwrap();
    drop(theirs);
    let mut writer = logs::open(&place.destination, |_| Ok(ours)).unwrap();
    for n in 0..100 {
        writer.write(Stream::Stdout, b"line\n", at(n)).unwrap();
        assert!(!writer.holds_back());
    }
    writer.close().unwrap();
    assert_eq!(place.kept().len(), 100);
}

#[test]
fn a_full_disk_of_the_cache_does_not_stop_sending() {
    let (socket, port) = udp();
    let address = format!("udp://127.0.0.1:{port}");
    let mut place = Place::new("syslog", &[("syslog-address", &address)]);
    place.destination =
        common::destination("syslog", &[("syslog-address", &address)], std::path::Path::new("/dev/full"));
    let mut writer = place.open().unwrap();
    let error = writer.write(Stream::Stdout, b"sent\n", at(1)).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    let mut buffer = [0; 100];
    let length = socket.recv(&mut buffer).unwrap();
    assert!(buffer[..length].ends_with(b"sent\n"));
}

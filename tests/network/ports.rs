//! Published ports: who reaches them, what is shown of them, and what happens when something is in the way.

use std::net::UdpSocket;
use std::time::Duration;

use crate::land::{Home, Land, linked};
use crate::respect::datagrams;

/// Says hello to everybody who connects to the port; until the host hears it.
fn server(home: &Home, name: &str, port: u16) {
    let line = format!("while :; do echo hello | nc -l -p {port}; done");
    home.ok(&["exec", "-d", name, "sh", "-c", &line]);
    let at = format!("{}:{port}", home.address(name));
    crate::until("the server listens", || home.host.hear(&at) == "hello");
}

/// Runs one that sleeps, with these options.
fn sleeper(home: &Home, name: &str, options: &[&str]) {
    home.ok(&[&["run", "-d", "--name", name], options, &["bb", "sleep", "1000"]].concat());
}

fn ports(home: &Home, name: &str) -> String {
    home.inspect(name, "{{json .NetworkSettings.Ports}}")
}

#[test]
fn a_published_port_is_reached_by_everybody() {
    let (host, world) = linked();
    let home = Home::with(host, &[]);
    sleeper(&home, "ca", &["-p", "8080:80"]);
    sleeper(&home, "cb", &["-p", "127.0.0.1:81:80"]);
    server(&home, "ca", 80);
    server(&home, "cb", 80);
    crate::until("the world hears it", || world.hear("10.99.0.1:8080") == "hello");
    for at in ["127.0.0.1:8080", "10.99.0.1:8080", "172.17.0.1:8080", "127.0.0.1:81"] {
        crate::until(at, || home.host.hear(at) == "hello");
    }
    for who in ["ca", "cb"] {
        for at in ["10.99.0.1:8080", "172.17.0.1:8080"] {
            crate::until(at, || home.hears(who, at));
        }
    }
    assert_eq!(world.hear("10.99.0.1:81"), "");
    assert_eq!(home.ok(&["port", "ca"]), "80/tcp -> 0.0.0.0:8080");
    assert_eq!(home.ok(&["port", "ca", "80"]), "0.0.0.0:8080");
    assert_eq!(home.ok(&["port", "ca", "--exposure"]), "80/tcp -> 0.0.0.0:8080 (everywhere)");
    assert_eq!(home.ok(&["port", "cb", "80/tcp", "--exposure"]), "127.0.0.1:81 (loopback)");
    assert_eq!(home.ok(&["ps", "--filter", "name=ca", "--format", "{{.Ports}}"]), "0.0.0.0:8080->80/tcp");
    assert_eq!(ports(&home, "ca"), r#"{"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8080"}]}"#);
    assert_eq!(
        home.inspect("ca", "{{json .HostConfig.PortBindings}}"),
        r#"{"80/tcp":[{"HostIp":"","HostPort":"8080"}]}"#
    );
    assert_eq!(home.ok(&["ps", "-q", "--no-trunc", "--filter", "publish=80"]).lines().count(), 2);
    assert_eq!(home.ok(&["ps", "-q", "--filter", "publish=81"]), "");

    // It follows the container, and ends with it.
    home.ok(&["restart", "-t", "0", "ca"]);
    server(&home, "ca", 80);
    crate::until("the world hears it again", || world.hear("10.99.0.1:8080") == "hello");
    home.ok(&["stop", "-t", "0", "ca"]);
    assert_eq!(world.hear("10.99.0.1:8080"), "");
    assert_eq!((ports(&home, "ca").as_str(), home.ok(&["port", "ca"]).as_str()), ("{}", ""));
    home.ok(&["rm", "-f", "cb"]);
    let table = home.host.sh("nft list table inet wharf");
    assert!(!table.contains("172.17.0.2") && !table.contains("172.17.0.3"), "{table}");
    home.ok(&["run", "--rm", "-p", "8080:80", "-p", "81:80", "bb", "true"]);
}

#[test]
fn every_form_of_the_flag() {
    let home = Home::with(Land::new(), &[]);
    home.host.sh("echo 40000 40009 >/proc/sys/net/ipv4/ip_local_port_range; ip addr add 10.5.0.1/32 dev lo");
    let mut home = home;
    home.restart(&[]);
    let flags =
        ["-p", "80", "-p", "10.5.0.1::81", "-p", "10.5.0.1:8082:82", "-p", "53:53/udp", "-p", "7:7/sctp"];
    let more = ["-p", "9000-9002:9000-9002", "-p", "9100-9102:90", "--expose", "99"];
    sleeper(&home, "ca", &[&flags[..], &more[..]].concat());
    assert_eq!(
        home.ok(&["port", "ca"]),
        "7/sctp -> 0.0.0.0:7\n53/udp -> 0.0.0.0:53\n80/tcp -> 0.0.0.0:40000\n81/tcp -> 10.5.0.1:40000\n\
         82/tcp -> 10.5.0.1:8082\n90/tcp -> 0.0.0.0:9100\n9000/tcp -> 0.0.0.0:9000\n9001/tcp -> 0.0.0.0:9001\n\
         9002/tcp -> 0.0.0.0:9002"
            .replace("81/tcp -> 10.5.0.1:40000", "81/tcp -> 10.5.0.1:40001")
    );
    let shown = home.ok(&["ps", "--format", "{{.Ports}}"]);
    assert!(shown.contains("0.0.0.0:9000-9002->9000-9002/tcp") && shown.contains("99/tcp"), "{shown}");
    // The next of the range; and all that are exposed, by a second container.
    sleeper(&home, "cb", &["-p", "9100-9102:90", "-P", "--expose", "98", "--expose", "97/udp"]);
    let got = home.ok(&["port", "cb"]);
    assert!(got.contains("90/tcp -> 0.0.0.0:9101"), "{got}");
    assert!(got.contains("97/udp -> 0.0.0.0:40000") && got.contains("98/tcp -> 0.0.0.0:40002"), "{got}");
    assert_eq!(home.sh(&["--network", "host", "-p", "80:80"], "echo fine"), "fine");
    let asked = home.engine.wharf(&["port", "cb", "99"]);
    assert_eq!((asked.status, asked.stderr.trim()), (1, "no public port '99' published for cb"));
}

#[test]
fn what_is_in_the_way_is_said_before_the_start() {
    let home = Home::with(Land::new(), &[]);
    sleeper(&home, "ca", &["-p", "8080:80"]);
    let said = home.fails(&["run", "--rm", "--name", "cb", "-p", "8080:80", "bb", "true"]);
    let begin = "failed to set up container networking: driver failed programming external connectivity on endpoint cb (";
    assert!(said.contains(begin), "{said}");
    assert!(said.contains("): Bind for 0.0.0.0:8080 failed: port is already allocated"), "{said}");
    let said = home.fails(&["run", "--rm", "-p", "127.0.0.1:8080:80", "bb", "true"]);
    assert!(said.contains("Bind for 0.0.0.0:8080 failed: port is already allocated"), "{said}");
    let _server = home.host.serve("127.0.0.1:8081");
    let said = home.fails(&["run", "-d", "--name", "cc", "-p", "8081:80", "bb", "sleep", "1000"]);
    assert!(said.contains("): failed to bind host port 0.0.0.0:8081/tcp: address already in use"), "{said}");
    assert_eq!(home.inspect("cc", "{{.State.Status}} {{.State.ExitCode}}"), "created 128");
    let said = home.fails(&["run", "--rm", "-p", "10.1.2.3:80:80", "bb", "true"]);
    assert!(
        said.contains("failed to bind host port 10.1.2.3:80/tcp: cannot assign requested address"),
        "{said}"
    );
    // Nobody on the host takes what a container has, also while no engine runs.
    let mut home = home;
    home.engine.kill();
    assert!(!home.host.can_listen("0.0.0.0:8080"));
    home.engine.run();
    assert!(!home.host.can_listen("0.0.0.0:8080"));
    home.ok(&["rm", "-f", "ca"]);
    home.ok(&["run", "--rm", "-p", "8080:80", "bb", "true"]);
    assert!(home.host.can_listen("0.0.0.0:8080"));
}

#[test]
fn ports_outlive_the_engine_and_whoever_flushes() {
    let (host, world) = linked();
    let mut home = Home::with(host, &[]);
    sleeper(&home, "ca", &["-p", "80:80"]);
    sleeper(&home, "cb", &["-p", "81:80"]);
    server(&home, "ca", 80);
    server(&home, "cb", 80);
    let heard = |port: u16| world.hear(&format!("10.99.0.1:{port}")) == "hello";
    crate::until("the world hears both", || heard(80) && heard(81));
    home.engine.kill();
    assert!(heard(80), "while no engine runs");
    // One ends meanwhile.
    let pid = home.host.sh("nft list ruleset | grep -c 172.17.0.3");
    assert_eq!(pid, "1");
    home.engine.run();
    home.ok(&["version"]);
    assert!(heard(80) && heard(81), "the next engine takes them over");
    home.host.sh("nft flush ruleset");
    crate::until("they are put back", || heard(80) && heard(81));
    let victim = home.inspect("cb", "{{.State.Pid}}");
    home.engine.kill();
    home.host.sh(&format!("kill -9 {victim}"));
    home.engine.run();
    home.ok(&["version"]);
    crate::until("nothing is left of who ended meanwhile", || {
        !home.host.sh("nft list table inet wharf").contains("172.17.0.3")
    });
    assert!(heard(80) && !heard(81));
    assert_eq!(ports(&home, "ca"), r#"{"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"80"}]}"#);
    let said = home.fails(&["run", "--rm", "-p", "80:80", "bb", "true"]);
    assert!(said.contains("port is already allocated"), "{said}");
}

#[test]
fn ten_thousand_ports() {
    let home = Home::with(Land::new(), &[]);
    sleeper(&home, "ca", &["-p", "20000-29999:20000-29999"]);
    server(&home, "ca", 29999);
    crate::until("the last is reached", || home.host.hear("127.0.0.1:29999") == "hello");
    assert_eq!(home.host.sh("nft list map inet wharf ports").matches("172.17.0.2").count(), 1);
    let shown = home.ok(&["ps", "--format", "{{.Ports}}"]);
    assert_eq!(shown, "0.0.0.0:20000-29999->20000-29999/tcp");
    assert_eq!(home.ok(&["port", "ca"]).lines().count(), 10_000);
    home.ok(&["rm", "-f", "ca"]);
    home.ok(&["run", "--rm", "-p", "25000:80", "bb", "true"]);
}

/// A client of datagrams keeps its port, and so its flow is one to the kernel, whoever is behind the port.
#[test]
fn a_flow_of_datagrams_follows_the_port() {
    let (host, world) = linked();
    let mut home = Home::with(host, &[]);
    let client = world.inside(|| UdpSocket::bind("10.99.0.2:4444").expect("bind"));
    client.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
    client.connect("10.99.0.1:5353").expect("connect");
    let ask = |server: &UdpSocket| {
        // Who was refused once is told so by the next call.
        let _ = client.send(b"ping");
        let mut buffer = [0; 8];
        let Ok((4, peer)) = server.recv_from(&mut buffer) else { return false };
        assert_eq!(peer.to_string(), "10.99.0.2:4444");
        let _ = server.send_to(b"pong!", peer);
        client.recv(&mut buffer).is_ok_and(|length| length == 5)
    };
    // Nobody is there: to the kernel the flow is the host's.
    for _ in 0..3 {
        let _ = client.send(b"ping");
        let _ = client.recv(&mut [0; 8]);
    }
    let serve = |home: &Home, name: &str, flags: &[&str]| {
        sleeper(home, name, flags);
        datagrams(&home.inspect(name, "{{.State.Pid}}"))
    };
    let ca = serve(&home, "ca", &["-p", "5353:53/udp"]);
    crate::until("it reaches who has the port now", || ask(&ca));
    // And the next one, at another address.
    home.sleeper("cb");
    home.ok(&["rm", "-f", "ca"]);
    home.sleeper("cc");
    let cd = serve(&home, "cd", &["-p", "5353:53/udp"]);
    assert_eq!(home.address("cd"), "172.17.0.4");
    crate::until("it follows", || ask(&cd));
    // And one that gets the port while it runs.
    home.ok(&["update", "--publish-rm", "5353:53/udp", "cd"]);
    let ce = serve(&home, "ce", &[]);
    home.ok(&["update", "-p", "5353:53/udp", "ce"]);
    crate::until("it follows again", || ask(&ce));
    // Who ended while no engine ran holds nothing back.
    let victim = home.inspect("ce", "{{.State.Pid}}");
    home.engine.kill();
    home.host.sh(&format!("kill -9 {victim}"));
    home.engine.run();
    let cf = serve(&home, "cf", &["-p", "5353:53/udp"]);
    crate::until("it follows the last", || ask(&cf));
    home.restart(&[]);
    assert!((0..3).any(|_| ask(&cf)), "it stays");
}

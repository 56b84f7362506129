//! `--firewall respect`: the host's own input policy decides who reaches published ports.

use std::net::UdpSocket;
use std::time::Duration;

use crate::ipv6::wide;
use crate::land::{Home, linked};

fn server(home: &Home, name: &str) {
    home.ok(&["exec", "-d", name, "sh", "-c", "while :; do echo hello | nc -l -p 80; done"]);
    let at = format!("{}:80", home.address(name));
    crate::until("the server listens", || home.host.hear(&at) == "hello");
}

/// A socket at port 53 of the container.
pub(crate) fn datagrams(pid: &str) -> UdpSocket {
    let netns = std::fs::File::open(format!("/proc/{pid}/ns/net")).expect("open the namespace");
    let open = move || {
        use std::os::fd::AsFd;
        let kind = Some(rustix::thread::LinkNameSpaceType::Network);
        rustix::thread::move_into_link_name_space(netns.as_fd(), kind).expect("enter the namespace");
        UdpSocket::bind("0.0.0.0:53").expect("bind")
    };
    let socket = std::thread::scope(|scope| scope.spawn(open).join().expect("it goes well"));
    socket.set_read_timeout(Some(Duration::from_secs(1))).expect("a timeout");
    socket
}

#[test]
fn what_the_host_lets_in_reaches_the_container() {
    let (host, world) = linked();
    // As strict as a host may be.
    host.sh("echo 1 >/proc/sys/net/ipv4/conf/all/rp_filter");
    let mut home = Home::with(host, &[]);
    home.restart(&["--firewall", "respect"]);
    home.ok(&[
        "run",
        "-d",
        "--name",
        "ca",
        "-p",
        "8080:80",
        "-p",
        "80:80",
        "-p",
        "127.0.0.1:81:80",
        "bb",
        "sleep",
        "1000",
    ]);
    home.sleeper("cb");
    server(&home, "ca");
    let heard = |port: u16| world.hear(&format!("10.99.0.1:{port}")) == "hello";
    crate::until("nobody has said anything", || heard(8080));
    crate::until("at the other port", || heard(80));
    crate::until("a neighbour", || home.hears("cb", "10.99.0.1:8080"));
    crate::until("the container itself", || home.hears("ca", "172.17.0.1:80"));
    assert_eq!(world.hear("10.99.0.1:81"), "");

    // nftables, by a table of somebody's.
    home.host.sh(
        "nft 'add table inet f; add chain inet f in { type filter hook input priority 0; policy drop; }; \
         add rule inet f in ct state established accept; add rule inet f in iif lo accept'",
    );
    assert!(!heard(8080) && !heard(80) && !home.hears("cb", "10.99.0.1:8080"));
    for at in ["127.0.0.1:8080", "10.99.0.1:80", "127.0.0.1:81"] {
        crate::until("the host itself", || home.host.hear(at) == "hello");
    }
    home.host.sh("nft add rule inet f in tcp dport 8080 ip saddr 10.99.0.2 accept");
    crate::until("it is let in", || heard(8080));
    assert!(!heard(80) && !home.hears("cb", "10.99.0.1:8080"), "others are not");
    home.host.sh("nft delete table inet f");
    // iptables, as ufw speaks it.
    home.host.sh("iptables -A INPUT -p tcp --dport 8080 -j REJECT");
    assert!(!heard(8080) && heard(80));
    home.host.sh("iptables -F INPUT");
    crate::until("as before", || heard(8080));

    // A port that is published later, a range, and another protocol.
    home.ok(&["update", "-p", "9000-9002:80", "-p", "5353:53/udp", "ca"]);
    crate::until("a port more", || heard(9000));
    let server = datagrams(&home.inspect("ca", "{{.State.Pid}}"));
    crate::until("a datagram comes through", || {
        world.run("bash -c 'echo ping >/dev/udp/10.99.0.1/5353'");
        server.recv(&mut [0; 8]).is_ok_and(|length| length == 5)
    });

    // The exposure is told.
    let shown = home.ok(&["port", "ca", "80", "--exposure"]);
    assert!(
        shown.contains("0.0.0.0:8080 (everywhere, as far as the host's input policy allows)")
            && shown.contains("127.0.0.1:81 (loopback)"),
        "{shown}"
    );
    assert_eq!(
        home.ok(&["info", "-f", "{{json .FirewallBackend}}"]),
        r#"{"Driver":"nftables","Info":[["Firewall","respect"]]}"#
    );
    assert_eq!(home.ok(&["info"]).matches("Firewall: respect").count(), 1);

    // All of it is put back, and goes when it is not wanted.
    let links = "ip -o link | grep -c 'w[io]-'";
    assert_eq!(home.host.sh(links), "2");
    home.host.sh("nft flush ruleset");
    crate::until("the rules are back", || heard(8080));
    let link = home.host.sh("ip -o link | sed -n 's/.*: \\(wi-[0-9a-f]*\\)@.*/\\1/p'");
    home.host.sh(&format!("ip link del {link}"));
    crate::until("the links are back", || heard(8080));
    home.restart(&["--firewall", "respect"]);
    crate::until("with the next engine", || heard(8080));
    home.restart(&[]);
    assert_eq!(home.host.run(links).stdout.trim(), "0");
    home.host.sh("iptables -A INPUT -p tcp --dport 8080 -j REJECT");
    crate::until("published, whatever the host says", || heard(8080));
    assert!(!home.host.sh("nft list ruleset").contains("asked"));
}

/// What the policy of `input` lets in of IPv6.
#[test]
fn ipv6_is_asked_about_as_well() {
    let (host, world) = wide();
    let mut home = Home::with(host, &[]);
    home.restart(&["--firewall", "respect"]);
    home.ok(&["network", "create", "--ipv6", "both"]);
    let flags = ["-p", "8080:80", "-p", "80:80", "-p", "[2001:db8:99::1]:81:80"];
    home.ok(
        &[&["run", "-d", "--name", "ca", "--network", "both"], &flags[..], &["bb", "sleep", "1000"]].concat()
    );
    home.ok(&["exec", "-d", "ca", "sh", "-c", "while :; do echo hello | nc -l -p 80; done"]);
    let six = |port: u16| world.hear(&format!("[2001:db8:99::1]:{port}")) == "hello";
    let four = |port: u16| world.hear(&format!("10.99.0.1:{port}")) == "hello";
    for port in [8080, 80, 81] {
        crate::until("nobody has said anything", || six(port));
    }
    crate::until("of IPv4", || four(8080));
    home.host.sh(
        "nft 'add table inet f; add chain inet f in { type filter hook input priority 0; policy drop; }; \
         add rule inet f in ct state established accept; add rule inet f in iif lo accept; \
         add rule inet f in meta l4proto ipv6-icmp accept'",
    );
    assert!(!six(8080) && !six(80) && !six(81) && !four(8080));
    for at in ["[2001:db8:99::1]:8080", "[::1]:8080", "127.0.0.1:80"] {
        crate::until("the host itself", || home.host.hear(at) == "hello");
    }
    home.host.sh("nft add rule inet f in ip6 saddr 2001:db8:99::2 tcp dport { 80, 81 } accept");
    for port in [80, 81] {
        crate::until("it is let in", || six(port));
    }
    assert!(!six(8080) && !four(80));
    home.host.sh("nft delete table inet f; ip6tables -A INPUT -p tcp --dport 8080 -j REJECT");
    assert!(!six(8080));
    crate::until("another port, and another version", || six(80) && four(8080));
    home.host.sh("ip6tables -F INPUT");
    home.ok(&["update", "-p", "8090:80", "ca"]);
    crate::until("a port more", || six(8090));
    home.host.sh("nft flush ruleset");
    crate::until("the rules are back", || six(8080));
    home.host.sh("nft delete table ip6 wharf");
    crate::until("and those of IPv6 alone", || six(8080));
    home.restart(&["--firewall", "respect"]);
    crate::until("with the next engine", || six(8080));
    home.restart(&[]);
    crate::until("published, whatever the host says", || six(8080));
    assert!(!home.host.sh("nft list ruleset").contains("asked"));
}

//! Outgoing packets, and other firewalls on the host.

use crate::land::{Home, Land, WORLD, linked};

fn at(port: u16) -> String {
    format!("{WORLD}:{port}")
}

#[test]
fn packets_leave_with_the_host_s_address_and_nothing_comes_in() {
    let (host, world) = linked();
    let mut home = Home::with(host, &[]);
    home.sleeper("ca");
    let seen = world.serve(&at(80));
    assert!(home.hears("ca", &at(80)));
    assert_eq!(seen.recv().unwrap(), "10.99.0.1");
    home.ok(&["exec", "-d", "ca", "sh", "-c", "while :; do echo hello | nc -l -p 80; done"]);
    crate::until("the host hears it", || home.host.hear("172.17.0.2:80") == "hello");
    assert_eq!(world.hear("172.17.0.2:80"), "");
    // The switch was turned on for containers, and this host did not become a router.
    assert_eq!(home.host.sh("cat /proc/sys/net/ipv4/ip_forward"), "1");
    let table = home.host.sh("nft list chain inet wharf forward");
    assert!(table.contains("policy drop"), "{table}");

    // Whoever flushes: it comes back.
    home.host.sh("nft flush ruleset");
    crate::until("it is back", || {
        home.host.run("nft list chain inet wharf forward").stdout.trim_end() == table
    });
    crate::until("it is told", || {
        home.engine.log().contains("somebody changed it, so: replace firewall table")
    });
    assert!(home.hears("ca", &at(80)));
    assert_eq!(seen.recv().unwrap(), "10.99.0.1");
    home.engine.kill();
    home.host.sh("nft flush ruleset");
    home.engine.run();
    assert!(home.hears("ca", &at(80)));

    home.restart(&["--ip-masq=false", "--ip-forward-no-drop"]);
    assert!(home.hears("ca", &at(80)), "the world knows the way");
    assert_eq!(seen.iter().nth(1).unwrap(), "172.17.0.2");
    let table = home.host.sh("nft list table inet wharf");
    let masqueraded = home.host.sh("nft list set inet wharf masqueraded");
    assert!(!masqueraded.contains("docker0") && !table.contains("policy drop"), "{masqueraded}{table}");
}

#[test]
fn beside_iptables_that_drops_by_policy() {
    let (host, world) = linked();
    // As a dockerd leaves it, with a rule of the administrator's.
    host.sh("iptables -N DOCKER-USER; iptables -P FORWARD DROP; iptables -A FORWARD -j DOCKER-USER; \
         iptables -A DOCKER-USER -p tcp --dport 81 -j REJECT");
    let home = Home::with(host, &[]);
    home.sleeper("ca");
    let (seen, _other) = (world.serve(&at(80)), world.serve(&at(81)));
    assert!(home.hears("ca", &at(80)));
    assert_eq!(seen.recv().unwrap(), "10.99.0.1");
    assert!(!home.hears("ca", &at(81)));
    let log = home.engine.log();
    assert!(log.contains("in ip filter FORWARD: accept what comes from and goes to docker0"), "{log}");
    let rules = home.host.sh("iptables -S FORWARD");
    let last: Vec<&str> = rules.lines().rev().take(2).collect();
    assert_eq!(
        last,
        [
            "-A FORWARD -o docker0 -m comment --comment \"wharf: docker0\" -j ACCEPT",
            "-A FORWARD -i docker0 -m comment --comment \"wharf: docker0\" -j ACCEPT"
        ]
    );
    home.host.sh("iptables -F FORWARD");
    crate::until("they are back", || {
        home.host.sh("iptables -S FORWARD").matches("wharf: docker0").count() == 2
    });
    assert!(home.hears("ca", &at(80)));
}

#[test]
fn beside_a_table_that_drops_by_policy() {
    let (host, world) = linked();
    host.sh("nft 'add table inet f; add chain inet f through { type filter hook forward priority 0; policy drop; }'");
    let home = Home::with(host, &[]);
    home.sleeper("ca");
    let _seen = world.serve(&at(80));
    assert!(!home.hears("ca", &at(80)));
    let warnings = home.ok(&["info", "-f", "{{range .Warnings}}{{println .}}{{end}}"]);
    let warning =
        warnings.lines().find(|line| line.contains("inet f through")).unwrap_or_else(|| panic!("{warnings}"));
    assert!(home.engine.log().contains("inet f through drops forwarded packets by policy"));
    // What it says helps.
    for command in warning.split("accept them: ").nth(1).unwrap().split("; ") {
        home.host.sh(&command.replace('"', ""));
    }
    assert!(home.hears("ca", &at(80)));
}

#[test]
fn without_a_firewall() {
    let (host, world) = linked();
    let home = Home::with(host, &["--iptables=false"]);
    home.sleeper("ca");
    assert_eq!(home.host.sh("nft list ruleset"), "");
    let seen = world.serve(&at(80));
    assert!(home.hears("ca", &at(80)), "the world knows the way");
    assert_eq!(seen.recv().unwrap(), "172.17.0.2");
}

#[test]
fn containers_apart() {
    let home = Home::with(Land::new(), &["--icc=false"]);
    home.sleeper("ca");
    home.sleeper("cb");
    home.ok(&["exec", "-d", "cb", "sh", "-c", "while :; do echo hello | nc -l -p 80; done"]);
    crate::until("the host hears it", || home.host.hear("172.17.0.3:80") == "hello");
    assert!(!home.hears("ca", "172.17.0.3:80"));
    let _seen = home.host.serve("172.17.0.1:80");
    assert!(home.hears("ca", "172.17.0.1:80"));
}

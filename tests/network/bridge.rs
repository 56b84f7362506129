//! The bridge: none, one of the user's, one that is removed, and two engines with one each.

use crate::land::{Home, Land};
use testkit::Output;

#[test]
fn without_a_bridge() {
    let home = Home::with(Land::new(), &["--bridge", "none"]);
    assert_eq!(home.sh(&["-p", "80:80"], "ls /sys/class/net"), "lo", "as Docker");
    assert_eq!(home.sh(&["--network", "none"], "ls /sys/class/net"), "lo");
    assert_eq!(home.sh(&["--network", "host"], "echo fine"), "fine");
    assert!(!home.host.sh("ip -o link").contains("docker0"));
    assert_eq!(home.host.sh("nft list tables"), "");
}

#[test]
fn a_bridge_of_the_user_s() {
    let host = Land::new();
    host.sh("ip link add br7 type bridge; ip addr add 10.7.0.9/24 dev br7; ip link set br7 up mtu 1400");
    let mut home = Home::with(host, &["--bridge", "br7"]);
    assert_eq!(home.sleeper("ca"), "10.7.0.1");
    assert_eq!(home.inspect("ca", "{{.NetworkSettings.Networks.bridge.Gateway}}"), "10.7.0.9");
    assert_eq!(home.ok(&["exec", "ca", "cat", "/sys/class/net/eth0/mtu"]), "1400");
    home.ok(&["exec", "ca", "ping", "-c", "1", "-W", "10", "10.7.0.9"]);
    let links = home.host.sh("ip -o link");
    assert!(!links.contains("docker0"), "{links}");

    home.engine.terminate();
    home.host.sh("ip link add plain type veth");
    let output = Output::of(home.engine.daemon().args(["--bridge", "plain"]));
    assert_ne!(output.status, 0);
    assert!(output.stderr.contains("plain exists and is a veth, not a bridge"), "{output:?}");
    let output = Output::of(home.engine.daemon().args(["--bip", "10.7.0.0/24"]));
    assert!(output.stderr.contains("bip 10.7.0.0/24 is not the address of a host"), "{output:?}");
    home.engine.run();
    assert_eq!(home.address("ca"), "10.7.0.1");
}

#[test]
fn a_bridge_that_is_removed_is_put_back_under_running_containers() {
    let mut home = Home::new();
    home.sleeper("ca");
    home.sleeper("cb");
    let ping = |home: &Home, from: &str, to: &str| {
        crate::until("it answers", || {
            home.engine.wharf(&["exec", from, "ping", "-c", "1", "-W", "2", to]).status == 0
        });
    };
    home.host.sh("ip link del docker0");
    crate::until("it is back", || {
        home.host.sh("ip -o -4 addr show").contains("docker0    inet 172.17.0.1/16")
    });
    crate::until("it is told", || {
        let log = home.engine.log();
        log.contains("somebody changed it, so: create bridge docker0")
            && log.matches("so: connect veth").count() >= 2
    });
    ping(&home, "ca", "172.17.0.3");
    ping(&home, "cb", "172.17.0.1");
    home.sleeper("cc");
    ping(&home, "cc", "172.17.0.2");

    // While no engine runs, the next one does it.
    home.engine.kill();
    home.host.sh("ip link del docker0; nft delete table inet wharf");
    home.engine.run();
    ping(&home, "ca", "172.17.0.4");
    ping(&home, "cc", "172.17.0.1");
    assert!(home.host.sh("nft list tables").contains("inet wharf"));
}

#[test]
fn two_engines_have_a_bridge_and_a_table_each() {
    let home = Home::new();
    home.sleeper("ca");
    let directory = testkit::directory();
    // The same land, another bridge.
    let second = testkit::Engine::start_with(
        &home.directory.path().join("wharf"),
        directory.path(),
        &["--bridge", "br2"],
    );
    let tar = home.directory.path().join("busybox.tar").display().to_string();
    let ok = |words: &[&str]| {
        let got = second.wharf(words);
        assert_eq!(got.status, 0, "{words:?}: {got:?}\n{}", second.log());
        got.stdout.trim_end().to_owned()
    };
    ok(&["import", &tar, "bb"]);
    ok(&["run", "-d", "--name", "ca", "bb", "sleep", "1000"]);
    let template = "{{.NetworkSettings.Networks.bridge.IPAddress}}";
    assert_eq!(ok(&["inspect", "-f", template, "ca"]), "172.18.0.2");
    let tables = home.host.sh("nft list tables");
    assert!(tables.contains("inet wharf\n") && tables.contains("inet wharf-br2"), "{tables}");
    // They are strangers.
    ok(&["exec", "-d", "ca", "sh", "-c", "while :; do echo hello | nc -l -p 80; done"]);
    crate::until("the host hears it", || home.host.hear("172.18.0.2:80") == "hello");
    assert!(!home.hears("ca", "172.18.0.2:80"));
    drop(second);
    assert_eq!(home.sh(&[], "echo fine"), "fine");
}

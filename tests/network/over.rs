//! Networks over one of the host's interfaces: macvlan and ipvlan.

use crate::land::{Home, linked};

fn sleeper(home: &Home, name: &str, flags: &[&str]) {
    home.ok(&[&["run", "-d", "--name", name], flags, &["bb", "sleep", "1000"]].concat());
}

fn pings(home: &Home, from: &str, to: &str) -> bool {
    home.engine.wharf(&["exec", from, "ping", "-c", "1", "-W", "2", to]).status == 0
}

fn create(home: &Home, words: &[&str]) -> testkit::Output {
    home.engine.wharf(&[&["network", "create", "-d"], words].concat())
}

#[test]
fn containers_are_in_the_world_behind_the_parent() {
    let (host, world) = linked();
    let mut home = Home::with(host, &[]);
    let subnet = ["--subnet", "10.99.0.0/24", "--ip-range", "10.99.0.128/25"];
    let made = create(
        &home,
        &[&["macvlan", "-o", "parent=up0", "--gateway", "10.99.0.2"], &subnet[..], &["lan"]].concat(),
    );
    assert_eq!(made.status, 0, "{made:?}");
    let shown = home.ok(&["network", "inspect", "-f", "{{.Driver}} {{.Internal}} {{json .Options}}", "lan"]);
    assert_eq!(shown, "macvlan false {\"parent\":\"up0\"}");
    sleeper(&home, "ca", &["--network", "lan", "-p", "80:80"]);
    sleeper(&home, "cb", &["--network", "lan", "--ip", "10.99.0.200", "--mac-address", "02:00:00:00:00:0b"]);
    let of = |name: &str, line: &str| home.ok(&["exec", name, "sh", "-c", line]);
    assert_eq!(home.inspect("ca", "{{.NetworkSettings.Networks.lan.IPAddress}}"), "10.99.0.128");
    assert_eq!(of("cb", "cat /sys/class/net/eth0/address"), "02:00:00:00:00:0b");
    assert!(of("ca", "ip route").contains("default via 10.99.0.2 dev eth0"));
    // The world sees them as its own, they see each other, by name too, and the host sees none of them.
    let seen = world.serve("10.99.0.2:80");
    assert_eq!(of("ca", "nc -w 5 10.99.0.2 80"), "hello");
    assert_eq!(seen.recv().unwrap(), "10.99.0.128");
    assert!(pings(&home, "ca", "cb"));
    assert_ne!(home.host.run("busybox ping -c 1 -W 1 10.99.0.200").status, 0);
    assert_eq!(home.inspect("ca", "{{json .NetworkSettings.Ports}}"), r#"{"80/tcp":null}"#);
    assert!(!home.host.sh("nft list table inet wharf").contains("mv-"));
    // Kept over a restart, and gone with its containers.
    home.engine.kill();
    home.engine.run();
    home.ok(&["version"]);
    sleeper(&home, "cc", &["--network", "lan"]);
    assert_eq!(home.inspect("cc", "{{.NetworkSettings.Networks.lan.IPAddress}}"), "10.99.0.129");
    assert!(pings(&home, "cc", "ca"));
    home.ok(&["network", "connect", "bridge", "cc"]);
    home.ok(&["network", "disconnect", "lan", "cc"]);
    home.ok(&["network", "connect", "lan", "cc"]);
    assert!(pings(&home, "cc", "ca"));
    home.ok(&["rm", "-f", "ca", "cb", "cc"]);
    home.ok(&["network", "rm", "lan"]);
    home.host.sh("ip link show up0");
}

#[test]
fn modes_of_macvlan() {
    let (host, world) = linked();
    let home = Home::with(host, &[]);
    for mode in ["private", "vepa"] {
        let option = format!("macvlan_mode={mode}");
        let made =
            create(&home, &["macvlan", "-o", "parent=up0", "-o", &option, "--subnet", "10.99.0.0/24", mode]);
        assert_eq!(made.status, 0, "{made:?}");
        sleeper(&home, "ca", &["--network", mode, "--ip", "10.99.0.100"]);
        sleeper(&home, "cb", &["--network", mode, "--ip", "10.99.0.101"]);
        assert!(pings(&home, "ca", "10.99.0.2") && !pings(&home, "ca", "10.99.0.101"), "{mode}");
        // Without a gateway that is named there is none.
        assert!(!home.ok(&["exec", "ca", "ip", "route"]).contains("default"));
        home.ok(&["rm", "-f", "ca", "cb"]);
        let beside = create(&home, &["macvlan", "-o", "parent=up0", "-o", "macvlan_mode=passthru", "alone"]);
        assert!(beside.stderr.contains("is using parent interface up0"), "{beside:?}");
        home.ok(&["network", "rm", mode]);
    }
    let alone =
        ["macvlan", "-o", "parent=up0", "-o", "macvlan_mode=passthru", "--subnet", "10.99.0.0/24", "alone"];
    let made = create(&home, &alone);
    assert_eq!(made.status, 0, "{made:?}");
    sleeper(&home, "ca", &["--network", "alone", "--ip", "10.99.0.100"]);
    assert!(pings(&home, "ca", "10.99.0.2"));
    let second = home.fails(&["run", "--rm", "--network", "alone", "bb", "true"]);
    assert!(second.contains("up0 cannot have another interface over it"), "{second}");
    let wrong = create(&home, &["macvlan", "-o", "macvlan_mode=odd", "wrong"]);
    assert!(wrong.stderr.contains("requested macvlan mode 'odd' is not valid"), "{wrong:?}");
    drop(world);
}

#[test]
fn a_network_without_a_parent_leads_nowhere_and_parents_that_are_wrong() {
    let (host, _world) = linked();
    let home = Home::with(host, &[]);
    let made = create(&home, &["macvlan", "--ipv6", "alone"]);
    match home.host.run("ip link add probe type dummy && ip link del probe").status {
        0 => {
            assert_eq!(made.status, 0, "{made:?}");
            alone(&home);
        }
        _ => assert!(made.stderr.contains("this kernel has no dummy devices"), "{made:?}"),
    }
    wrong_parents(&home);
}

fn alone(home: &Home) {
    let id = home.ok(&["network", "inspect", "-f", "{{.Internal}} {{slice .Id 0 12}}", "alone"]);
    let dummy = id.replace("true ", "dm-");
    assert!(home.host.sh(&format!("ip -d link show {dummy}")).contains("dummy"));
    sleeper(home, "ca", &["--network", "alone"]);
    sleeper(home, "cb", &["--network", "alone"]);
    assert!(pings(home, "ca", "cb"));
    let six = home.inspect("cb", "{{.NetworkSettings.Networks.alone.GlobalIPv6Address}}");
    assert!(six.starts_with("fd") && pings(home, "ca", &six), "{six}");
    home.ok(&["rm", "-f", "ca", "cb"]);
    home.ok(&["network", "rm", "alone"]);
    assert_ne!(home.host.run(&format!("ip link show {dummy}")).status, 0, "it went with its network");
}

fn wrong_parents(home: &Home) {
    let nosuch = create(home, &["macvlan", "-o", "parent=nosuch", "wrong"]);
    assert!(
        nosuch.stderr.contains("invalid subinterface vlan name nosuch, example formatting is eth0.10"),
        "{nosuch:?}"
    );
    let master = create(home, &["macvlan", "-o", "parent=nosuch.10", "wrong"]);
    assert!(
        master.stderr.contains("failed to find master interface nosuch on the Docker host"),
        "{master:?}"
    );
    let number = create(home, &["macvlan", "-o", "parent=up0.5000", "wrong"]);
    assert!(number.stderr.contains("vlan id must be between 1-4094, received: 5000"), "{number:?}");
    // What this kernel has, or why not.
    let vlan = create(home, &["macvlan", "-o", "parent=up0.10", "tagged"]);
    match home.host.run("ip link add link up0 name probe type vlan id 9 && ip link del probe").status {
        0 => {
            assert_eq!(vlan.status, 0, "{vlan:?}");
            sleeper(home, "ca", &["--network", "tagged"]);
            home.ok(&["rm", "-f", "ca"]);
            home.ok(&["network", "rm", "tagged"]);
            assert_ne!(home.host.run("ip link show up0.10").status, 0);
        }
        _ => assert!(
            vlan.stderr.contains("this kernel has no VLAN devices") && vlan.stderr.contains("8021q"),
            "{vlan:?}"
        ),
    }
    let made = create(home, &["ipvlan", "-o", "parent=up0", "--subnet", "10.98.0.0/24", "ip"]);
    match home.host.run("ip link add link up0 name probe type ipvlan && ip link del probe").status {
        0 => {
            let line = ["run", "--rm", "--network", "ip", "bb", "ip", "-o", "addr", "show", "eth0"];
            assert!(home.ok(&line).contains("10.98.0.2/24"));
        }
        _ => {
            assert!(made.status == 1 && made.stderr.contains("this kernel has no ipvlan devices"), "{made:?}")
        }
    }
    assert!(!home.host.sh("ip -o link").contains("wx"), "nothing is left of a try");
}

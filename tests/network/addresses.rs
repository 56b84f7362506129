//! Addresses: what a container gets, who gets which, and what happens when none is left.

use crate::land::{Home, Land};

#[test]
fn a_container_has_what_docker_gives_it() {
    let home = Home::new();
    home.sleeper("one");
    let of = |line: &str| home.ok(&["exec", "one", "sh", "-c", line]);
    let shown = of("ip -o addr show eth0");
    assert!(shown.contains("inet 172.17.0.2/16 brd 172.17.255.255 scope global eth0"), "{shown}");
    assert!(!shown.contains("inet6"), "{shown}");
    assert_eq!(
        of("ip route | tr -s ' ' | sed 's/ *$//'"),
        "default via 172.17.0.1 dev eth0\n172.17.0.0/16 dev eth0 scope link  src 172.17.0.2"
            .replace("link  src", "link src")
    );
    assert_eq!(of("cat /sys/class/net/eth0/address /sys/class/net/eth0/mtu"), "02:42:ac:11:00:02\n1500");
    assert_eq!(
        of("cat /proc/sys/net/ipv6/conf/eth0/disable_ipv6 /proc/sys/net/ipv6/conf/lo/disable_ipv6"),
        "1\n0"
    );
    assert!(of("ip -o addr show lo").contains("inet 127.0.0.1/8"));
    let shown = home.inspect(
        "one",
        "{{with .NetworkSettings.Networks.bridge}}{{.IPAddress}} {{.IPPrefixLen}} {{.Gateway}} {{.MacAddress}} \
         {{len .NetworkID}} {{len .EndpointID}}{{end}} {{len .NetworkSettings.SandboxID}}",
    );
    assert_eq!(shown, "172.17.0.2 16 172.17.0.1 02:42:ac:11:00:02 64 64 64");
    assert!(home.host.sh("ip -o -4 addr show docker0").contains("172.17.0.1/16"));

    // Reached from the host and from beside, and reaching both.
    home.sleeper("two");
    home.ok(&["exec", "-d", "two", "sh", "-c", "while :; do echo hello | nc -l -p 80; done"]);
    crate::until("the host hears it", || home.host.hear("172.17.0.3:80") == "hello");
    crate::until("its neighbour hears it", || home.hears("one", "172.17.0.3:80"));
    let seen = home.host.serve("172.17.0.1:80");
    assert!(home.hears("two", "172.17.0.1:80"));
    assert_eq!(seen.recv().unwrap(), "172.17.0.3");

    home.ok(&["create", "--name", "mac", "--mac-address", "02:00:00:00:00:aa", "bb", "sleep", "1000"]);
    let will_have = home.inspect("mac", "{{.NetworkSettings.Networks.bridge.MacAddress}}");
    assert_eq!(will_have, "02:00:00:00:00:aa");
    home.ok(&["start", "mac"]);
    for _ in 0..2 {
        assert_eq!(home.ok(&["exec", "mac", "cat", "/sys/class/net/eth0/address"]), "02:00:00:00:00:aa");
        assert_eq!(
            home.inspect("mac", "{{.NetworkSettings.Networks.bridge.MacAddress}}"),
            "02:00:00:00:00:aa"
        );
        home.ok(&["restart", "-t", "0", "mac"]);
    }
    let none = home.sh(&["--network", "none"], "ls /sys/class/net; ip -o addr show lo; ip route");
    assert!(none.starts_with("lo\n") && none.contains("127.0.0.1/8") && !none.contains("default"), "{none}");
    assert_eq!(
        home.sh(&["--network", "host"], "readlink /proc/self/ns/net"),
        home.host.sh("readlink /proc/self/ns/net")
    );
}

#[test]
fn addresses_are_given_again_when_they_are_free() {
    let mut home = Home::new();
    assert_eq!(home.sleeper("ca"), "172.17.0.2");
    assert_eq!(home.sleeper("cb"), "172.17.0.3");
    home.ok(&["kill", "ca"]);
    assert_eq!(home.address("ca"), "");
    assert_eq!(home.sleeper("cc"), "172.17.0.2");
    home.ok(&["start", "ca"]);
    assert_eq!(home.address("ca"), "172.17.0.4");
    // The next engine knows what is taken, and hears of what ended meanwhile.
    home.ok(&["rm", "-f", "cb"]);
    home.engine.kill();
    home.engine.run();
    assert_eq!(home.sleeper("cd"), "172.17.0.3");
    assert_eq!(home.sleeper("ce"), "172.17.0.5");
    home.ok(&["restart", "-t", "0", "cc"]);
    assert_eq!(home.address("cc"), "172.17.0.2");
}

#[test]
fn sixty_containers_at_once() {
    let home = Home::new();
    let start = |n: usize| {
        home.ok(&["run", "-d", "--name", &format!("n{n}"), "bb", "sleep", "1000"]);
    };
    std::thread::scope(|scope| {
        for worker in 0..6 {
            scope.spawn(move || (0..10).for_each(|n| start(worker * 10 + n)));
        }
    });
    let names: Vec<String> = (0..60).map(|n| format!("n{n}")).collect();
    let mut words = vec!["inspect", "-f", "{{.NetworkSettings.Networks.bridge.IPAddress}}"];
    words.extend(names.iter().map(String::as_str));
    let mut addresses: Vec<u8> =
        home.ok(&words).lines().map(|line| line.rsplit('.').next().unwrap().parse().unwrap()).collect();
    addresses.sort_unstable();
    assert_eq!(addresses, (2..62).collect::<Vec<u8>>());
    // The last reaches the first.
    home.ok(&["exec", "n59", "ping", "-c", "1", "-W", "10", &home.address("n0")]);
    let mut words = vec!["rm", "-f"];
    words.extend(names.iter().map(String::as_str));
    home.ok(&words);
    // But those that are held ready.
    crate::until("their links are gone", || {
        home.host.sh("ip -o link | grep -c veth; true").parse::<u8>().is_ok_and(|n| n < 6)
    });
    assert_eq!(home.sleeper("next"), "172.17.0.2");
}

#[test]
fn a_small_subnet_runs_out_and_recovers() {
    let mut home = Home::with(Land::new(), &["--bip", "10.5.0.1/29"]);
    for n in 2..7 {
        assert_eq!(home.sleeper(&format!("n{n}")), format!("10.5.0.{n}"));
    }
    let said = home.fails(&["run", "--name", "over", "bb", "true"]);
    let id = home.inspect("n2", "{{.NetworkSettings.Networks.bridge.NetworkID}}");
    let wanted = format!(
        "failed to set up container networking: no available IPv4 addresses on this network's address pools: bridge \
         ({id})"
    );
    assert!(said.contains(&wanted), "{said}");
    assert_eq!(home.inspect("over", "{{.State.Status}}"), "created");
    // Failing uses nothing up.
    for _ in 0..8 {
        home.fails(&["run", "--rm", "bb", "true"]);
    }
    home.ok(&["rm", "-f", "n4"]);
    home.ok(&["start", "over"]);
    assert_eq!(home.sleeper("again"), "10.5.0.4");
    home.ok(&["rm", "-f", "n2", "n3", "n5", "n6", "again", "over"]);

    // A range limits what is given.
    home.restart(&["--bip", "10.6.0.1/24", "--fixed-cidr", "10.6.0.8/30"]);
    for n in 8..12 {
        assert_eq!(home.sleeper(&format!("r{n}")), format!("10.6.0.{n}"));
    }
    assert!(home.fails(&["run", "--rm", "bb", "true"]).contains("no available IPv4 addresses"));
    assert_eq!(home.sh(&["--network", "none"], "echo fine"), "fine");
    home.ok(&["rm", "-f", "r9"]);
    assert_eq!(home.sleeper("s9"), "10.6.0.9");
}

#[test]
fn another_subnet_after_a_restart() {
    let mut home = Home::new();
    assert_eq!(home.sleeper("old"), "172.17.0.2");
    home.restart(&["--bip", "10.5.0.1/24"]);
    let shown = home.host.sh("ip -o -4 addr show docker0");
    assert!(shown.contains("10.5.0.1/24") && !shown.contains("172.17"), "{shown}");
    // It keeps what it has until it starts again.
    assert_eq!(home.address("old"), "172.17.0.2");
    assert_eq!(home.sleeper("new"), "10.5.0.2");
    home.ok(&["restart", "-t", "0", "old"]);
    assert_eq!(home.address("old"), "10.5.0.3");
    home.ok(&["exec", "old", "ping", "-c", "1", "-W", "10", "10.5.0.2"]);
    assert!(home.host.sh("nft list table inet wharf").contains("iifname @masqueraded"));
    // Without the flag the bridge's address stays.
    home.restart(&[]);
    assert_eq!(home.sleeper("last"), "10.5.0.4");
}

#[test]
fn subnets_that_are_routed_elsewhere_are_left_alone_or_told() {
    let host = Land::new();
    host.sh("ip link add d0 type bridge; ip link set d0 up; ip route add 172.17.5.0/24 dev d0");
    let mut home = Home::with(host, &[]);
    assert_eq!(home.sleeper("ca"), "172.18.0.2");
    assert!(!home.engine.log().contains("overlaps"), "{}", home.engine.log());
    home.ok(&["rm", "-f", "ca"]);
    home.restart(&["--bip", "172.17.0.1/16"]);
    let log = home.engine.log();
    let told = "the subnet 172.17.0.0/16 of docker0 overlaps with this host's route to 172.17.5.0/24";
    assert!(log.contains(told), "{log}");
    assert!(home.ok(&["info", "-f", "{{json .Warnings}}"]).contains(told));
    assert_eq!(home.sleeper("cb"), "172.17.0.2");
}

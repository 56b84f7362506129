//! Users' networks: made, used, left, and found again.

use crate::land::{Home, Land};

/// Who sleeps in `--network` and with these flags.
fn sleeper(home: &Home, name: &str, flags: &[&str]) {
    let words = [&["run", "-d", "--name", name], flags, &["bb", "sleep", "1000"]].concat();
    home.ok(&words);
}

fn pings(home: &Home, from: &str, to: &str) -> bool {
    home.engine.wharf(&["exec", from, "ping", "-c", "1", "-W", "2", to]).status == 0
}

fn ip(home: &Home, container: &str, network: &str) -> String {
    let format = format!("{{{{(index .NetworkSettings.Networks \"{network}\").IPAddress}}}}");
    home.ok(&["inspect", "-f", &format, container])
}

#[test]
fn containers_on_one_network_reach_each_other_and_nobody_else() {
    let home = Home::new();
    home.ok(&["network", "create", "one"]);
    home.ok(&["network", "create", "--subnet", "10.7.0.0/24", "--ip-range", "10.7.0.128/25", "two"]);
    sleeper(&home, "ca", &["--network", "one"]);
    sleeper(&home, "cb", &["--network", "one"]);
    sleeper(&home, "cc", &["--network", "two", "--ip", "10.7.0.9", "--mac-address", "02:00:00:00:00:09"]);
    sleeper(&home, "cd", &["--network", "two"]);
    assert_eq!((ip(&home, "ca", "one"), ip(&home, "cb", "one")), ("172.18.0.2".into(), "172.18.0.3".into()));
    assert_eq!((ip(&home, "cc", "two"), ip(&home, "cd", "two")), ("10.7.0.9".into(), "10.7.0.129".into()));
    assert!(pings(&home, "ca", "172.18.0.3") && pings(&home, "cc", "10.7.0.129"));
    assert!(!pings(&home, "ca", "10.7.0.9"), "networks are isolated");
    assert_eq!(home.ok(&["exec", "cc", "cat", "/sys/class/net/eth0/address"]), "02:00:00:00:00:09");
    let refused = home.fails(&["run", "--rm", "--network", "one", "--ip", "172.18.0.9", "bb", "true"]);
    assert!(refused.contains("only when connecting to networks with user-configured subnets"), "{refused}");
    let taken = home.fails(&["run", "--rm", "--network", "two", "--ip", "10.7.0.9", "bb", "true"]);
    assert!(taken.contains("Address already in use"), "{taken}");
    // Two containers, the gateway, the network's own address and the broadcast address.
    let counted = home.ok(&["network", "inspect", "-f", "{{json .Status}}", "two"]);
    let range = r#"{"IPAM":{"Subnets":{"10.7.0.0/24":{"IPsInUse":5,"DynamicIPsAvailable":125}}}}"#;
    assert_eq!(counted, range, "128 in the range, one given, one the gateway's, one the broadcast address");
    assert_eq!(home.ok(&["network", "inspect", "-f", "{{json .Status}}", "host"]), r#"{"IPAM":{}}"#);
    let missing = home.fails(&["run", "--rm", "--network", "three", "bb", "true"]);
    assert!(missing.contains("network three not found"), "{missing}");
    let used = home.engine.wharf(&["network", "rm", "one"]);
    assert!(
        used.status == 1 && used.stderr.contains("network one has active endpoints (name:\"ca\""),
        "{used:?}"
    );
    home.ok(&["rm", "-f", "ca", "cb"]);
    assert_eq!(home.ok(&["network", "rm", "one"]), "one");
    assert!(!home.host.sh("ip -o link").contains("172.18"));
    assert_eq!(home.ok(&["network", "prune", "-f"]), "", "the other is in use");
}

#[test]
fn several_networks_at_a_start_and_while_it_runs() {
    let home = Home::new();
    for name in ["alpha", "beta", "gamma"] {
        home.ok(&["network", "create", name]);
    }
    sleeper(&home, "peer", &["--network", "gamma"]);
    sleeper(&home, "cc", &["--network", "name=beta,gw-priority=1", "--network", "alpha"]);
    let links = || home.ok(&["exec", "cc", "ls", "/sys/class/net"]).replace('\n', " ");
    let route = || home.ok(&["exec", "cc", "ip", "route"]);
    assert_eq!(links(), "eth0 eth1 lo");
    let gateway = home.ok(&["inspect", "-f", "{{.NetworkSettings.Networks.beta.Gateway}}", "cc"]);
    assert!(route().starts_with(&format!("default via {gateway} dev eth0")), "{}", route());
    let pid = home.ok(&["inspect", "-f", "{{.State.Pid}}", "cc"]);

    home.ok(&["network", "connect", "--alias", "third", "gamma", "cc"]);
    assert_eq!(links(), "eth0 eth1 eth2 lo");
    assert!(pings(&home, "peer", &ip(&home, "cc", "gamma")));
    let twice = home.engine.wharf(&["network", "connect", "gamma", "cc"]);
    assert!(twice.stderr.contains("endpoint with name cc already exists in network gamma"), "{twice:?}");
    home.ok(&["network", "disconnect", "beta", "cc"]);
    assert_eq!(links(), "eth1 eth2 lo");
    let gateway = home.ok(&["inspect", "-f", "{{.NetworkSettings.Networks.alpha.Gateway}}", "cc"]);
    assert!(route().starts_with(&format!("default via {gateway} dev eth1")), "{}", route());
    assert_eq!(home.ok(&["inspect", "-f", "{{.State.Pid}}", "cc"]), pid, "the same process");
    let names = home.ok(&["inspect", "-f", "{{json .NetworkSettings.Networks.gamma.DNSNames}}", "cc"]);
    assert!(names.starts_with("[\"cc\",\"third\","), "{names}");

    home.ok(&["restart", "-t", "0", "cc"]);
    assert_eq!(links(), "eth0 eth1 lo");
    let on = "{{range $name, $n := .NetworkSettings.Networks}}{{$name}} {{end}}";
    assert_eq!(home.ok(&["inspect", "-f", on, "cc"]).trim(), "alpha gamma");
    // A stopped one, and the default network.
    home.ok(&["stop", "-t", "0", "cc"]);
    home.ok(&["network", "disconnect", "alpha", "cc"]);
    home.ok(&["network", "connect", "bridge", "cc"]);
    home.ok(&["start", "cc"]);
    assert_eq!(home.ok(&["inspect", "-f", on, "cc"]).trim(), "bridge gamma");
    assert!(pings(&home, "peer", &ip(&home, "cc", "gamma")));
    // Of this second, too.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let until = (now + 1).to_string();
    let of = ["-f", "type=network", "-f", "network=gamma", "--format", "{{.Action}}"];
    let events = home.ok(&[&["events", "--since", "10m", "--until", &until], &of[..]].concat());
    assert!(events.starts_with("create\nconnect\nconnect\n"), "{events}");
}

#[test]
fn the_next_engine_goes_on_with_the_same_networks() {
    let mut home = Home::new();
    let id =
        home.ok(&["network", "create", "--label", "a=b", "-o", "com.docker.network.driver.mtu=1400", "kept"]);
    home.ok(&["network", "create", "--internal", "inner"]);
    sleeper(&home, "ca", &["--network", "kept"]);
    sleeper(&home, "cb", &["--network", "kept"]);
    assert_eq!(home.ok(&["exec", "ca", "cat", "/sys/class/net/eth0/mtu"]), "1400");
    home.engine.kill();
    // One that nobody has a record of, and one that somebody removed.
    let mark = home.host.sh(&format!("ip link show br-{} | sed -n 's/.*alias //p'", &id[..12]));
    home.host.sh(&format!(
        "ip link add br-stray type bridge; ip link set br-stray alias '{mark}'; ip link del br-{}",
        &id[..12]
    ));
    home.engine.run();
    crate::until("the bridge of nobody goes", || !home.host.sh("ip -o link").contains("br-stray"));
    crate::until("they reach each other", || pings(&home, "ca", "172.18.0.3"));
    assert_eq!(
        home.ok(&["network", "inspect", "-f", "{{.ID}} {{.Labels}}", "kept"]),
        format!("{id} map[a:b]")
    );
    sleeper(&home, "cc", &["--network", "kept"]);
    assert_eq!(ip(&home, "cc", "kept"), "172.18.0.4", "addresses of those that run are theirs");
    // Without a way out there is no way.
    let said = home.sh(&["--network", "inner"], "ip route | grep default || echo none");
    assert_eq!(said, "none");
}

#[test]
fn an_engine_without_a_bridge_has_networks_all_the_same() {
    let home = Home::with(Land::new(), &["--bridge", "none"]);
    assert_eq!(home.host.sh("nft list tables"), "");
    home.ok(&["network", "create", "one"]);
    sleeper(&home, "ca", &["--network", "one"]);
    assert!(home.host.sh("nft list set inet wharf-none bridges").contains("br-"));
    assert!(pings(
        &home,
        "ca",
        &home.ok(&["network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", "one"])
    ));
}

#[test]
fn interfaces_are_called_and_set_as_it_is_wished() {
    let home = Home::new();
    home.ok(&["network", "create", "one"]);
    home.ok(&["network", "create", "two"]);
    let lan = "name=one,driver-opt=com.docker.network.endpoint.ifname=lan0,driver-opt=com.docker.network.endpoint.sysctls=\
               net.ipv4.conf.IFNAME.log_martians=1";
    sleeper(&home, "ca", &["--network", lan, "--network", "two"]);
    let links = |name: &str| home.ok(&["exec", name, "ls", "/sys/class/net"]).replace('\n', " ");
    let martians = "/proc/sys/net/ipv4/conf/lan0/log_martians";
    assert_eq!(links("ca"), "eth0 lan0 lo");
    assert_eq!(home.ok(&["exec", "ca", "cat", martians]), "1");
    sleeper(&home, "cb", &["--network", "name=bridge,driver-opt=com.docker.network.endpoint.ifname=up0"]);
    assert_eq!(links("cb"), "lo up0");
    let option = "com.docker.network.endpoint.ifname=lan0";
    home.ok(&["network", "connect", "--driver-opt", option, "--driver-opt", "com.example.a=b", "one", "cb"]);
    assert_eq!(links("cb"), "lan0 lo up0");
    assert!(pings(&home, "cb", &ip(&home, "ca", "one")));
    assert_eq!(
        home.inspect("cb", "{{json .NetworkSettings.Networks.one.DriverOpts}}"),
        "{\"com.docker.network.endpoint.ifname\":\"lan0\",\"com.example.a\":\"b\"}"
    );
    home.ok(&["restart", "-t", "0", "cb"]);
    assert_eq!(links("cb"), "lan0 lo up0");
    // One name for two.
    let same = ["one", "two"].map(|network| format!("name={network},driver-opt={option}"));
    let said = home.fails(&["run", "--rm", "--network", &same[0], "--network", &same[1], "bb", "true"]);
    assert!(said.contains("the interface name \"lan0\" is that on network one"), "{said}");
    let got = home.engine.wharf(&["network", "connect", "--driver-opt", option, "two", "cb"]);
    let told = "invalid config for network two: invalid endpoint settings:\nthe interface name \"lan0\" is that on network one";
    assert!(got.status == 1 && got.stderr.contains(told), "{got:?}");
    assert_eq!(links("cb"), "lan0 lo up0");
    let wrong = "name=one,driver-opt=com.docker.network.endpoint.sysctls=net.ipv4.conf.eth0.log_martians=1";
    let said = home.fails(&["run", "--rm", "--network", wrong, "bb", "true"]);
    assert!(said.contains("unrecognised network interface sysctl"), "{said}");
    let wrong = "name=one,driver-opt=com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.no_such=1";
    let said = home.engine.wharf(&["run", "--rm", "--network", wrong, "bb", "true"]);
    // Docker's client takes whatever is not there for the command, too.
    assert!(said.status == 127 && said.stderr.contains("set net.ipv4.conf.eth0.no_such to 1"), "{said:?}");
}

#[test]
fn subnets_come_from_the_pools_that_are_said() {
    let pool = "--default-address-pool=base=10.33.0.0/20,size=22";
    let home = Home::with(Land::new(), &[pool, "--default-address-pool", "base=10.44.0.0/24,size=24"]);
    let subnet =
        |name: &str| home.ok(&["network", "inspect", "-f", "{{(index .IPAM.Config 0).Subnet}}", name]);
    assert_eq!(subnet("bridge"), "10.33.0.0/22");
    let made: Vec<_> = (0..4)
        .map(|i| {
            home.ok(&["network", "create", &format!("n{i}")]);
            subnet(&format!("n{i}"))
        })
        .collect();
    assert_eq!(made, ["10.33.4.0/22", "10.33.8.0/22", "10.33.12.0/22", "10.44.0.0/24"]);
    let none = home.engine.wharf(&["network", "create", "n4"]);
    assert!(
        none.stderr.contains("could not find an available, non-overlapping IPv4 address pool"),
        "{none:?}"
    );
    // Of a size that is said.
    home.ok(&["network", "rm", "n3"]);
    for (name, wanted) in [("n5", "10.44.0.0/26"), ("n6", "10.44.0.64/26")] {
        home.ok(&["network", "create", "--subnet", "0.0.0.0/26", name]);
        assert_eq!(subnet(name), wanted);
    }
    home.ok(&["network", "create", "--ipv4=false", "--ipv6", "--subnet", "::/120", "n7"]);
    assert!(subnet("n7").starts_with("fd") && subnet("n7").ends_with("::/120"), "{}", subnet("n7"));
    let own = home.sh(&["--network", "n6"], "ip -o -4 addr show eth0 | grep -o 'inet [^ ]*'");
    assert_eq!(own, "inet 10.44.0.66/26");
    // Two alone: the bridge and a container.
    home.ok(&["network", "create", "--subnet", "10.55.0.6/31", "two"]);
    home.ok(&["run", "-d", "--name", "other", "--network", "two", "bb", "sleep", "1000"]);
    assert_eq!(ip(&home, "other", "two"), "10.55.0.7");
    home.ok(&["exec", "other", "ping", "-c", "1", "-W", "10", "10.55.0.6"]);
    let full = home.fails(&["run", "--rm", "--network", "two", "bb", "true"]);
    assert!(full.contains("no available IPv4 addresses"), "{full}");
    home.ok(&["rm", "-f", "other"]);
    home.ok(&["network", "rm", "two"]);
    let none = home.engine.wharf(&["network", "create", "--subnet", "0.0.0.0/16", "n8"]);
    assert!(none.stderr.contains("could not find an available, non-overlapping IPv4"), "{none:?}");
    let none =
        home.engine.wharf(&["network", "create", "--subnet", "0.0.0.0/26", "--gateway", "10.44.0.130", "n8"]);
    assert!(none.status == 1 && !none.stderr.is_empty(), "{none:?}");
    assert_eq!(
        home.ok(&["info", "-f", "{{json .DefaultAddressPools}}"]),
        "[{\"Base\":\"10.33.0.0/20\",\"Size\":22},{\"Base\":\"10.44.0.0/24\",\"Size\":24}]"
    );
    // What nobody uses goes, of all kinds.
    sleeper(&home, "ca", &["--network", "n1"]);
    let said = home.ok(&["system", "prune", "-f"]);
    assert!(said.starts_with("Deleted Networks:\nn0\nn2\nn5\nn6\nn7\n\nTotal reclaimed space: "), "{said}");
}

//! IPv6: beside IPv4 and alone, on the default network and on users', and gateway modes.

use crate::land::{Home, Land, linked};

/// As [`linked`], with IPv6: the world is `2001:db8:99::2`, the host `::1`, and the world knows the way to ULAs.
pub(crate) fn wide() -> (Land, Land) {
    let (host, world) = linked();
    // As on a host without br_netfilter.
    host.run("echo 0 >/proc/sys/net/bridge/bridge-nf-call-ip6tables");
    host.sh("ip addr add 2001:db8:99::1/64 dev up0 nodad");
    world.sh("ip addr add 2001:db8:99::2/64 dev eth0 nodad; ip route add fd00::/8 via 2001:db8:99::1");
    (host, world)
}

fn sleeper(home: &Home, name: &str, flags: &[&str]) {
    home.ok(&[&["run", "-d", "--name", name], flags, &["bb", "sleep", "1000"]].concat());
}

/// Says hello to everybody who connects to the port.
fn server(home: &Home, name: &str, port: u16) {
    let line = format!("while :; do echo hello | nc -l -p {port}; done");
    home.ok(&["exec", "-d", name, "sh", "-c", &line]);
}

fn shown(home: &Home, name: &str, network: &str, field: &str) -> String {
    home.inspect(name, &format!("{{{{(index .NetworkSettings.Networks \"{network}\").{field}}}}}"))
}

#[test]
fn a_network_with_both() {
    let (host, world) = wide();
    let home = Home::with(host, &[]);
    home.ok(&["network", "create", "--ipv6", "both"]);
    let inspect = |format: &str| home.ok(&["network", "inspect", "-f", format, "both"]);
    assert_eq!(inspect("{{.EnableIPv4}} {{.EnableIPv6}} {{len .IPAM.Config}}"), "true true 2");
    let prefix = inspect("{{(index .IPAM.Config 1).Subnet}}");
    let prefix = prefix.strip_suffix("::/64").expect("the first of a /48");
    assert!(prefix.starts_with("fd") && prefix.matches(':').count() == 2, "{prefix}");
    assert_eq!(inspect("{{(index .IPAM.Config 1).Gateway}}"), format!("{prefix}::1"));
    sleeper(&home, "ca", &["--network", "both", "-p", "8080:80", "-p", "[::1]:8081:80"]);
    sleeper(&home, "cb", &["--network", "both"]);
    let of = |field: &str| shown(&home, "ca", "both", field);
    assert_eq!(
        [of("GlobalIPv6Address"), of("GlobalIPv6PrefixLen"), of("IPv6Gateway"), of("IPAddress")],
        [format!("{prefix}::2"), "64".into(), format!("{prefix}::1"), "172.18.0.2".into()]
    );
    let members = inspect("{{range .Containers}}{{.IPv4Address}} {{.IPv6Address}},{{end}}");
    assert!(members.contains(&format!("172.18.0.2/16 {prefix}::2/64,")), "{members}");
    let inside = |name: &str, line: &str| home.ok(&["exec", name, "sh", "-c", line]);
    assert!(inside("ca", "cat /etc/hosts").contains(&format!("{prefix}::2\t")));
    assert!(inside("ca", "ip -6 route").contains(&format!("default via {prefix}::1 dev eth0")));
    assert_eq!(inside("ca", "cat /proc/sys/net/ipv6/conf/eth0/accept_ra"), "0");
    // By name, of both versions, and backwards.
    let asked = inside("cb", "nslookup -type=aaaa ca");
    assert!(asked.contains(&format!("Address: {prefix}::2")), "{asked}");
    let asked = inside("cb", &format!("nslookup {prefix}::2 || true"));
    assert!(asked.contains("ca.both"), "{asked}");
    inside("cb", "ping -6 -c 1 -W 10 ca");
    // Reached at both, from everywhere; at ::1 by the host alone.
    server(&home, "ca", 80);
    for at in ["[::1]:8080", "[::1]:8081", "[2001:db8:99::1]:8080", "127.0.0.1:8080"] {
        crate::until(at, || home.host.hear(at) == "hello");
    }
    for at in ["[2001:db8:99::1]:8080", "10.99.0.1:8080"] {
        crate::until(at, || world.hear(at) == "hello");
    }
    assert_eq!(world.hear("[2001:db8:99::1]:8081"), "");
    assert_eq!(world.hear(&format!("[{prefix}::2]:80")), "", "nothing comes in uninvited");
    assert_eq!(home.ok(&["port", "ca", "80"]), "0.0.0.0:8080\n[::1]:8081\n[::]:8080");
    let ports = home.ok(&["ps", "--filter", "name=ca", "--format", "{{.Ports}}"]);
    assert!(ports.contains("0.0.0.0:8080->80/tcp") && ports.contains("[::]:8080->80/tcp"), "{ports}");
    // Out under the host's address.
    let seen = world.serve("[2001:db8:99::2]:80");
    assert_eq!(inside("ca", "nc -w 5 2001:db8:99::2 80"), "hello");
    assert_eq!(seen.recv().unwrap(), "2001:db8:99::1");
    // Another network's have no way here, and one without IPv6 has none.
    home.ok(&["network", "create", "plain"]);
    sleeper(&home, "cc", &["--network", "plain"]);
    assert_eq!(inside("cc", "ip -6 addr show dev eth0"), "");
    assert!(
        home.fails(&["run", "--rm", "--network", "plain", "-p", "[::1]:90:90", "bb", "true"])
            .contains("has IPv6")
    );
}

/// Whoever connects to `localhost` tries ::1 first: where no answer can come back, that must not be waited for.
#[test]
fn where_bridges_filter_the_own_address_is_refused_at_once() {
    let (host, _world) = wide();
    host.run("echo 1 >/proc/sys/net/bridge/bridge-nf-call-ip6tables");
    let home = Home::with(host, &[]);
    home.ok(&["network", "create", "--ipv6", "both"]);
    sleeper(&home, "ca", &["--network", "both", "-p", "8080:80"]);
    server(&home, "ca", 80);
    crate::until("by IPv4", || home.host.hear("127.0.0.1:8080") == "hello");
    let start = std::time::Instant::now();
    assert_eq!(home.host.hear("[::1]:8080"), "");
    assert!(start.elapsed() < std::time::Duration::from_secs(1), "it was waited for");
}

#[test]
fn it_is_kept_over_a_restart_and_goes_with_its_network() {
    let (host, world) = wide();
    let mut home = Home::with(host, &[]);
    home.ok(&["network", "create", "--ipv6", "both"]);
    sleeper(&home, "ca", &["--network", "both", "-p", "8080:80"]);
    server(&home, "ca", 80);
    let address = shown(&home, "ca", "both", "GlobalIPv6Address");
    home.engine.kill();
    home.engine.run();
    crate::until("it is reached still", || world.hear("[2001:db8:99::1]:8080") == "hello");
    assert_eq!(shown(&home, "ca", "both", "GlobalIPv6Address"), address);
    sleeper(&home, "cb", &["--network", "both"]);
    assert_ne!(shown(&home, "cb", "both", "GlobalIPv6Address"), address);
    // A bridge that somebody removes comes back with what it had.
    let bridge = home.ok(&["network", "ls", "-q", "-f", "name=both"]);
    home.host.sh(&format!("ip link del br-{bridge}"));
    crate::until("it is reached again", || world.hear("[2001:db8:99::1]:8080") == "hello");
    crate::until("by the host, too", || home.host.hear("[::1]:8080") == "hello");
    home.ok(&["rm", "-f", "ca", "cb"]);
    home.ok(&["network", "rm", "both"]);
    let rules = home.host.sh("nft list table inet wharf");
    assert!(!rules.contains(&format!("br-{bridge}")), "{rules}");
    assert!(!home.host.sh("ip -6 route show table all").contains("br-"), "no route is left");
}

#[test]
fn addresses_that_are_asked_for() {
    let home = Home::with(wide().0, &[]);
    home.ok(&[
        "network",
        "create",
        "--ipv6",
        "--subnet=10.7.0.0/24",
        "--subnet=fd07::/64",
        "--gateway=fd07::ff",
        "--ip-range=fd07::1:0/112",
        "--aux-address=printer=fd07::1:0",
        "said",
    ]);
    let shown_of = home.ok(&["network", "inspect", "-f", "{{json .IPAM.Config}}", "said"]);
    assert_eq!(
        shown_of,
        "[{\"Subnet\":\"10.7.0.0/24\",\"Gateway\":\"10.7.0.1\"},{\"Subnet\":\"fd07::/64\",\"IPRange\":\"fd07::1:0/112\",\
         \"Gateway\":\"fd07::ff\",\"AuxiliaryAddresses\":{\"printer\":\"fd07::1:0\"}}]"
    );
    sleeper(&home, "ca", &["--network", "said"]);
    assert_eq!(shown(&home, "ca", "said", "GlobalIPv6Address"), "fd07::1:1");
    sleeper(
        &home,
        "cb",
        &["--network", "said", "--ip", "10.7.0.9", "--ip6", "fd07::9", "--link-local-ip", "fe80::9"],
    );
    assert_eq!(shown(&home, "cb", "said", "GlobalIPv6Address"), "fd07::9");
    assert_eq!(
        home.inspect("cb", "{{json .NetworkSettings.Networks.said.IPAMConfig}}"),
        "{\"IPv4Address\":\"10.7.0.9\",\"IPv6Address\":\"fd07::9\",\"LinkLocalIPs\":[\"fe80::9\"]}"
    );
    let addresses = home.ok(&["exec", "cb", "ip", "-6", "addr", "show", "dev", "eth0"]);
    assert!(addresses.contains("inet6 fe80::9/64") && addresses.contains("inet6 fd07::9/64"), "{addresses}");
    assert!(
        home.fails(&["run", "--network", "said", "--ip6", "fd07::9", "bb", "true"])
            .contains("Address already in use")
    );
    let outside = home.fails(&["run", "--rm", "--network", "said", "--ip6", "fd08::9", "bb", "true"]);
    assert!(outside.contains("no configured subnet contains IP address fd08::9"), "{outside}");
    // Connected while it runs, without and with IPv6.
    sleeper(&home, "cc", &[]);
    home.ok(&["network", "connect", "--ip6", "fd07::c", "said", "cc"]);
    home.ok(&["exec", "cc", "ping", "-6", "-c", "1", "-W", "10", "fd07::9"]);
    assert!(home.ok(&["exec", "cc", "ip", "-6", "route"]).contains("default via fd07::ff dev eth1"));
    assert!(home.ok(&["exec", "cc", "ip", "route"]).contains("default via 172.17.0.1 dev eth0"));
    home.ok(&["network", "disconnect", "said", "cc"]);
    assert_eq!(home.ok(&["exec", "cc", "ip", "-6", "route"]), "");
    // One address taken twice over is refused before anything is made.
    let error = home.engine.wharf(&["network", "create", "--ipv6", "--subnet=fd07::/80", "again"]);
    assert!(error.stderr.contains("Pool overlaps with other one on this address space"), "{error:?}");
}

#[test]
fn a_network_of_ipv6_alone() {
    let (host, world) = wide();
    let home = Home::with(host, &[]);
    let refused = home.engine.wharf(&["network", "create", "--ipv4=false", "six"]);
    assert!(refused.status == 1 && refused.stderr.contains("IPv4 or IPv6 must be enabled"), "{refused:?}");
    home.ok(&["network", "create", "--ipv4=false", "--ipv6", "--subnet", "fd06::/64", "six"]);
    assert_eq!(
        home.ok(&[
            "network",
            "inspect",
            "-f",
            "{{.EnableIPv4}} {{.EnableIPv6}} {{json .IPAM.Config}}",
            "six"
        ]),
        "false true [{\"Subnet\":\"fd06::/64\",\"Gateway\":\"fd06::1\"}]"
    );
    sleeper(&home, "ca", &["--network", "six", "-p", "8080:80"]);
    sleeper(&home, "cb", &["--network", "six"]);
    assert_eq!(shown(&home, "ca", "six", "IPAddress"), "");
    assert_eq!(shown(&home, "ca", "six", "GlobalIPv6Address"), "fd06::2");
    server(&home, "ca", 80);
    home.ok(&["exec", "cb", "ping", "-c", "1", "-W", "10", "ca"]);
    crate::until("the world hears it", || world.hear("[2001:db8:99::1]:8080") == "hello");
    assert_eq!(home.ok(&["port", "ca"]), "80/tcp -> [::]:8080");
    let refused = home.fails(&["run", "--rm", "--network", "six", "-p", "127.0.0.1:1:1", "bb", "true"]);
    assert!(refused.contains("has IPv4"), "{refused}");
}

#[test]
fn gateway_modes() {
    let (host, world) = wide();
    let home = Home::with(host, &[]);
    let mode = |mode: &str, rest: &[&str]| {
        let [four, six] =
            ["4", "6"].map(|v| format!("-ocom.docker.network.bridge.gateway_mode_ipv{v}={mode}"));
        home.ok(&[&["network", "create", "--ipv6", &four, &six], rest].concat());
    };
    mode("routed", &["--subnet=172.20.0.0/24", "--subnet=fd20::/64", "routed"]);
    mode("nat-unprotected", &["--subnet=172.21.0.0/24", "--subnet=fd21::/64", "open"]);
    mode("isolated", &["--internal", "--subnet=172.22.0.0/24", "--subnet=fd22::/64", "alone"]);
    sleeper(&home, "ca", &["--network", "routed", "-p", "80"]);
    sleeper(&home, "cb", &["--network", "open"]);
    sleeper(&home, "cc", &["--network", "alone"]);
    for name in ["ca", "cb"] {
        server(&home, name, 80);
        server(&home, name, 81);
    }
    for at in ["172.20.0.2:80", "[fd20::2]:80", "172.21.0.2:81", "[fd21::2]:81"] {
        crate::until(at, || world.hear(at) == "hello");
    }
    for at in ["172.20.0.2:81", "[fd20::2]:81"] {
        crate::until(at, || home.host.hear(at) == "hello");
        assert_eq!(world.hear(at), "", "{at}");
    }
    // From network to network: what is published, and only where addresses are known.
    let hears = |name: &str, to: &str, port: &str| {
        home.engine.wharf(&["exec", name, "nc", "-w", "2", to, port]).stdout == "hello\n"
    };
    assert!(hears("cb", "fd20::2", "80") && hears("cb", "172.20.0.2", "80"));
    assert!(!hears("cb", "fd20::2", "81") && !hears("ca", "fd21::2", "81"));
    assert_eq!(
        home.inspect("ca", "{{json .NetworkSettings.Ports}}"),
        r#"{"80/tcp":[{"HostIp":"0.0.0.0","HostPort":""},{"HostIp":"::","HostPort":""}]}"#
    );
    let seen = world.serve("[2001:db8:99::2]:80");
    home.ok(&["exec", "ca", "nc", "-w", "5", "2001:db8:99::2", "80"]);
    assert_eq!(seen.recv().unwrap(), "fd20::2");
    let bridge = home.ok(&["network", "ls", "-q", "-f", "name=alone"]);
    assert_eq!(home.host.sh(&format!("ip addr show dev br-{bridge} scope global")), "");
    assert!(!home.ok(&["exec", "cc", "ip", "-6", "route"]).contains("default"));
    let refused = home.engine.wharf(&[
        "network",
        "create",
        "-ocom.docker.network.bridge.gateway_mode_ipv6=isolated",
        "--ipv6",
        "wrong",
    ]);
    assert!(refused.stderr.contains("can only be used for an internal network"), "{refused:?}");
}

#[test]
fn the_default_network_has_it_with_a_flag() {
    let (host, world) = wide();
    let mut home = Home::with(host, &["--ipv6", "--fixed-cidr-v6", "fd17::/64"]);
    home.ok(&["run", "-d", "--name", "ca", "-p", "8080:80", "bb", "sleep", "1000"]);
    assert_eq!(shown(&home, "ca", "bridge", "GlobalIPv6Address"), "fd17::2");
    server(&home, "ca", 80);
    crate::until("the world hears it", || world.hear("[2001:db8:99::1]:8080") == "hello");
    assert_eq!(home.ok(&["network", "inspect", "-f", "{{.EnableIPv6}}", "bridge"]), "true");
    let addresses = home.ok(&["exec", "ca", "ip", "-6", "addr", "show", "dev", "eth0"]);
    assert!(!addresses.contains("tentative"), "{addresses}");
    home.restart(&["--bip6", "fd17::9/64"]);
    assert_eq!(
        home.ok(&["network", "inspect", "-f", "{{(index .IPAM.Config 1).Gateway}}", "bridge"]),
        "fd17::9"
    );
    sleeper(&home, "cb", &[]);
    assert_eq!(shown(&home, "cb", "bridge", "GlobalIPv6Address"), "fd17::1");
}

#[test]
fn the_default_network_has_a_prefix_of_the_engine_s_own() {
    let mut home = Home::with(wide().0, &["--ipv6"]);
    sleeper(&home, "ca", &[]);
    let address = shown(&home, "ca", "bridge", "GlobalIPv6Address");
    assert!(address.starts_with("fd") && address.ends_with("::2"), "{address}");
    home.ok(&["rm", "-f", "ca"]);
    // Without the flag containers have none again.
    home.restart(&["--ipv6=false"]);
    sleeper(&home, "cb", &[]);
    assert_eq!(shown(&home, "cb", "bridge", "GlobalIPv6Address"), "");
    assert_eq!(home.ok(&["exec", "cb", "ip", "-6", "addr", "show", "dev", "eth0"]), "");
}

#[test]
fn pools_of_the_user_s_and_a_firewall_that_is_somebody_else_s() {
    let mut home =
        Home::with(wide().0, &["--default-address-pool", "base=fd33:1::/56,size=64", "--ip6tables=false"]);
    for (name, subnet) in [("one", "fd33:1::/64"), ("two", "fd33:1:0:1::/64")] {
        home.ok(&["network", "create", "--ipv6", name]);
        assert_eq!(home.ok(&["network", "inspect", "-f", "{{(index .IPAM.Config 1).Subnet}}", name]), subnet);
    }
    let rules = home.host.sh("nft list table inet wharf");
    assert!(!rules.contains("ports6"), "{rules}");
    let refused = home.fails(&["run", "--rm", "--network", "one", "-p", "[::]:80:80", "bb", "true"]);
    assert!(refused.contains("--ip6tables=false"), "{refused}");
    home.restart(&["--ip6tables=true"]);
    assert!(home.host.sh("nft list table inet wharf").contains("ports6"));
}

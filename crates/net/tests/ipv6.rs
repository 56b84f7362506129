//! IPv6 beside IPv4 and without it, and gateway modes, in network namespaces made for the test. Needs root.

mod kit;

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use kit::*;
use net::{
    Address, AddressPool, BridgeConfig, Fabric, GatewayMode, Ipv6Config, NetNs, PortWish, Protocol, Reach,
    Sandbox, default_pools,
};

fn pools() -> Vec<AddressPool> {
    let ula = AddressPool { base: "fd12:3456:789a::/48".parse().unwrap(), size: 64 };
    [default_pools(), vec![ula]].concat()
}

fn dual(name: &str) -> BridgeConfig {
    BridgeConfig {
        name: name.to_owned(),
        owned: true,
        ipv6: Some(Ipv6Config::default()),
        ..BridgeConfig::default()
    }
}

fn mode(name: &str, mode: GatewayMode) -> BridgeConfig {
    BridgeConfig { mode, ipv6: Some(Ipv6Config { mode, ..Ipv6Config::default() }), ..dual(name) }
}

fn container(fabric: &Fabric, bridge: &str) -> (Sandbox, Address) {
    let address = fabric.claim(bridge, GATEWAY).unwrap();
    let mut sandbox = fabric.take_unplugged().unwrap();
    fabric.plug(&mut sandbox, bridge, "eth0", &address).unwrap();
    (sandbox, address)
}

fn six(address: &Address) -> Ipv6Addr {
    address.ipv6.unwrap().addr()
}

fn reach(address: &Address) -> Reach {
    Reach { ipv4: address.ipv4.map(|net| net.addr()), ipv6: address.ipv6.map(|net| net.addr()) }
}

/// As [`outside`], with IPv6: the world is `2001:db8:99::2`, the host `::1`, and the world knows the way to `fd12::/16`.
fn wide_world() -> NetNs {
    let world = outside();
    ip(&["addr", "add", "2001:db8:99::1/64", "dev", "up0", "nodad"]);
    inside(&world, || {
        ip(&["addr", "add", "2001:db8:99::2/64", "dev", "eth0", "nodad"]);
        ip(&["route", "add", "fd12::/16", "via", "2001:db8:99::1"]);
        ip(&["route", "add", "172.16.0.0/12", "via", "10.99.0.1"]);
    });
    world
}

fn fabric() -> Fabric {
    // As on a host without br_netfilter.
    let _ = std::fs::write("/proc/sys/net/bridge/bridge-nf-call-ip6tables", "0");
    Fabric::start(desired("docker0", "wharf"), |_| {}).unwrap()
}

fn wish(address: &str, container: u16, host: u16) -> PortWish {
    let (host, address) = ((host > 0).then_some((host, host)), address.parse().unwrap());
    PortWish { container, protocol: Protocol::Tcp, host, address }
}

#[test]
fn a_network_has_both_and_its_containers_reach_each_other_and_the_world() {
    on_a_host(|| {
        let world = wide_world();
        let fabric = fabric();
        let rules = nft(&["list", "table", "inet", "wharf"]);
        assert!(!rules.contains("ports6"), "nothing of IPv6 for nobody: {rules}");
        let facts = fabric.add(dual("br-1"), &pools()).unwrap();
        assert_eq!(facts.address6.unwrap().to_string(), "fd12:3456:789a::1/64");
        assert_eq!(std::fs::read_to_string("/proc/sys/net/ipv6/conf/all/forwarding").unwrap().trim(), "1");
        let (one, first) = container(&fabric, "br-1");
        let (two, second) = container(&fabric, "br-1");
        assert_eq!(
            [six(&first), six(&second)].map(|ip| ip.to_string()),
            ["fd12:3456:789a::2", "fd12:3456:789a::3"]
        );
        let shown = inside(one.netns(), || ip(&["-6", "addr", "show", "dev", "eth0"]));
        assert!(
            shown.contains("fd12:3456:789a::2/64 scope global") && !shown.contains("tentative"),
            "{shown}"
        );
        assert!(
            inside(one.netns(), || ip(&["-6", "route"])).contains("default via fd12:3456:789a::1 dev eth0")
        );
        // At once: nobody waits whether the address is somebody else's.
        let seen = serve_once(one.netns(), (six(&first), 80).into());
        assert_eq!(inside(two.netns(), || connect((six(&first), 80).into())).unwrap(), "hello");
        assert_eq!(seen.recv().unwrap(), six(&second).to_string());
        // Out with the host's address, and in for nobody who was not invited.
        let seen = serve_once(&world, at("[2001:db8:99::2]:80"));
        assert_eq!(inside(one.netns(), || connect(at("[2001:db8:99::2]:80"))).unwrap(), "hello");
        assert_eq!(seen.recv().unwrap(), "2001:db8:99::1");
        let _seen = serve_once(one.netns(), (six(&first), 81).into());
        inside(&world, || connect((six(&first), 81).into())).unwrap_err();
        // Another network's do not reach it, the host does.
        fabric.add(dual("br-2"), &pools()).unwrap();
        let (other, _) = container(&fabric, "br-2");
        inside(other.netns(), || connect((six(&first), 81).into())).unwrap_err();
        assert_eq!(connect((six(&first), 81).into()).unwrap(), "hello");
        // A plain one beside has none.
        let plain = BridgeConfig { ipv6: None, ..dual("br-3") };
        fabric.add(plain, &pools()).unwrap();
        let (four, address) = container(&fabric, "br-3");
        assert_eq!((address.ipv6, address.gateway6), (None, None));
        assert_eq!(inside(four.netns(), || ip(&["-6", "addr", "show", "dev", "eth0"])), "");
    });
}

#[test]
fn this_host_goes_on_hearing_its_router_and_is_none_for_others() {
    on_a_host(|| {
        let world = wide_world();
        let beside = outside_two();
        let read = |name: &str| std::fs::read_to_string(format!("/proc/sys/net/ipv6/conf/{name}")).unwrap();
        assert_eq!(read("up0/accept_ra").trim(), "1");
        let fabric = fabric();
        fabric.add(dual("br-1"), &pools()).unwrap();
        assert_eq!((read("up0/accept_ra").trim(), read("br-1/accept_ra").trim()), ("2", "0"));
        let listing = nft(&["list", "chain", "inet", "wharf", "forward6"]);
        assert!(listing.contains("policy drop"), "{listing}");
        // From one neighbour of the host's to the other: not through us.
        let _seen = serve_once(&beside, at("[2001:db8:98::2]:80"));
        inside(&world, || connect(at("[2001:db8:98::2]:80"))).unwrap_err();
        // Also when the network is gone, as forwarding stays on.
        fabric.remove("br-1").unwrap();
        assert!(nft(&["list", "chain", "inet", "wharf", "forward6"]).contains("policy drop"));
        drop(fabric);
        let again = self::fabric();
        again.restore(Vec::new()).unwrap();
        assert!(nft(&["list", "chain", "inet", "wharf", "forward6"]).contains("policy drop"));
        inside(&world, || connect(at("[2001:db8:98::2]:80"))).unwrap_err();
    });
}

/// Another neighbour of the host's, `2001:db8:98::2`.
fn outside_two() -> NetNs {
    let beside = std::thread::spawn(|| {
        let netns = NetNs::unshare().unwrap();
        ip(&["link", "set", "lo", "up"]);
        netns
    })
    .join()
    .unwrap();
    let path = {
        use std::os::fd::{AsFd, AsRawFd};
        format!("/proc/{}/fd/{}", std::process::id(), beside.as_fd().as_raw_fd())
    };
    ip(&["link", "add", "side0", "type", "veth", "peer", "name", "eth0", "netns", &path]);
    ip(&["addr", "add", "2001:db8:98::1/64", "dev", "side0", "nodad"]);
    ip(&["link", "set", "side0", "up"]);
    inside(&beside, || {
        ip(&["addr", "add", "2001:db8:98::2/64", "dev", "eth0", "nodad"]);
        ip(&["link", "set", "eth0", "up"]);
        ip(&["route", "add", "default", "via", "2001:db8:98::1"]);
    });
    beside
}

#[test]
fn ports_are_published_at_addresses_of_both() {
    on_a_host(|| {
        let world = wide_world();
        inside(&world, || ip(&["route", "add", "default", "via", "2001:db8:99::1"]));
        let fabric = fabric();
        fabric.add(dual("br-1"), &pools()).unwrap();
        let (one, address) = container(&fabric, "br-1");
        let (two, _) = container(&fabric, "br-1");
        let wishes =
            [wish("0.0.0.0", 80, 8080), wish("::", 80, 8080), wish("::1", 80, 8081), wish("::", 90, 90)];
        let published = fabric.publish("a", reach(&address), &wishes).unwrap();
        assert_eq!(published.mappings.len(), 4);
        let serve = |port: u16| serve_once(one.netns(), (Ipv6Addr::UNSPECIFIED, port).into());
        for (from, to, port, seen_as) in [
            (None, "[::1]:8080", 80, "fd12:3456:789a::1"),
            (None, "[::1]:8081", 80, "fd12:3456:789a::1"),
            (None, "[2001:db8:99::1]:8080", 80, "2001:db8:99::1"),
            (None, "[::1]:90", 90, "fd12:3456:789a::1"),
            (Some(&world), "[2001:db8:99::1]:8080", 80, "2001:db8:99::2"),
            (Some(&world), "[2001:db8:99::1]:90", 90, "2001:db8:99::2"),
            (Some(&world), "10.99.0.1:8080", 80, "::ffff:10.99.0.2"),
            (Some(two.netns()), "[fd12:3456:789a::1]:8080", 80, "fd12:3456:789a::1"),
            (Some(one.netns()), "[2001:db8:99::1]:8080", 80, "fd12:3456:789a::1"),
        ] {
            let seen = serve(port);
            let heard = match from {
                Some(netns) => inside(netns, || connect(at(to))),
                None => connect(at(to)),
            };
            assert_eq!(heard.unwrap_or_else(|error| panic!("{to}: {error}")), "hello", "{to}");
            let seen = seen.recv_timeout(Duration::from_secs(5)).unwrap();
            if to == "10.99.0.1:8080" || !seen_as.starts_with("fd12") && from.is_some() {
                assert_eq!(seen, seen_as, "{to}");
            }
        }
        // What is published at ::1 is for the host alone.
        inside(&world, || connect(at("[2001:db8:99::1]:8081"))).unwrap_err();
        assert!(std::net::TcpListener::bind("[::]:8080").is_err(), "the port is held");
        // And the host's own ::1 is as ever.
        let listener = std::net::TcpListener::bind("[::1]:7").unwrap();
        std::net::TcpStream::connect("[::1]:7").unwrap();
        drop(listener);
        let taken = fabric.publish("b", reach(&address), &[wish("::", 1, 8080)]).unwrap_err();
        assert_eq!(taken.to_string(), "Bind for :::8080 failed: port is already allocated");
        fabric.unpublish("a").unwrap();
        inside(&world, || connect(at("[2001:db8:99::1]:8080"))).unwrap_err();
    });
}

#[test]
fn gateway_modes_say_who_reaches_what() {
    on_a_host(|| {
        let world = wide_world();
        let fabric = fabric();
        fabric.add(mode("br-1", GatewayMode::Routed), &pools()).unwrap();
        fabric.add(mode("br-2", GatewayMode::NatUnprotected), &pools()).unwrap();
        fabric.add(dual("br-3"), &pools()).unwrap();
        let (routed, routed_at) = container(&fabric, "br-1");
        let (open, open_at) = container(&fabric, "br-2");
        let (other, _) = container(&fabric, "br-3");
        let published = fabric
            .publish("a", reach(&routed_at), &[wish("0.0.0.0", 80, 8080), wish("::", 80, 8080)])
            .unwrap();
        assert!(published.mappings.iter().all(|mapping| (mapping.host, mapping.container) == (0, 80)));
        assert!(published.holder.is_none(), "no port of the host's is taken");
        for to in reach_of(&routed_at) {
            // Published ports, from the world and from other networks, and no others.
            for from in [&world, other.netns()] {
                let _seen = serve_once(routed.netns(), (to, 80).into());
                assert_eq!(inside(from, || connect((to, 80).into())).unwrap(), "hello", "{to}");
                let _seen = serve_once(routed.netns(), (to, 81).into());
                inside(from, || connect((to, 81).into())).unwrap_err();
                connect((to, 81).into()).unwrap();
            }
            inside(&world, || ip_ping(to));
        }
        // It goes out under its own address.
        let seen = serve_once(&world, at("[2001:db8:99::2]:80"));
        inside(routed.netns(), || connect(at("[2001:db8:99::2]:80"))).unwrap();
        assert_eq!(seen.recv().unwrap(), six(&routed_at).to_string());
        // Every port, for who has a route, but for no other network of ours.
        for to in reach_of(&open_at) {
            let _seen = serve_once(open.netns(), (to, 81).into());
            inside(other.netns(), || connect((to, 81).into())).unwrap_err();
            assert_eq!(inside(&world, || connect((to, 81).into())).unwrap(), "hello", "{to}");
        }
        let seen = serve_once(&world, at("[2001:db8:99::2]:80"));
        inside(open.netns(), || connect(at("[2001:db8:99::2]:80"))).unwrap();
        assert_eq!(seen.recv().unwrap(), "2001:db8:99::1");
        fabric.unpublish("a").unwrap();
        let to = reach_of(&routed_at)[1];
        let _seen = serve_once(routed.netns(), (to, 80).into());
        inside(&world, || connect((to, 80).into())).unwrap_err();
        // Isolated: the host itself has no address there.
        let isolated = BridgeConfig { internal: true, ..mode("br-4", GatewayMode::Isolated) };
        fabric.add(isolated, &pools()).unwrap();
        assert!(!ip(&["addr", "show", "dev", "br-4", "scope", "global"]).contains("inet"));
        let (_four, address) = container(&fabric, "br-4");
        assert_eq!((address.gateway, address.gateway6), (None, None));
    });
}

fn reach_of(address: &Address) -> [IpAddr; 2] {
    [address.ipv4.unwrap().addr().into(), six(address).into()]
}

fn ip_ping(to: IpAddr) {
    let output = std::process::Command::new("busybox")
        .args(["ping", "-c", "1", "-W", "5", &to.to_string()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn a_network_of_ipv6_alone_and_containers_kept_apart() {
    on_a_host(|| {
        let fabric = fabric();
        let address = "2001:db8:7::1/64".parse().ok();
        let ipv6 = Ipv6Config { address, range: "2001:db8:7::100/120".parse().ok(), ..Ipv6Config::default() };
        let alone = BridgeConfig { ipv4: false, ipv6: Some(ipv6), inter_container: false, ..dual("br-1") };
        let facts = fabric.add(alone.clone(), &pools()).unwrap();
        assert_eq!((facts.address, facts.gateway6), (None, "2001:db8:7::1".parse().ok()));
        let (one, first) = container(&fabric, "br-1");
        let (two, _) = container(&fabric, "br-1");
        assert_eq!(first.ipv4, None);
        assert_eq!(six(&first).to_string(), "2001:db8:7::100");
        assert_eq!(first.mac.unwrap().to_string(), "02:42:00:00:01:00");
        assert!(!inside(one.netns(), || ip(&["-4", "addr", "show", "dev", "eth0"])).contains("inet"));
        let _seen = serve_once(one.netns(), (six(&first), 80).into());
        inside(two.netns(), || connect((six(&first), 80).into())).unwrap_err();
        connect((six(&first), 80).into()).unwrap();
        let same = BridgeConfig { name: "br-2".into(), ..alone.clone() };
        assert!(matches!(fabric.add(same, &pools()), Err(net::Error::PoolOverlaps { .. })));
        // After a restart it is the same, and who lives keeps what he has.
        drop(fabric);
        let again = self::fabric();
        let (_, refused) = again.restore(vec![alone]).unwrap();
        assert!(refused.is_empty());
        again.reclaim("br-1", six(&first).into()).unwrap();
        assert_eq!(again.claim("br-1", GATEWAY).unwrap().ipv6.unwrap().addr().to_string(), "2001:db8:7::101");
        assert_eq!(inside(one.netns(), || ip_ok("2001:db8:7::1")), ());
    });
}

fn ip_ok(to: &str) {
    ip_ping(to.parse().unwrap());
}

#[test]
fn iptables_of_both_are_stood_in_for() {
    on_a_host(|| {
        let world = wide_world();
        for command in ["iptables", "ip6tables"] {
            let status =
                std::process::Command::new(command).args(["-P", "FORWARD", "DROP"]).status().unwrap();
            assert!(status.success());
        }
        let fabric = fabric();
        fabric.restore(Vec::new()).unwrap();
        fabric.add(dual("br-1"), &pools()).unwrap();
        let (one, _) = container(&fabric, "br-1");
        let _seen = serve_once(&world, at("[2001:db8:99::2]:80"));
        inside(one.netns(), || connect(at("[2001:db8:99::2]:80"))).unwrap();
        fabric.remove("br-1").unwrap();
        assert!(!nft(&["list", "chain", "ip6", "filter", "FORWARD"]).contains("wharf"));
    });
}

//! Users' networks beside the default one, in network namespaces made for the test. Needs root.

mod kit;

use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::mpsc;
use std::time::Duration;

use kit::*;
use net::{BridgeConfig, Desired, DnsSockets, Fabric, NetNs, Place, Sandbox, default_pools};

fn network(name: &str) -> BridgeConfig {
    BridgeConfig { name: name.to_owned(), owned: true, ..BridgeConfig::default() }
}

fn with_address(name: &str, address: &str) -> BridgeConfig {
    BridgeConfig { address: Some(address.parse().unwrap()), ..network(name) }
}

fn fabric() -> Fabric {
    Fabric::start(desired("docker0", "wharf"), |_| {}).unwrap()
}

/// A container on one network.
fn container(fabric: &Fabric, bridge: &str) -> (Sandbox, Ipv4Addr) {
    let address = fabric.claim(bridge, GATEWAY).unwrap();
    let mut sandbox = fabric.take_unplugged().unwrap();
    fabric.plug(&mut sandbox, bridge, "eth0", &address).unwrap();
    (sandbox, address.ipv4.unwrap().addr())
}

#[test]
fn networks_have_subnets_of_their_own_and_are_isolated() {
    on_a_host(|| {
        let world = outside();
        let fabric = fabric();
        let first = fabric.add(network("br-1"), &default_pools()).unwrap();
        let second = fabric.add(network("br-2"), &default_pools()).unwrap();
        assert_eq!(
            (first.address.unwrap().to_string(), first.gateway.unwrap().to_string()),
            ("172.18.0.1/16".into(), "172.18.0.1".into())
        );
        assert_eq!(second.address.unwrap().to_string(), "172.19.0.1/24");
        let (one, one_ip) = container(&fabric, "br-1");
        let (two, _) = container(&fabric, "br-1");
        let (other, other_ip) = container(&fabric, "br-2");
        assert_eq!((one_ip.to_string(), other_ip.to_string()), ("172.18.0.2".into(), "172.19.0.2".into()));
        let seen = serve_once(one.netns(), (one_ip, 80).into());
        assert_eq!(inside(two.netns(), || connect((one_ip, 80).into())).unwrap(), "hello");
        seen.recv().unwrap();
        // Out to the world with the host's address, and nowhere else.
        let seen = serve_once(&world, at("10.99.0.2:80"));
        assert_eq!(inside(other.netns(), || connect(at("10.99.0.2:80"))).unwrap(), "hello");
        assert_eq!(seen.recv().unwrap(), "10.99.0.1");
        let _seen = serve_once(one.netns(), (one_ip, 81).into());
        inside(other.netns(), || connect((one_ip, 81).into())).unwrap_err();
        let (default, _) = fabric.take(GATEWAY).unwrap();
        inside(default.netns(), || connect((one_ip, 81).into())).unwrap_err();
        // The host reaches all of them.
        assert_eq!(connect((one_ip, 81).into()).unwrap(), "hello");
    });
}

/// Bridges that are seen, by name, and whether one is on its way out.
fn bridges() -> (Vec<String>, bool) {
    let all = ip(&["-br", "link", "show", "type", "bridge"]);
    let names = all.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned);
    let (gone, left): (Vec<_>, Vec<_>) = names.partition(|name| name.starts_with("wgone"));
    (left, !gone.is_empty())
}

#[test]
fn a_bridge_is_out_of_use_at_once_and_goes_by_and_by() {
    on_a_host(|| {
        let fabric = fabric();
        let again = || fabric.add(with_address("br-1", "10.1.0.1/24"), &default_pools()).unwrap();
        again();
        fabric.remove("br-1").unwrap();
        assert!(!bridges().0.contains(&"br-1".to_owned()));
        assert!(!ip(&["route", "show", "table", "all"]).contains("10.1.0."));
        // Name and subnet are free, whatever the kernel is still doing.
        again();
        until("the bridge that was removed goes", || !bridges().1);
        assert_eq!(bridges().0, ["docker0", "br-1"]);
        fabric.remove("br-1").unwrap();
        // What is put off does not stay when the engine ends.
        fabric.finish();
        assert_eq!(bridges(), (vec!["docker0".to_owned()], false));
    });
}

#[test]
fn what_a_killed_engine_had_put_off_the_next_one_does() {
    on_a_host(|| {
        // One was out of use already, the other had only lost its network; the third is somebody else's.
        for (name, alias) in [
            ("wgone77", "wharf: network of engine default"),
            ("br-2", "wharf: network of engine default"),
            ("wgone78", "mine"),
        ] {
            ip(&["link", "add", name, "type", "bridge"]);
            ip(&["link", "set", name, "alias", alias, "up"]);
        }
        ip(&["addr", "add", "172.18.0.1/16", "dev", "br-2"]);
        let fabric = fabric();
        assert!(!bridges().0.contains(&"br-2".to_owned()), "its network is no more");
        let first = fabric.add(network("br-1"), &default_pools()).unwrap();
        assert_eq!(first.address.unwrap().to_string(), "172.18.0.1/16", "its subnet is free");
        until("what was left goes", || ip(&["link"]).matches("network of engine").count() == 1);
        let (left, others) = bridges();
        assert!(others && left.len() == 2, "another's link is left alone: {left:?}");
    });
}

#[test]
fn an_internal_network_has_no_way_out() {
    on_a_host(|| {
        let world = outside();
        let fabric = fabric();
        let config = BridgeConfig { internal: true, ..network("br-1") };
        fabric.add(config, &default_pools()).unwrap();
        let (one, one_ip) = container(&fabric, "br-1");
        let (two, _) = container(&fabric, "br-1");
        assert!(!inside(one.netns(), || ip(&["route"])).contains("default"));
        let seen = serve_once(one.netns(), (one_ip, 80).into());
        assert_eq!(inside(two.netns(), || connect((one_ip, 80).into())).unwrap(), "hello");
        seen.recv().unwrap();
        // Also not for who makes himself a route.
        inside(two.netns(), || ip(&["route", "add", "default", "via", "172.18.0.1"]));
        let _seen = serve_once(&world, at("10.99.0.2:80"));
        inside(two.netns(), || connect(at("10.99.0.2:80"))).unwrap_err();
    });
}

#[test]
fn a_container_is_on_several_networks_and_comes_and_goes() {
    on_a_host(|| {
        let fabric = fabric();
        fabric.add(network("br-1"), &default_pools()).unwrap();
        fabric.add(network("br-2"), &default_pools()).unwrap();
        let (one, one_ip) = container(&fabric, "br-1");
        let (other, other_ip) = container(&fabric, "br-2");
        let netns: OwnedFd = one.into_netns();
        // As to a container that runs: by its namespace only.
        let mut running = fabric.enter(netns).unwrap();
        assert_eq!(running.next_interface("eth").unwrap(), "eth1");
        let place = Place { ipv4: Some(Ipv4Addr::new(172, 19, 0, 77)), ..Place::default() };
        let address = fabric.claim("br-2", place).unwrap();
        assert_eq!(address.gateway, None, "the default route stays where it is");
        fabric.plug(&mut running, "br-2", "eth1", &address).unwrap();
        let seen = serve_once(other.netns(), (other_ip, 80).into());
        assert_eq!(inside(running.netns(), || connect((other_ip, 80).into())).unwrap(), "hello");
        assert_eq!(seen.recv().unwrap(), "172.19.0.77");
        running.unplug("eth0").unwrap();
        running.unplug("eth0").unwrap();
        fabric.give_back("br-1", one_ip.into());
        running.route_via("eth1", Ipv4Addr::new(172, 19, 0, 1)).unwrap();
        assert!(inside(running.netns(), || ip(&["route"])).starts_with("default via 172.19.0.1 dev eth1"));
        let next = fabric.claim("br-1", GATEWAY).unwrap();
        assert_eq!(next.ipv4.unwrap().addr(), one_ip);
    });
}

#[test]
fn what_cannot_be_had_is_refused_and_leaves_nothing() {
    on_a_host(|| {
        ip(&["link", "add", "plain0", "type", "veth", "peer", "name", "plain1"]);
        let fabric = fabric();
        fabric.add(with_address("br-1", "10.1.0.1/24"), &default_pools()).unwrap();
        for (config, text) in [
            (
                with_address("br-2", "10.1.0.129/25"),
                "invalid pool request: Pool overlaps with other one on this address space",
            ),
            (
                with_address("br-2", "172.17.4.1/24"),
                "invalid pool request: Pool overlaps with other one on this address space",
            ),
            (with_address("plain0", "10.2.0.1/24"), "plain0 exists and is a veth, not a bridge"),
            (with_address("br-1", "10.3.0.1/24"), "bridge br-1 is another network's"),
            (
                network("br-0123456789abcdef"),
                "create bridge br-0123456789abcdef: Numerical result out of range",
            ),
        ] {
            let error = fabric.add(config, &default_pools()).unwrap_err().to_string();
            assert!(error.starts_with(text), "{error}");
        }
        assert!(matches!(fabric.add(network("br-3"), &[]), Err(net::Error::NoFreePool(_))));
        assert_eq!(ip(&["-br", "link", "show", "type", "bridge"]).lines().count(), 2);
        assert_eq!(nft(&["list", "set", "inet", "wharf", "bridges"]).matches("br-").count(), 1);
    });
}

#[test]
fn a_removed_network_leaves_nothing() {
    on_a_host(|| {
        iptables(&["-P", "FORWARD", "DROP"]);
        ip(&["link", "add", "mine", "up", "type", "bridge"]);
        let fabric = fabric();
        // Whether they are up yet is not the question.
        let names = || {
            let links = ip(&["-br", "link", "show", "type", "bridge"]);
            links.lines().filter_map(|line| line.split(' ').next().map(str::to_owned)).collect::<Vec<_>>()
        };
        let before = (nft(&["list", "table", "inet", "wharf"]), iptables(&["-S"]), names());
        for name in ["br-1", "mine"] {
            fabric.add(network(name), &default_pools()).unwrap();
            assert!(nft(&["list", "table", "inet", "wharf"]).contains(name));
            assert_eq!(iptables(&["-S"]).matches(name).count(), 4, "an interface and a comment, in and out");
            fabric.remove(name).unwrap();
            fabric.remove(name).unwrap();
        }
        fabric.finish();
        let after = (nft(&["list", "table", "inet", "wharf"]), iptables(&["-S"]), names());
        assert_eq!(before, after, "and a bridge that was there before stays");
    });
}

#[test]
fn the_next_engine_makes_what_is_missing_and_removes_what_has_no_network() {
    on_a_host(|| {
        let first = fabric();
        for name in ["br-1", "br-2", "br-3"] {
            first.add(network(name), &default_pools()).unwrap();
        }
        drop(first);
        ip(&["link", "del", "br-2"]);
        let later = Desired { incomplete: true, ..desired("docker0", "wharf") };
        let table = nft(&["list", "table", "inet", "wharf"]);
        let (send, mended) = mpsc::channel();
        let next =
            Fabric::start(later, move |plan| drop(send.send(plan.map(|plan| plan.to_string())))).unwrap();
        assert_eq!(nft(&["list", "table", "inet", "wharf"]), table, "until all are known the old one stands");
        let known = [
            with_address("br-1", "172.18.0.1/16"),
            with_address("br-2", "172.19.0.1/24"),
            BridgeConfig {
                range: Some("10.0.0.0/8".parse().unwrap()),
                ..with_address("br-4", "10.9.0.1/24")
            },
        ];
        let (plan, refused) = next.restore(known.to_vec()).unwrap();
        let plan = plan.to_string();
        assert!(plan.contains("remove bridge br-3") && plan.contains("create bridge br-2"), "{plan}");
        assert_eq!(refused.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["br-4"]);
        let links = ip(&["-br", "link"]);
        assert!(links.contains("br-1") && links.contains("br-2") && !links.contains("br-3"), "{links}");
        next.reclaim("br-1", Ipv4Addr::new(172, 18, 0, 2).into()).unwrap();
        let (one, one_ip) = container(&next, "br-1");
        assert_eq!(one_ip, Ipv4Addr::new(172, 18, 0, 3));

        // And while it runs.
        assert!(mended.try_recv().is_err());
        nft(&["flush", "set", "inet", "wharf", "bridges"]);
        assert!(
            mended.recv_timeout(Duration::from_secs(10)).unwrap().unwrap().contains("replace firewall table")
        );
        ip(&["link", "del", "br-1"]);
        let told = mended.recv_timeout(Duration::from_secs(10)).unwrap().unwrap();
        assert!(told.contains("create bridge br-1") && told.contains("to br-1"), "{told}");
        until("the container answers again", || {
            let _seen = serve_once(one.netns(), (one_ip, 80).into());
            connect((one_ip, 80).into()).is_ok()
        });
    });
}

/// Answers one question, whatever it is, with itself.
fn echo(sockets: DnsSockets) {
    let socket = UdpSocket::from(sockets.udp);
    socket.set_nonblocking(false).unwrap();
    std::thread::spawn(move || {
        let mut question = [0; 64];
        while let Ok((len, from)) = socket.recv_from(&mut question) {
            socket.send_to(&question[..len], from).unwrap();
        }
    });
}

#[test]
fn names_are_asked_for_at_port_53_which_stays_free() {
    on_a_host(|| {
        let fabric = fabric();
        fabric.add(network("br-1"), &default_pools()).unwrap();
        let (one, _) = container(&fabric, "br-1");
        let netns = || std::os::fd::AsFd::as_fd(one.netns()).try_clone_to_owned().unwrap();
        echo(DnsSockets::open_in(netns()).unwrap());
        let ask = |netns: &NetNs| {
            inside(netns, || {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
                socket.connect("127.0.0.11:53").unwrap();
                socket.send(b"who?").unwrap();
                let mut answer = [0; 64];
                socket.recv(&mut answer).map(|len| answer[..len].to_vec())
            })
        };
        assert_eq!(ask(one.netns()).unwrap(), b"who?");
        // A name server in the container has every address for itself.
        let _own = inside(one.netns(), || UdpSocket::bind("0.0.0.0:53").unwrap());
        assert_eq!(ask(one.netns()).unwrap(), b"who?");
        // Whoever comes after takes over.
        echo(DnsSockets::open_in(netns()).unwrap());
        assert_eq!(ask(one.netns()).unwrap(), b"who?");
    });
}

//! The default bridge, in network namespaces made for the test. Needs root.

mod kit;

use std::net::Ipv4Addr;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use kit::*;
use net::{Desired, Fabric, NetNs, Place, Sandbox};

#[test]
fn a_container_has_address_route_and_neighbours() {
    on_a_host(|| {
        let fabric = Fabric::start(desired("docker0", "wharf"), |_| {}).unwrap();
        let (first, address) = fabric.take(GATEWAY).unwrap();
        let (second, _) = fabric.take(GATEWAY).unwrap();
        assert_eq!(address.ipv4.unwrap().to_string(), "172.17.0.2/16");
        assert_eq!(address.mac.unwrap().to_string(), "02:42:ac:11:00:02");
        let shown = inside(first.netns(), || ip(&["addr"]));
        assert!(shown.contains("inet 172.17.0.2/16 brd 172.17.255.255 scope global eth0"), "{shown}");
        assert!(shown.contains("link/ether 02:42:ac:11:00:02"), "{shown}");
        assert!(shown.contains("inet 127.0.0.1/8"), "{shown}");
        assert!(inside(first.netns(), || ip(&["route"])).starts_with("default via 172.17.0.1 dev eth0"));
        for setting in ["ipv6/conf/eth0/disable_ipv6", "ipv4/conf/eth0/arp_notify"] {
            let path = format!("/proc/sys/net/{setting}");
            assert_eq!(inside(first.netns(), || std::fs::read_to_string(path)).unwrap(), "1\n", "{setting}");
        }

        // Host to container, container to container, container to host.
        let seen = serve_once(first.netns(), at("172.17.0.2:80"));
        assert_eq!(connect(at("172.17.0.2:80")).unwrap(), "hello");
        assert_eq!(seen.recv().unwrap(), "172.17.0.1");
        let seen = serve_once(first.netns(), at("172.17.0.2:81"));
        assert_eq!(inside(second.netns(), || connect(at("172.17.0.2:81"))).unwrap(), "hello");
        assert_eq!(seen.recv().unwrap(), "172.17.0.3");
        let host = NetNs::current().unwrap();
        let seen = serve_once(&host, at("172.17.0.1:82"));
        assert_eq!(inside(second.netns(), || connect(at("172.17.0.1:82"))).unwrap(), "hello");
        assert_eq!(seen.recv().unwrap(), "172.17.0.3");
    });
}

#[test]
fn packets_leave_with_the_host_s_address_and_nothing_comes_in_uninvited() {
    on_a_host(|| {
        let world = outside();
        let fabric = Fabric::start(desired("docker0", "wharf"), |_| {}).unwrap();
        let (container, _) = fabric.take(GATEWAY).unwrap();
        let seen = serve_once(&world, at("10.99.0.2:80"));
        assert_eq!(inside(container.netns(), || connect(at("10.99.0.2:80"))).unwrap(), "hello");
        assert_eq!(seen.recv().unwrap(), "10.99.0.1");
        let _seen = serve_once(container.netns(), at("172.17.0.2:80"));
        inside(&world, || connect(at("172.17.0.2:80"))).unwrap_err();
    });
}

#[test]
fn without_icc_containers_do_not_reach_each_other() {
    on_a_host(|| {
        let mut desired = desired("docker0", "wharf");
        desired.bridges[0].inter_container = false;
        let fabric = Fabric::start(desired, |_| {}).unwrap();
        // The firewall may be asked about what is only bridged, or not: it is no matter.
        let _ = std::fs::write("/proc/sys/net/bridge/bridge-nf-call-iptables", "0");
        let (first, _) = fabric.take(GATEWAY).unwrap();
        let (second, _) = fabric.take(GATEWAY).unwrap();
        let host = NetNs::current().unwrap();
        let seen = serve_once(&host, at("172.17.0.1:82"));
        assert_eq!(inside(second.netns(), || connect(at("172.17.0.1:82"))).unwrap(), "hello");
        assert_eq!(seen.recv().unwrap(), "172.17.0.3");
        let _seen = serve_once(first.netns(), at("172.17.0.2:80"));
        inside(second.netns(), || connect(at("172.17.0.2:80"))).unwrap_err();
    });
}

#[test]
fn a_removed_bridge_comes_back_with_its_ports() {
    on_a_host(|| {
        let (send, mended) = mpsc::channel();
        let fabric = Fabric::start(desired("docker0", "wharf"), move |plan| {
            let _ = send.send(plan.map(|plan| plan.to_string()));
        })
        .unwrap();
        let (first, _) = fabric.take(GATEWAY).unwrap();
        let (second, _) = fabric.take(GATEWAY).unwrap();
        let address = || {
            let shown = ip(&["-o", "addr", "show", "docker0"]);
            shown.split_whitespace().find(|word| word.starts_with("172.")).map(str::to_owned)
        };
        for _ in 0..2 {
            until("the pool is filled", || fabric.is_ready());
            ip(&["link", "del", "docker0"]);
            let steps = mended.recv_timeout(Duration::from_secs(10)).unwrap().unwrap();
            assert!(steps.starts_with("create bridge docker0"), "{steps}");
            assert!(steps.contains("connect veth"), "{steps}");
            assert_eq!(address().as_deref(), Some("172.17.0.1/16"));
            for (netns, port) in [(&first, 80), (&second, 81)] {
                let host = NetNs::current().unwrap();
                let to = format!("172.17.0.1:{port}");
                let seen = serve_once(&host, at(&to));
                assert_eq!(inside(netns.netns(), || connect(at(&to))).unwrap(), "hello");
                seen.recv().unwrap();
            }
        }
        // Those that were ready when it happened, and new ones.
        for _ in 0..8 {
            let (sandbox, _) = fabric.take(GATEWAY).unwrap();
            let host = NetNs::current().unwrap();
            let seen = serve_once(&host, at("172.17.0.1:82"));
            assert_eq!(inside(sandbox.netns(), || connect(at("172.17.0.1:82"))).unwrap(), "hello");
            seen.recv().unwrap();
        }
    });
}

#[test]
fn routers_in_containers_are_not_believed() {
    on_a_host(|| {
        let _fabric = Fabric::start(desired("docker0", "wharf"), |_| {}).unwrap();
        let path = "/proc/sys/net/ipv6/conf/docker0/accept_ra";
        assert_eq!(std::fs::read_to_string(path).unwrap(), "0\n");
    });
}

#[test]
fn a_drop_policy_of_iptables_lets_containers_out_and_its_rules_hold() {
    on_a_host(|| {
        let world = outside();
        iptables(&["-P", "FORWARD", "DROP"]);
        iptables(&["-A", "FORWARD", "-d", "10.99.0.2", "-p", "tcp", "--dport", "81", "-j", "REJECT"]);
        let (send, mended) = mpsc::channel();
        let fabric = Fabric::start(desired("docker0", "wharf"), move |plan| {
            let _ = send.send(plan.is_ok());
        })
        .unwrap();
        let (container, _) = fabric.take(GATEWAY).unwrap();
        let reach = |address: &'static str| {
            let seen = serve_once(&world, at(address));
            let reached = inside(container.netns(), || connect(at(address)));
            if reached.is_err() {
                inside(&world, || connect(at(address))).unwrap();
            }
            seen.recv().unwrap();
            reached.is_ok()
        };
        assert!(reach("10.99.0.2:80"));
        assert!(!reach("10.99.0.2:81"), "what an administrator has refused stays refused");
        let rules = iptables(&["-S", "FORWARD"]);
        assert!(
            rules.contains("-A FORWARD -i docker0 -m comment --comment \"wharf: docker0\" -j ACCEPT"),
            "{rules}"
        );
        assert_eq!(rules.lines().filter(|line| line.contains("wharf")).count(), 2, "{rules}");
        let _seen = serve_once(container.netns(), at("172.17.0.2:80"));
        inside(&world, || connect(at("172.17.0.2:80"))).unwrap_err();

        // As `ufw reload` does; and a second start adds nothing.
        iptables(&["-F", "FORWARD"]);
        assert!(mended.recv_timeout(Duration::from_secs(10)).unwrap());
        assert_eq!(iptables(&["-S", "FORWARD"]).matches("wharf: docker0").count(), 2);
        drop(fabric);
        let again = Fabric::start(desired("docker0", "wharf"), |_| {}).unwrap();
        assert_eq!(iptables(&["-S", "FORWARD"]).matches("wharf: docker0").count(), 2);
        drop(again);
        // Who starts after a bridge is gone takes its rules away.
        ip(&["link", "del", "docker0"]);
        let _other = Fabric::start(desired("br-two", "wharf-two"), |_| {}).unwrap();
        let rules = iptables(&["-S", "FORWARD"]);
        assert!(!rules.contains("wharf: docker0") && rules.contains("wharf: br-two"), "{rules}");
    });
}

#[test]
fn a_drop_policy_in_another_s_table_is_told_with_what_to_do() {
    on_a_host(|| {
        nft(&[
            "add table inet filter; add chain inet filter through { type filter hook forward priority 0; policy drop; }",
        ]);
        let world = outside();
        let fabric = Fabric::start(desired("docker0", "wharf"), |_| {}).unwrap();
        let warning = fabric.warnings.concat();
        assert!(warning.contains("chain inet filter through drops forwarded packets by policy"), "{warning}");
        let (container, _) = fabric.take(GATEWAY).unwrap();
        let seen = serve_once(&world, at("10.99.0.2:80"));
        inside(container.netns(), || connect(at("10.99.0.2:80"))).unwrap_err();
        // What it says, done.
        let commands = warning.split("accept them: ").nth(1).unwrap();
        for command in commands.split("; ") {
            let said = nft(&[command.strip_prefix("nft ").unwrap()]);
            assert_eq!(said, "", "{command}");
        }
        assert_eq!(inside(container.netns(), || connect(at("10.99.0.2:80"))).unwrap(), "hello");
        assert_eq!(seen.recv().unwrap(), "10.99.0.1");
    });
}

#[test]
fn a_host_that_was_no_router_becomes_one_for_containers_only() {
    on_a_host(|| {
        let world = outside();
        // A second neighbour of the host, which would reach the first through it.
        let other = thread::spawn(|| NetNs::unshare().unwrap()).join().unwrap();
        let path = {
            use std::os::fd::{AsFd, AsRawFd};
            format!("/proc/{}/fd/{}", std::process::id(), other.as_fd().as_raw_fd())
        };
        ip(&["link", "add", "up1", "type", "veth", "peer", "name", "eth0", "netns", &path]);
        ip(&["addr", "add", "10.98.0.1/24", "dev", "up1"]);
        ip(&["link", "set", "up1", "up"]);
        inside(&other, || {
            ip(&["addr", "add", "10.98.0.2/24", "dev", "eth0"]);
            ip(&["link", "set", "eth0", "up"]);
            ip(&["route", "add", "default", "via", "10.98.0.1"]);
        });
        inside(&world, || ip(&["route", "add", "10.98.0.0/24", "via", "10.99.0.1"]));
        let reach = |from: &NetNs| {
            let seen = serve_once(&world, at("10.99.0.2:80"));
            let reached = inside(from, || connect(at("10.99.0.2:80"))).is_ok();
            if !reached {
                inside(&world, || connect(at("10.99.0.2:80"))).unwrap();
            }
            seen.recv().unwrap();
            reached
        };
        for round in 0..2 {
            let fabric = Fabric::start(desired("docker0", "wharf"), |_| {}).unwrap();
            let (container, _) = fabric.take(GATEWAY).unwrap();
            assert!(reach(container.netns()), "round {round}");
            assert!(!reach(&other), "round {round}");
        }
        // Where the administrator says so.
        let open = Desired { guard: false, ..desired("docker0", "wharf") };
        let _fabric = Fabric::start(open, |_| {}).unwrap();
        assert!(reach(&other));
    });
}

#[test]
fn the_table_is_as_documented_and_put_back_when_flushed() {
    on_a_host(|| {
        let (send, mended) = mpsc::channel();
        let _fabric = Fabric::start(desired("docker0", "wharf"), move |r| {
            let _ = send.send(r.is_ok());
        })
        .unwrap();
        let list = || nft(&["list", "table", "inet", "wharf"]);
        let before = list();
        for line in [
            "elements = { \"docker0\" }",
            "type filter hook forward priority filter; policy drop;",
            "ct state established,related accept",
            "iifname @bridges oifname != @bridges accept",
            "iifname . oifname @talking accept",
            "iifname @internal drop",
            "oifname @bridges drop",
            "type nat hook postrouting priority srcnat; policy accept;",
            "iifname @masqueraded oifname != @bridges masquerade",
        ] {
            assert!(before.contains(line), "{line} in {before}");
        }
        nft(&["flush", "ruleset"]);
        assert!(mended.recv_timeout(Duration::from_secs(5)).unwrap());
        assert_eq!(list(), before);
        nft(&["flush", "chain", "inet", "wharf", "forward"]);
        assert!(mended.recv_timeout(Duration::from_secs(5)).unwrap());
        assert_eq!(list(), before);
    });
}

#[test]
fn two_engines_share_a_host_and_a_second_start_finds_its_things() {
    on_a_host(|| {
        let one = Fabric::start(desired("docker0", "wharf"), |_| {}).unwrap();
        let two = Fabric::start(desired("br-two", "wharf-two"), |_| {}).unwrap();
        assert_eq!(two.facts().unwrap().address.unwrap().to_string(), "172.18.0.1/16");
        let (a, _) = one.take(GATEWAY).unwrap();
        let (b, address) = two.take(GATEWAY).unwrap();
        assert_eq!(address.ipv4.unwrap().addr(), Ipv4Addr::new(172, 18, 0, 2));
        drop((one, a, b));
        let again = Fabric::start(desired("docker0", "wharf"), |_| {}).unwrap();
        assert_eq!(again.facts().unwrap().address.unwrap().to_string(), "172.17.0.1/16");
        again.reclaim("docker0", Ipv4Addr::new(172, 17, 0, 2).into()).unwrap();
        let (_c, address) = again.take(GATEWAY).unwrap();
        assert_eq!(address.ipv4.unwrap().addr(), Ipv4Addr::new(172, 17, 0, 3));
        again.take(Place { ipv4: Some(Ipv4Addr::new(172, 17, 0, 2)), ..GATEWAY }).unwrap_err();
    });
}

#[test]
fn a_hundred_sandboxes_leave_nothing() {
    on_a_host(|| {
        let fabric = Fabric::start(desired("docker0", "wharf"), |_| {}).unwrap();
        let mut times = Vec::new();
        for _ in 0..100 {
            until("the pool is filled", || fabric.is_ready());
            let begin = Instant::now();
            let (sandbox, address) = fabric.take(GATEWAY).unwrap();
            times.push(begin.elapsed());
            assert_eq!(address.ipv4.unwrap().addr(), Ipv4Addr::new(172, 17, 0, 2));
            drop(sandbox);
            fabric.give_back("docker0", address.ipv4.unwrap().addr().into());
        }
        times.sort();
        drop(fabric);
        until("all veths are gone", || !ip(&["-o", "link"]).contains("veth"));
    });
}

#[test]
fn an_isolated_sandbox_has_loopback_only() {
    on_a_host(|| {
        let pool = Fabric::isolated().unwrap();
        let sandbox: Sandbox = pool.take().unwrap();
        let links = inside(sandbox.netns(), || ip(&["-o", "link"]));
        assert!(links.starts_with("1: lo: <LOOPBACK,UP"), "{links}");
        assert_eq!(links.lines().filter(|l| !l.contains("NOARP") || l.contains("lo:")).count(), 1, "{links}");
    });
}

#[test]
fn nftables_can_be_probed() {
    on_a_host(|| {
        net::probe_nftables().unwrap();
        assert_eq!(nft(&["list", "tables"]), "");
    });
}

/// Netfilter's sockets are refused to this thread and those it starts, as by a kernel without nftables.
fn lose_nftables() {
    const SOCKET: u32 = if cfg!(target_arch = "x86_64") { 41 } else { 198 };
    // seccomp(2), "struct seccomp_data": nr at 0, the low halves of args[0] and args[2] at 16 and 32.
    const LOAD: u16 = 0x20;
    const EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    let errno = 0x0005_0000 | rustix::io::Errno::PROTONOSUPPORT.raw_os_error().unsigned_abs();
    let (family, protocol) = (16, 12);
    let program: Vec<u8> = [
        (LOAD, 0, 0),
        (EQUAL, 5, SOCKET),
        (LOAD, 0, 16),
        (EQUAL, 3, family),
        (LOAD, 0, 32),
        (EQUAL, 1, protocol),
        (RETURN, 0, errno),
        (RETURN, 0, 0x7fff_0000),
    ]
    .iter()
    .flat_map(|&(code, otherwise, value): &(u16, u8, u32)| {
        [&code.to_ne_bytes()[..], &[0, otherwise], &value.to_ne_bytes()].concat()
    })
    .collect();
    sys::seccomp::install(&program, 0).expect("this test needs root");
}

#[test]
fn without_nftables_it_says_what_to_do() {
    on_a_host(|| {
        lose_nftables();
        let error = Fabric::start(desired("docker0", "wharf"), |_| {}).unwrap_err().to_string();
        assert!(error.contains("no nftables on this kernel"), "{error}");
        assert!(error.contains("--iptables=false"), "{error}");
        assert!(!ip(&["link"]).contains("docker0"), "nothing is left of a start that failed");

        let mut plain = desired("docker0", "wharf");
        plain.firewall = None;
        let fabric = Fabric::start(plain, |_| {}).unwrap();
        let (sandbox, _) = fabric.take(GATEWAY).unwrap();
        let seen = serve_once(sandbox.netns(), at("172.17.0.2:80"));
        assert_eq!(connect(at("172.17.0.2:80")).unwrap(), "hello");
        assert_eq!(seen.recv().unwrap(), "172.17.0.1");
    });
}

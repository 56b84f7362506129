//! The default bridge, in network namespaces made for the test. Needs root.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use net::{Desired, Fabric, NetNs, Sandbox};

/// Runs in a thread that has a network namespace of its own, so that nothing of the host's is touched.
fn on_a_host<T: Send + 'static>(test: impl FnOnce() -> T + Send + 'static) -> T {
    thread::spawn(|| {
        NetNs::unshare().expect("this test needs root");
        ip(&["link", "set", "lo", "up"]);
        // A new namespace has the setting of the machine's.
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
        test()
    })
    .join()
    .unwrap()
}

fn inside<T: Send + 'static>(netns: &NetNs, act: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        scope
            .spawn(|| {
                netns.enter().unwrap();
                act()
            })
            .join()
            .unwrap()
    })
}

fn ip(args: &[&str]) -> String {
    let output = Command::new("ip").args(args).output().unwrap();
    assert!(output.status.success(), "ip {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn nft(args: &[&str]) -> String {
    let output = Command::new("nft").args(args).output().unwrap();
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr)
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn desired(bridge: &str, table: &str) -> Desired {
    let mut desired = Desired::default();
    desired.bridge.name = bridge.to_owned();
    desired.firewall.as_mut().unwrap().table = table.to_owned();
    desired
}

/// Serves one connection in a namespace; answers with the peer's address as seen there.
fn serve_once(netns: &NetNs, at: SocketAddr) -> mpsc::Receiver<String> {
    let listener = inside(netns, move || TcpListener::bind(at).unwrap());
    let (send, receive) = mpsc::channel();
    thread::spawn(move || {
        let accepted = listener.accept();
        // Closed before anybody is told, so that the address is free for the next.
        drop(listener);
        if let Ok((mut stream, peer)) = accepted {
            let _ = stream.write_all(b"hello");
            let _ = send.send(peer.ip().to_string());
        }
    });
    receive
}

fn connect(to: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(2))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

#[test]
fn a_container_has_address_route_and_neighbours() {
    on_a_host(|| {
        let fabric = Fabric::start(desired("docker0", "wharf"), |_| {}).unwrap();
        let (first, address) = fabric.take(None, None).unwrap();
        let (second, _) = fabric.take(None, None).unwrap();
        assert_eq!(address.ipv4.to_string(), "172.17.0.2/16");
        assert_eq!(address.mac.to_string(), "02:42:ac:11:00:02");
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

/// A namespace beside the host, linked by `10.99.0.0/24`: the world outside (`.2`); the host is `.1`.
fn outside() -> NetNs {
    let host = NetNs::current().unwrap();
    let world = thread::spawn(|| {
        let world = NetNs::unshare().unwrap();
        ip(&["link", "set", "lo", "up"]);
        world
    })
    .join()
    .unwrap();
    let path = {
        use std::os::fd::{AsFd, AsRawFd};
        format!("/proc/{}/fd/{}", std::process::id(), world.as_fd().as_raw_fd())
    };
    drop(host);
    ip(&["link", "add", "up0", "type", "veth", "peer", "name", "eth0", "netns", &path]);
    ip(&["addr", "add", "10.99.0.1/24", "dev", "up0"]);
    ip(&["link", "set", "up0", "up"]);
    inside(&world, || {
        ip(&["addr", "add", "10.99.0.2/24", "dev", "eth0"]);
        ip(&["link", "set", "eth0", "up"]);
        ip(&["route", "add", "172.17.0.0/16", "via", "10.99.0.1"]);
    });
    world
}

#[test]
fn packets_leave_with_the_host_s_address_and_nothing_comes_in_uninvited() {
    on_a_host(|| {
        let world = outside();
        let fabric = Fabric::start(desired("docker0", "wharf"), |_| {}).unwrap();
        let (container, _) = fabric.take(None, None).unwrap();
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
        desired.bridge.inter_container = false;
        let fabric = Fabric::start(desired, |_| {}).unwrap();
        let (first, _) = fabric.take(None, None).unwrap();
        let (second, _) = fabric.take(None, None).unwrap();
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
        let (first, _) = fabric.take(None, None).unwrap();
        let (second, _) = fabric.take(None, None).unwrap();
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
            let (sandbox, _) = fabric.take(None, None).unwrap();
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

/// iptables' own, as it is on a host with ufw or Docker.
fn iptables(args: &[&str]) -> String {
    let output = Command::new("iptables").args(args).output().unwrap();
    assert!(output.status.success(), "iptables {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
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
        let (container, _) = fabric.take(None, None).unwrap();
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
        let warning = fabric.facts().warnings.concat();
        assert!(warning.contains("chain inet filter through drops forwarded packets by policy"), "{warning}");
        let (container, _) = fabric.take(None, None).unwrap();
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
            let (container, _) = fabric.take(None, None).unwrap();
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
            "iifname \"docker0\" oifname \"docker0\" accept",
            "oifname @bridges drop",
            "type nat hook postrouting priority srcnat; policy accept;",
            "ip saddr 172.17.0.0/16 oifname != \"docker0\" masquerade",
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
        assert_eq!(two.facts().address.to_string(), "172.18.0.1/16");
        let (a, _) = one.take(None, None).unwrap();
        let (b, address) = two.take(None, None).unwrap();
        assert_eq!(address.ipv4.addr(), Ipv4Addr::new(172, 18, 0, 2));
        drop((one, a, b));
        let again = Fabric::start(desired("docker0", "wharf"), |_| {}).unwrap();
        assert_eq!(again.facts().address.to_string(), "172.17.0.1/16");
        again.reclaim(Ipv4Addr::new(172, 17, 0, 2)).unwrap();
        let (_c, address) = again.take(None, None).unwrap();
        assert_eq!(address.ipv4.addr(), Ipv4Addr::new(172, 17, 0, 3));
        again.take(Some(Ipv4Addr::new(172, 17, 0, 2)), None).unwrap_err();
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
            let (sandbox, address) = fabric.take(None, None).unwrap();
            times.push(begin.elapsed());
            assert_eq!(address.ipv4.addr(), Ipv4Addr::new(172, 17, 0, 2));
            drop(sandbox);
            fabric.give_back(address.ipv4.addr());
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
        let (sandbox, _) = fabric.take(None, None).unwrap();
        let seen = serve_once(sandbox.netns(), at("172.17.0.2:80"));
        assert_eq!(connect(at("172.17.0.2:80")).unwrap(), "hello");
        assert_eq!(seen.recv().unwrap(), "172.17.0.1");
    });
}

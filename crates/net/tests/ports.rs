//! Published ports, in network namespaces made for the test. Needs root.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use net::{Desired, Fabric, NetNs, Place, PortMapping, PortWish, Protocol};

const GATEWAY: Place = Place { ipv4: None, ipv6: None, mac: None, is_gateway: true, is_gateway6: true };

/// Runs in a thread that has a network namespace of its own, so that nothing of the host's is touched.
fn on_a_host<T: Send + 'static>(test: impl FnOnce() -> T + Send + 'static) -> T {
    thread::spawn(|| {
        NetNs::unshare().expect("this test needs root");
        sh("ip link set lo up; echo 0 >/proc/sys/net/ipv4/ip_forward");
        test()
    })
    .join()
    .unwrap()
}

fn inside<T: Send>(netns: &NetNs, act: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let enter = || {
            netns.enter().unwrap();
            act()
        };
        scope.spawn(enter).join().unwrap()
    })
}

fn sh(line: &str) -> String {
    let output = Command::new("sh").args(["-ec", line]).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

fn start() -> Fabric {
    Fabric::start(Desired::default(), |_| {}).unwrap()
}

fn wish(container: u16, host: u16, address: &str) -> PortWish {
    let address: IpAddr = address.parse().unwrap();
    PortWish { container, protocol: Protocol::Tcp, host: Some((host, host)), address }
}

/// Says who the peer is to everybody who connects.
fn serve(netns: &NetNs, port: u16) {
    let listener = inside(netns, || TcpListener::bind(("0.0.0.0", port)).unwrap());
    thread::spawn(move || {
        while let Ok((mut stream, peer)) = listener.accept() {
            let _ = stream.write_all(peer.ip().to_string().as_bytes());
        }
    });
}

/// Who we are to who listens there.
fn ask(at: &str) -> std::io::Result<String> {
    let at: SocketAddr = at.parse().unwrap();
    let mut stream = TcpStream::connect_timeout(&at, Duration::from_secs(2))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// A host beside this one, `10.99.0.2`; we are `10.99.0.1`.
fn world() -> NetNs {
    let world = thread::spawn(|| NetNs::unshare().unwrap()).join().unwrap();
    let path = {
        use std::os::fd::{AsFd, AsRawFd};
        format!("/proc/{}/fd/{}", std::process::id(), world.as_fd().as_raw_fd())
    };
    sh(&format!(
        "ip link add up0 type veth peer name eth0 netns {path}; ip addr add 10.99.0.1/24 dev up0; ip link set up0 up"
    ));
    inside(&world, || sh("ip link set lo up; ip addr add 10.99.0.2/24 dev eth0; ip link set eth0 up"));
    world
}

#[test]
fn a_port_is_reached_from_everywhere_and_the_client_is_seen() {
    // With and without the kernel's calling the firewall for what it only bridges.
    for bridges_filter in [0, 1] {
        everywhere(bridges_filter);
    }
}

fn everywhere(bridges_filter: u8) {
    on_a_host(move || {
        let fabric = start();
        let world = world();
        sh(&format!("echo {bridges_filter} >/proc/sys/net/bridge/bridge-nf-call-iptables || true"));
        let (first, address) = fabric.take(GATEWAY).unwrap();
        let (second, _) = fabric.take(GATEWAY).unwrap();
        serve(first.netns(), 80);
        let to = address.ipv4.unwrap().addr();
        let published =
            fabric.publish("a", to.into(), &[wish(80, 8080, "0.0.0.0"), wish(80, 81, "127.0.0.1")]).unwrap();
        assert_eq!(published.mappings.len(), 2);

        assert_eq!(inside(&world, || ask("10.99.0.1:8080")).unwrap(), "10.99.0.2");
        assert_eq!(ask("10.99.0.1:8080").unwrap(), "10.99.0.1");
        assert_eq!(ask("127.0.0.1:8080").unwrap(), "172.17.0.1");
        assert_eq!(ask("127.0.0.1:81").unwrap(), "172.17.0.1");
        // From a neighbour, and from itself.
        for at in ["10.99.0.1:8080", "172.17.0.1:8080"] {
            assert_eq!(inside(second.netns(), || ask(at)).unwrap(), "172.17.0.1", "{at}");
            assert_eq!(inside(first.netns(), || ask(at)).unwrap(), "172.17.0.1", "{at}");
        }
        // What is published to the host alone; and what is not published.
        assert!(ask("10.99.0.1:81").is_err());
        inside(&world, || {
            sh(
                "ip route add 172.17.0.0/16 via 10.99.0.1; ip route add 127.0.0.0/9 via 10.99.0.1 dev eth0 || true",
            );
            assert!(ask("10.99.0.1:81").is_err());
            assert!(ask("172.17.0.2:80").is_err());
        });
        // Who saves the rules can read them back.
        sh(
            "nft list table inet wharf >/tmp/wharf-saved-$$; nft delete table inet wharf; nft -f /tmp/wharf-saved-$$; rm /tmp/wharf-saved-$$",
        );
        // Nobody else has it.
        assert!(TcpListener::bind("0.0.0.0:8080").is_err());
        let refused = fabric.publish("b", to.into(), &[wish(1, 8080, "10.99.0.1")]).unwrap_err();
        assert_eq!(refused.to_string(), "Bind for 0.0.0.0:8080 failed: port is already allocated");

        fabric.unpublish("a").unwrap();
        fabric.unpublish("a").unwrap();
        drop(published);
        assert!(inside(&world, || ask("10.99.0.1:8080")).is_err());
        TcpListener::bind("0.0.0.0:8080").unwrap();
        let table = sh("nft list table inet wharf");
        assert!(!table.contains("elements = { 0.0.0.0") && !table.contains("172.17.0.2"), "{table}");
    });
}

/// A neighbour of the host's that sends to 127.0.0.1 by the host's hardware address, and a container that does.
#[test]
fn loopback_is_reached_from_the_host_alone() {
    on_a_host(|| {
        let fabric = start();
        let world = world();
        let (first, address) = fabric.take(GATEWAY).unwrap();
        serve(first.netns(), 80);
        let _published =
            fabric.publish("a", address.ipv4.unwrap().addr().into(), &[wish(80, 80, "127.0.0.1")]).unwrap();
        assert_eq!(ask("127.0.0.1:80").unwrap(), "172.17.0.1");
        let host = NetNs::current().unwrap();
        serve(&host, 82);
        let sneak = |device: &str, gateway: &str, port: u16| {
            sh(&format!(
                "ip link set lo down; for f in all {device}; do echo 1 >/proc/sys/net/ipv4/conf/$f/route_localnet; done; \
                 ip route flush table local; ip route add local $(ip -o -4 addr show {device} | sed 's/.*inet //; s/.*inet //; s,/.*,,') dev {device} table local; \
                 ip route add 127.0.0.0/8 via {gateway} dev {device}"
            ));
            ask(&format!("127.0.0.1:{port}"))
        };
        assert!(inside(&world, || sneak("eth0", "10.99.0.1", 80)).is_err());
        assert!(inside(first.netns(), || sneak("eth0", "172.17.0.1", 82)).is_err());
        let seen = sh("cat /proc/sys/net/ipv4/conf/docker0/route_localnet");
        assert_eq!(seen.trim(), "1");
    });
}

#[test]
fn ten_thousand_ports_in_a_moment() {
    on_a_host(|| {
        let fabric = start();
        let (first, address) = fabric.take(GATEWAY).unwrap();
        let ranges: [fn(u16) -> u16; 2] = [|port| port, |port| port - 19_000];
        for to in ranges {
            let wishes: Vec<_> = (20_000..30_000).map(|port| wish(to(port), port, "0.0.0.0")).collect();
            let begun = Instant::now();
            let published = fabric.publish("a", address.ipv4.unwrap().addr().into(), &wishes).unwrap();
            let took = begun.elapsed();
            assert_eq!(published.mappings.len(), 1);
            serve(first.netns(), to(29_999));
            assert_eq!(ask("127.0.0.1:29999").unwrap(), "172.17.0.1");
            assert!(took < Duration::from_secs(1), "10,000 ports: {took:?}");
            fabric.unpublish("a").unwrap();
        }
    });
}

#[test]
fn the_next_engine_takes_over_and_whoever_flushes_is_undone() {
    on_a_host(|| {
        let world = world();
        let fabric = start();
        let (first, address) = fabric.take(GATEWAY).unwrap();
        serve(first.netns(), 80);
        let to = address.ipv4.unwrap().addr();
        let published = fabric.publish("a", to.into(), &[wish(80, 80, "0.0.0.0")]).unwrap();
        let gone = fabric.publish("b", to.into(), &[wish(80, 81, "0.0.0.0")]).unwrap();
        drop(fabric);
        assert_eq!(inside(&world, || ask("10.99.0.1:80")).unwrap(), "10.99.0.2");
        assert!(TcpListener::bind("0.0.0.0:80").is_err(), "who lives on holds it");
        drop(gone);

        // The engine is there, and does not yet know who lives.
        let fabric = start();
        assert_eq!(inside(&world, || ask("10.99.0.1:80")).unwrap(), "10.99.0.2");
        fabric.adopt_ports(vec![("a".into(), to.into(), published.mappings.clone())]).unwrap();
        assert_eq!(inside(&world, || ask("10.99.0.1:80")).unwrap(), "10.99.0.2");
        assert!(inside(&world, || ask("10.99.0.1:81")).is_err());
        let refused = fabric.publish("c", to.into(), &[wish(80, 80, "0.0.0.0")]).unwrap_err();
        assert_eq!(refused.to_string(), "Bind for 0.0.0.0:80 failed: port is already allocated");

        for line in ["nft flush ruleset", "nft flush map inet wharf ports"] {
            sh(line);
            until(line, || inside(&world, || ask("10.99.0.1:80")).is_ok_and(|who| who == "10.99.0.2"));
        }
        // In the moment before it is back.
        sh("nft delete table inet wharf");
        fabric.unpublish("a").unwrap();
        let again = fabric.publish("d", to.into(), &[wish(80, 90, "0.0.0.0")]).unwrap();
        assert_eq!(inside(&world, || ask("10.99.0.1:90")).unwrap(), "10.99.0.2");
        assert!(inside(&world, || ask("10.99.0.1:80")).is_err());
        assert_eq!(
            again.mappings,
            [PortMapping {
                protocol: Protocol::Tcp,
                address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                host: 90,
                container: 80,
                count: 1
            }]
        );
    });
}

#[test]
fn datagrams_find_their_way_and_back() {
    on_a_host(|| {
        let fabric = start();
        let world = world();
        let (first, address) = fabric.take(GATEWAY).unwrap();
        let server = inside(first.netns(), || UdpSocket::bind("0.0.0.0:53").unwrap());
        let wish = PortWish { protocol: Protocol::Udp, ..wish(53, 5353, "10.99.0.1") };
        let _published = fabric.publish("a", address.ipv4.unwrap().addr().into(), &[wish]).unwrap();
        let (send, seen) = mpsc::channel();
        thread::spawn(move || {
            let mut buffer = [0; 16];
            while let Ok((len, peer)) = server.recv_from(&mut buffer) {
                let _ = server.send_to(&buffer[..len], peer);
                let _ = send.send(peer.ip().to_string());
            }
        });
        let client = inside(&world, || UdpSocket::bind("10.99.0.2:0").unwrap());
        client.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        client.send_to(b"hello", "10.99.0.1:5353").unwrap();
        let mut buffer = [0; 16];
        let (len, from) = client.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..len], from.to_string().as_str()), (&b"hello"[..], "10.99.0.1:5353"));
        assert_eq!(seen.recv().unwrap(), "10.99.0.2");
    });
}

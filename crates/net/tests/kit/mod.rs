//! A host to try things on: a network namespace of the test's own, and a world outside of it. Needs root.
#![allow(dead_code, reason = "each test program uses its part")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use net::{Desired, NetNs, Place};

/// Whichever address, and the default route.
pub(crate) const GATEWAY: Place =
    Place { ipv4: None, ipv6: None, mac: None, is_gateway: true, is_gateway6: true };

/// Runs in a thread that has a network namespace of its own, so that nothing of the host's is touched.
pub(crate) fn on_a_host<T: Send + 'static>(test: impl FnOnce() -> T + Send + 'static) -> T {
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

pub(crate) fn inside<T: Send + 'static>(netns: &NetNs, act: impl FnOnce() -> T + Send) -> T {
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

pub(crate) fn ip(args: &[&str]) -> String {
    let output = Command::new("ip").args(args).output().unwrap();
    assert!(output.status.success(), "ip {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn nft(args: &[&str]) -> String {
    let output = Command::new("nft").args(args).output().unwrap();
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr)
}

pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn desired(bridge: &str, table: &str) -> Desired {
    let mut desired = Desired::default();
    desired.bridges[0].name = bridge.to_owned();
    desired.firewall.as_mut().unwrap().table = table.to_owned();
    desired
}

/// Serves one connection in a namespace; answers with the peer's address as seen there.
pub(crate) fn serve_once(netns: &NetNs, at: SocketAddr) -> mpsc::Receiver<String> {
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

pub(crate) fn connect(to: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(2))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text)
}

pub(crate) fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

/// A namespace beside the host, linked by `10.99.0.0/24`: the world outside (`.2`); the host is `.1`.
pub(crate) fn outside() -> NetNs {
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

/// iptables' own, as it is on a host with ufw or Docker.
pub(crate) fn iptables(args: &[&str]) -> String {
    let output = Command::new("iptables").args(args).output().unwrap();
    assert!(output.status.success(), "iptables {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

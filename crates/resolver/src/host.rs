//! The host's own servers, read anew when its file has changed: laptops travel. See `resolv.conf(5)`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::{Duration, Instant, SystemTime};

use rustix::net::netdevice::name_to_index;
use rustix::net::{AddressFamily, SocketType};

const HOST_FILE: &str = "/etc/resolv.conf";
/// Where systemd-resolved writes the servers that its own, on the loopback, asks.
const RESOLVED_FILE: &str = "/run/systemd/resolve/resolv.conf";
const RESOLVED: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 53));
/// So long a change may go unnoticed.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The host's `resolv.conf`, as far as it matters here.
#[derive(Debug, Default)]
pub(crate) struct Host {
    servers: Vec<SocketAddr>,
    /// One of them is an interface's, which may come and go.
    is_scoped: bool,
    looked: Option<Instant>,
    /// Of both files.
    changed: [Option<SystemTime>; 2],
}

impl Host {
    /// Where they are asked, at this port.
    pub(crate) fn servers(&mut self, port: u16) -> &[SocketAddr] {
        let now = Instant::now();
        if self.looked.is_none_or(|looked| now.duration_since(looked) >= LOOK_AGAIN) {
            let changed = [HOST_FILE, RESOLVED_FILE]
                .map(|path| std::fs::metadata(path).and_then(|file| file.modified()).ok());
            if self.looked.is_none() || self.is_scoped || changed != self.changed {
                let read = |path| servers(&std::fs::read_to_string(path).unwrap_or_default());
                let mut servers = read(HOST_FILE);
                if servers == [(RESOLVED, None)] {
                    servers = Some(read(RESOLVED_FILE)).filter(|all| !all.is_empty()).unwrap_or(servers);
                }
                self.is_scoped = servers.iter().any(|(_, interface)| interface.is_some());
                self.servers = servers.into_iter().filter_map(|server| at(server, port)).collect();
                self.changed = changed;
            }
            self.looked = Some(now);
        }
        &self.servers
    }
}

/// An address, and behind which interface it is, where it says so: `fe80::1%eth0`.
type Server = (IpAddr, Option<String>);

fn servers(file: &str) -> Vec<Server> {
    let of = |line: &str| {
        let mut words = line.split_whitespace();
        let server = (words.next() == Some("nameserver")).then(|| words.next()).flatten()?;
        match server.split_once('%') {
            None => Some((server.parse().ok()?, None)),
            Some((address, interface)) => {
                let address: Ipv6Addr = address.parse().ok()?;
                Some((address.into(), Some(interface.to_owned())))
            }
        }
    };
    file.lines().filter_map(of).collect()
}

/// `None`: there is no such interface now.
fn at((address, interface): Server, port: u16) -> Option<SocketAddr> {
    let (IpAddr::V6(ipv6), Some(interface)) = (address, interface) else {
        return Some(SocketAddr::new(address, port));
    };
    let scope = match interface.parse() {
        Ok(number) => number,
        Err(_) => {
            let socket = rustix::net::socket(AddressFamily::INET6, SocketType::DGRAM, None).ok()?;
            name_to_index(&socket, &interface).ok()?
        }
    };
    Some(SocketAddrV6::new(ipv6, port, 0, scope).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read() {
        let file = "# nameserver 1.1.1.1\nnameserver 10.0.0.1\nsearch lan\n nameserver\tfd00::1 # x\nnameserver me\n\
                    nameserver fe80::1%lo\nnameserver fe80::2%nowhere\nnameserver 10.0.0.2%lo\nnameserver fe80::3%7\n";
        let at = |server| at(server, 53).map(|server| server.to_string());
        let found: Vec<_> = servers(file).into_iter().map(at).collect();
        let wanted =
            [Some("10.0.0.1:53"), Some("[fd00::1]:53"), Some("[fe80::1%1]:53"), None, Some("[fe80::3%7]:53")];
        assert_eq!(found, wanted.map(|server| server.map(str::to_owned)));
    }
}

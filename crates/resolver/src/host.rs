//! The host's own servers, read anew when its file has changed: laptops travel. See `resolv.conf(5)`.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant, SystemTime};

const HOST_FILE: &str = "/etc/resolv.conf";
/// Where systemd-resolved writes the servers that its own, on the loopback, asks.
const RESOLVED_FILE: &str = "/run/systemd/resolve/resolv.conf";
const RESOLVED: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 53));
/// So long a change may go unnoticed.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The host's `resolv.conf`, as far as it matters here.
#[derive(Debug, Default)]
pub(crate) struct Host {
    servers: Vec<IpAddr>,
    looked: Option<Instant>,
    /// Of both files.
    changed: [Option<SystemTime>; 2],
}

impl Host {
    pub(crate) fn servers(&mut self) -> &[IpAddr] {
        let now = Instant::now();
        if self.looked.is_none_or(|looked| now.duration_since(looked) >= LOOK_AGAIN) {
            let changed = [HOST_FILE, RESOLVED_FILE]
                .map(|path| std::fs::metadata(path).and_then(|file| file.modified()).ok());
            if self.looked.is_none() || changed != self.changed {
                let read = |path| servers(&std::fs::read_to_string(path).unwrap_or_default());
                self.servers = read(HOST_FILE);
                if self.servers == [RESOLVED] {
                    self.servers =
                        Some(read(RESOLVED_FILE)).filter(|all| !all.is_empty()).unwrap_or(vec![RESOLVED]);
                }
                self.changed = changed;
            }
            self.looked = Some(now);
        }
        &self.servers
    }
}

fn servers(file: &str) -> Vec<IpAddr> {
    let of = |line: &str| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next()?.parse().ok()).flatten()
    };
    file.lines().filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_read() {
        let file = "# nameserver 1.1.1.1\nnameserver 10.0.0.1\nsearch lan\n nameserver\tfd00::1 # x\nnameserver me\n";
        assert_eq!(servers(file), ["10.0.0.1".parse::<IpAddr>().unwrap(), "fd00::1".parse().unwrap()]);
    }
}

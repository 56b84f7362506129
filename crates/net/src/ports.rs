//! Which ports of the host's are given to containers. Pure: whether a program of the host's has one is asked of the
//! caller, who binds it.
//!
//! The rules are Docker's. Ports that were asked for by number are given first. One container port that is wanted at
//! several addresses gets the same number at all of them. Who names no port gets the next of the range that the kernel
//! takes its own from, beginning after the last that was given; who names a range, the next of that range.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rustix::io::Errno;

/// A transport with ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    Tcp,
    Udp,
    Sctp,
}

impl Protocol {
    /// As in IP's header.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

/// A container's port that is to be reached at an address of the host's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortWish {
    pub container: u16,
    pub protocol: Protocol,
    /// First and last of those that will do; `None` leaves the choice to us.
    pub host: Option<(u16, u16)>,
    pub address: IpAddr,
}

impl PortWish {
    fn is_fixed(&self) -> bool {
        self.fixed().is_some()
    }

    /// The one port of the host's that will do.
    pub(crate) fn fixed(&self) -> Option<u16> {
        self.host.filter(|(first, last)| first == last).map(|(port, _)| port)
    }

    fn is_beside(&self, other: &Self) -> bool {
        (self.container, self.protocol, self.host) == (other.container, other.protocol, other.host)
    }
}

/// Ports that lie side by side, here and in the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortMapping {
    pub protocol: Protocol,
    pub address: IpAddr,
    /// The first here, the first in the container, and how many there are. Here 0: the container is reached at its own
    /// address.
    pub host: u16,
    pub container: u16,
    pub count: u16,
}

impl PortMapping {
    /// Takes no port here.
    pub(crate) fn is_direct(&self) -> bool {
        self.host == 0
    }

    /// The ports here.
    pub(crate) fn ports(&self) -> impl Iterator<Item = u16> + use<> {
        let host = self.host;
        let count = if self.is_direct() { 0 } else { self.count };
        (0..count).map(move |n| host + n)
    }
}

/// What is reached at the container's own address.
pub(crate) fn direct(wishes: impl Iterator<Item = PortWish>) -> Vec<PortMapping> {
    let mut all: Vec<PortMapping> = wishes
        .map(|PortWish { container, protocol, address, .. }| {
            // Which address of the host's was meant makes no difference.
            let address = match address {
                IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
            };
            PortMapping { protocol, address, host: 0, container, count: 1 }
        })
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Why a port cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// Another container has it.
    #[error("Bind for {address}:{port} failed: port is already allocated")]
    Allocated { address: IpAddr, port: u16 },
    #[error("all ports are allocated")]
    AllAllocated,
    /// A program on this host has it, or this host has no such address.
    #[error("failed to bind host port {}/{protocol}: {}", at(*address, *port), words(source))]
    Bind { address: IpAddr, port: u16, protocol: Protocol, source: io::Error },
}

fn at(address: IpAddr, port: u16) -> String {
    match address {
        IpAddr::V4(address) => format!("{address}:{port}"),
        IpAddr::V6(address) => format!("[{address}]:{port}"),
    }
}

/// As Go has them, whose words clients look for.
fn words(error: &io::Error) -> String {
    match Errno::from_io_error(error) {
        Some(Errno::ADDRINUSE) => "address already in use".to_owned(),
        Some(Errno::ADDRNOTAVAIL) => "cannot assign requested address".to_owned(),
        Some(Errno::ACCESS) => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

/// How often another port of a range is tried when programs of the host's have those that seemed free.
const TRIES: usize = 10;

/// What is given.
#[derive(Debug)]
pub(crate) struct Allocator {
    taken: HashMap<(Protocol, IpAddr), Ports>,
    /// The last that was given of a range.
    last: HashMap<(Protocol, IpAddr, (u16, u16)), u16>,
    ephemeral: (u16, u16),
    /// Not given to those who name none.
    reserved: Ports,
}

impl Allocator {
    pub(crate) fn new(ephemeral: (u16, u16), reserved: &[(u16, u16)]) -> Self {
        let mut ports = Ports::default();
        for (first, last) in reserved {
            (*first..=*last).for_each(|port| ports.set(port, true));
        }
        Self { taken: HashMap::new(), last: HashMap::new(), ephemeral, reserved: ports }
    }

    /// As this host's kernel has it.
    pub(crate) fn of_this_host() -> Self {
        let read =
            |name: &str| std::fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).unwrap_or_default();
        let range = read("ip_local_port_range");
        let mut range = range.split_whitespace().filter_map(|port| port.parse().ok());
        let ephemeral = range.next().zip(range.next()).unwrap_or((32768, 60999));
        Self::new(ephemeral, &ranges(read("ip_local_reserved_ports").trim()))
    }

    /// Gives all of them, or none. `bind` is asked for each port, and keeps it.
    ///
    /// # Errors
    ///
    /// The first that cannot be had.
    pub(crate) fn allocate(
        &mut self,
        wishes: &[PortWish],
        mut bind: impl FnMut(IpAddr, u16, Protocol) -> io::Result<()>,
    ) -> Result<Vec<PortMapping>, PortError> {
        let mut wishes = wishes.to_vec();
        wishes.sort_unstable_by_key(|wish| (!wish.is_fixed(), *wish));
        wishes.dedup();
        let mut given = Vec::with_capacity(wishes.len());
        for beside in wishes.chunk_by(PortWish::is_beside) {
            match self.allocate_one(beside, &mut bind) {
                Ok(port) => given.extend(beside.iter().map(|wish| PortMapping {
                    protocol: wish.protocol,
                    address: wish.address,
                    host: port,
                    container: wish.container,
                    count: 1,
                })),
                Err(error) => {
                    self.release(&given);
                    return Err(error);
                }
            }
        }
        Ok(fold(given))
    }

    /// One number for wishes that differ in their addresses only.
    fn allocate_one(
        &mut self,
        beside: &[PortWish],
        bind: &mut impl FnMut(IpAddr, u16, Protocol) -> io::Result<()>,
    ) -> Result<u16, PortError> {
        let wish = beside[0];
        let mut tries = 0;
        loop {
            let port = self.choose(beside)?;
            let bound = beside.iter().try_for_each(|wish| {
                bind(wish.address, port, wish.protocol).map_err(|source| PortError::Bind {
                    address: wish.address,
                    port,
                    protocol: wish.protocol,
                    source,
                })
            });
            tries += 1;
            match bound {
                Ok(()) => {
                    for wish in beside {
                        self.mark(wish.protocol, wish.address, port, true);
                    }
                    return Ok(port);
                }
                Err(error) if wish.is_fixed() || tries == TRIES => return Err(error),
                Err(_) => {}
            }
        }
    }

    /// A port that no container has at any of the addresses.
    fn choose(&mut self, beside: &[PortWish]) -> Result<u16, PortError> {
        let wish = beside[0];
        if let Some((port, _)) = wish.host.filter(|_| wish.is_fixed()) {
            return match beside.iter().find_map(|wish| self.holder(wish.protocol, wish.address, port)) {
                Some(address) => Err(PortError::Allocated { address, port }),
                None => Ok(port),
            };
        }
        let (first, last) = wish.host.unwrap_or(self.ephemeral);
        let key = (wish.protocol, wish.address, (first, last));
        let mut port = self.last.get(&key).copied().unwrap_or(last);
        for _ in first..=last {
            port = if port >= last { first } else { port + 1 };
            let reserved = wish.host.is_none() && self.reserved.get(port);
            if !reserved && beside.iter().all(|w| self.holder(w.protocol, w.address, port).is_none()) {
                self.last.insert(key, port);
                return Ok(port);
            }
        }
        Err(PortError::AllAllocated)
    }

    /// The address at which a container has it, so that nobody else can have it at this one.
    fn holder(&self, protocol: Protocol, address: IpAddr, port: u16) -> Option<IpAddr> {
        let overlaps = |other: &IpAddr| {
            *other == address
                || other.is_ipv4() == address.is_ipv4()
                    && (other.is_unspecified() || address.is_unspecified())
        };
        let mut holders = self
            .taken
            .iter()
            .filter(|((of, other), ports)| *of == protocol && overlaps(other) && ports.get(port));
        holders.next().map(|((_, other), _)| *other)
    }

    /// After an engine's restart: a running container has these.
    pub(crate) fn claim(&mut self, mappings: &[PortMapping]) {
        self.mark_all(mappings, true);
    }

    /// Takes them back. Twice is no error.
    pub(crate) fn release(&mut self, mappings: &[PortMapping]) {
        self.mark_all(mappings, false);
    }

    fn mark_all(&mut self, mappings: &[PortMapping], taken: bool) {
        for mapping in mappings {
            mapping.ports().for_each(|port| self.mark(mapping.protocol, mapping.address, port, taken));
        }
    }

    fn mark(&mut self, protocol: Protocol, address: IpAddr, port: u16, taken: bool) {
        self.taken.entry((protocol, address)).or_default().set(port, taken);
    }
}

/// Single ports as runs of them.
fn fold(mut ports: Vec<PortMapping>) -> Vec<PortMapping> {
    ports.sort_unstable();
    let mut runs: Vec<PortMapping> = Vec::new();
    for port in ports {
        match runs.last_mut() {
            Some(run)
                if (run.protocol, run.address) == (port.protocol, port.address)
                    && run.host.checked_add(run.count) == Some(port.host)
                    && run.container.checked_add(run.count) == Some(port.container) =>
            {
                run.count += 1;
            }
            _ => runs.push(port),
        }
    }
    runs
}

/// `8080,9148-9150`.
fn ranges(text: &str) -> Vec<(u16, u16)> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        first.parse().ok().zip(last.parse().ok())
    };
    text.split(',').filter_map(range).collect()
}

/// One bit for each port.
#[derive(Clone, Debug)]
struct Ports(Box<[u64; 1024]>);

impl Default for Ports {
    fn default() -> Self {
        Self(Box::new([0; 1024]))
    }
}

impl Ports {
    fn get(&self, port: u16) -> bool {
        self.0[usize::from(port / 64)] >> (port % 64) & 1 == 1
    }

    fn set(&mut self, port: u16, taken: bool) {
        let (word, bit) = (&mut self.0[usize::from(port / 64)], 1 << (port % 64));
        *word = if taken { *word | bit } else { *word & !bit };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn wish(container: u16, host: Option<(u16, u16)>, address: &str) -> PortWish {
        PortWish { container, protocol: Protocol::Tcp, host, address: ip(address) }
    }

    fn any(_: IpAddr, _: u16, _: Protocol) -> io::Result<()> {
        Ok(())
    }

    fn text(mappings: &[PortMapping]) -> String {
        let one =
            |m: &PortMapping| format!("{}:{}->{}x{}/{}", m.address, m.host, m.container, m.count, m.protocol);
        mappings.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    const ANY: &str = "0.0.0.0";

    #[test]
    fn who_names_none_gets_the_next() {
        let mut ports = Allocator::new((100, 103), &[(101, 101)]);
        let next = |ports: &mut Allocator| ports.allocate(&[wish(80, None, ANY)], any).map(|g| text(&g));
        assert_eq!(next(&mut ports).unwrap(), "0.0.0.0:100->80x1/tcp");
        assert_eq!(next(&mut ports).unwrap(), "0.0.0.0:102->80x1/tcp");
        ports.release(&[PortMapping {
            protocol: Protocol::Tcp,
            address: ip(ANY),
            host: 100,
            container: 80,
            count: 1,
        }]);
        // Not the one that was just given back: clients may still believe it to be another's.
        assert_eq!(next(&mut ports).unwrap(), "0.0.0.0:103->80x1/tcp");
        assert_eq!(next(&mut ports).unwrap(), "0.0.0.0:100->80x1/tcp");
        assert_eq!(next(&mut ports).unwrap_err().to_string(), "all ports are allocated");
    }

    #[test]
    fn another_container_s_port_is_refused_wherever_it_overlaps() {
        let mut ports = Allocator::new((100, 200), &[]);
        ports.allocate(&[wish(80, Some((80, 80)), "127.0.0.1")], any).unwrap();
        ports.allocate(&[wish(80, Some((80, 80)), "10.0.0.1")], any).unwrap();
        ports.allocate(&[wish(80, Some((80, 80)), "::")], any).unwrap();
        let mut refused =
            |address| ports.allocate(&[wish(80, Some((80, 80)), address)], any).unwrap_err().to_string();
        assert_eq!(refused("127.0.0.1"), "Bind for 127.0.0.1:80 failed: port is already allocated");
        assert!(refused(ANY).ends_with(":80 failed: port is already allocated"));
        assert_eq!(refused("::1"), "Bind for :::80 failed: port is already allocated");
        let mut udp = wish(80, Some((80, 80)), ANY);
        udp.protocol = Protocol::Udp;
        ports.allocate(&[udp], any).unwrap();
    }

    #[test]
    fn what_a_program_has_is_passed_over_or_told() {
        let mut ports = Allocator::new((100, 200), &[]);
        let busy = |_: IpAddr, port: u16, _: Protocol| match port {
            100 | 101 | 80 => Err(Errno::ADDRINUSE.into()),
            _ => Ok(()),
        };
        assert_eq!(text(&ports.allocate(&[wish(80, None, ANY)], busy).unwrap()), "0.0.0.0:102->80x1/tcp");
        let asked = [wish(81, Some((81, 81)), ANY), wish(80, Some((80, 80)), ANY)];
        assert_eq!(
            ports.allocate(&asked, busy).unwrap_err().to_string(),
            "failed to bind host port 0.0.0.0:80/tcp: address already in use"
        );
        // And the other was given back.
        ports.allocate(&asked[..1], busy).unwrap();
        let in_range = [wish(90, Some((99, 101)), "::1")];
        let all_busy = |_: IpAddr, _: u16, _: Protocol| Err(Errno::ADDRINUSE.into());
        assert_eq!(
            ports.allocate(&in_range, all_busy).unwrap_err().to_string(),
            "failed to bind host port [::1]:99/tcp: address already in use"
        );
        assert_eq!(text(&ports.allocate(&in_range, any).unwrap()), "::1:100->90x1/tcp");
    }

    #[test]
    fn one_number_for_all_addresses_and_fixed_ones_first() {
        let mut ports = Allocator::new((100, 200), &[]);
        ports.allocate(&[wish(1, Some((100, 100)), "10.0.0.1")], any).unwrap();
        let asked =
            [wish(80, None, "127.0.0.1"), wish(80, None, "10.0.0.1"), wish(81, Some((101, 101)), "10.0.0.1")];
        let given = ports.allocate(&asked, any).unwrap();
        assert_eq!(text(&given), "10.0.0.1:101->81x1/tcp 10.0.0.1:102->80x1/tcp 127.0.0.1:102->80x1/tcp");
    }

    #[test]
    fn runs_are_folded() {
        let mut ports = Allocator::new((100, 200), &[]);
        let asked: Vec<_> = (0..10_000).map(|n| wish(n + 1, Some((20_000 + n, 20_000 + n)), ANY)).collect();
        assert_eq!(text(&ports.allocate(&asked, any).unwrap()), "0.0.0.0:20000->1x10000/tcp");
        let last = [65534, 65535].map(|n| wish(n, Some((n, n)), ANY));
        assert_eq!(text(&ports.allocate(&last, any).unwrap()), "0.0.0.0:65534->65534x2/tcp");
    }

    #[test]
    fn the_kernel_s_list_is_read() {
        assert_eq!(ranges("8080,9148-9150"), [(8080, 8080), (9148, 9150)]);
        assert_eq!(ranges(""), []);
    }
}

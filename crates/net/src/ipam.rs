//! Which addresses of a subnet are taken. Pure; who owns them is remembered elsewhere.
//!
//! The lowest free address is given out, as Docker does: a lone container is always `.2`.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

use crate::error::{Error, Result};

/// The addresses of one subnet.
#[derive(Clone, Debug)]
pub struct Ipam {
    subnet: Ipv4Net,
    /// First and last address given out to those who ask for none in particular.
    first: u32,
    last: u32,
    /// One bit per address of the subnet; set means taken.
    taken: Vec<u64>,
    /// No address below this one (as an offset into the subnet) is free.
    lowest_free: u32,
}

impl Ipam {
    /// The addresses of `subnet`; those given out freely come from `range` (`--fixed-cidr`), if there is one.
    /// The network's own and the broadcast address are never given out.
    ///
    /// # Errors
    ///
    /// A range outside the subnet, a subnet larger than a /8 or without a usable address.
    pub fn new(subnet: Ipv4Net, range: Option<Ipv4Net>) -> Result<Self> {
        let subnet = subnet.trunc();
        if subnet.prefix_len() < 8 || subnet.prefix_len() > 31 {
            return Err(Error::Config(format!("subnet {subnet}: the prefix must be between 8 and 31")));
        }
        let range = range.unwrap_or(subnet).trunc();
        if !subnet.contains(&range) {
            return Err(Error::Config(format!(
                "fixed-cidr {range} is not within the bridge's subnet {subnet}"
            )));
        }
        let size = 1usize << (32 - subnet.prefix_len());
        let mut ipam = Self {
            subnet,
            first: u32::from(range.network()),
            last: u32::from(range.broadcast()),
            taken: vec![0; size.div_ceil(64)],
            lowest_free: 0,
        };
        for reserved in edges(subnet).into_iter().flatten() {
            ipam.mark(reserved);
        }
        ipam.lowest_free = ipam.first - u32::from(subnet.network());
        Ok(ipam)
    }

    /// The subnet.
    pub fn subnet(&self) -> Ipv4Net {
        self.subnet
    }

    /// Takes the lowest free address of the range.
    ///
    /// # Errors
    ///
    /// [`Error::AddressesExhausted`].
    pub fn take_next(&mut self) -> Result<Ipv4Addr> {
        let base = u32::from(self.subnet.network());
        let mut offset = self.lowest_free;
        while base + offset <= self.last {
            let word = self.taken[offset as usize / 64] >> (offset % 64);
            if word & 1 == 0 {
                let address = Ipv4Addr::from(base + offset);
                self.mark(address);
                self.lowest_free = offset + 1;
                return Ok(address);
            }
            // Over the whole run of taken ones in this word.
            offset += (!word).trailing_zeros().min(64 - offset % 64).max(1);
        }
        self.lowest_free = offset;
        Err(Error::AddressesExhausted { family: "IPv4", pool: self.subnet.to_string() })
    }

    /// Takes this very address.
    ///
    /// # Errors
    ///
    /// It is taken, or no address of the subnet.
    pub fn take(&mut self, address: Ipv4Addr) -> Result<()> {
        if !self.subnet.contains(&address) {
            return Err(Error::AddressOutside { address: address.into(), subnet: self.subnet.to_string() });
        }
        if !self.mark(address) {
            return Err(Error::AddressInUse(address.into()));
        }
        Ok(())
    }

    /// Gives an address back. One that is not taken, or not of this subnet, is no error.
    pub fn give_back(&mut self, address: Ipv4Addr) {
        let is_edge = edges(self.subnet).is_some_and(|edges| edges.contains(&address));
        if !self.subnet.contains(&address) || is_edge {
            return;
        }
        let offset = u32::from(address) - u32::from(self.subnet.network());
        self.taken[offset as usize / 64] &= !(1 << (offset % 64));
        if u32::from(address) >= self.first {
            self.lowest_free = self.lowest_free.min(offset);
        }
    }

    /// Sets the bit; `false` if it was set.
    fn mark(&mut self, address: Ipv4Addr) -> bool {
        let offset = u32::from(address) - u32::from(self.subnet.network());
        let (word, bit) = (&mut self.taken[offset as usize / 64], 1 << (offset % 64));
        let was_free = *word & bit == 0;
        *word |= bit;
        was_free
    }
}

/// The addresses that a subnet has for itself: its own and the one for all. Two hosts are alone on a /31 (RFC 3021).
pub(crate) fn edges(subnet: Ipv4Net) -> Option<[Ipv4Addr; 2]> {
    (subnet.prefix_len() < 31).then(|| [subnet.network(), subnet.broadcast()])
}

/// The same of IPv6, whose subnets have more addresses than can be counted one by one.
#[derive(Clone, Debug)]
pub struct Ipam6 {
    subnet: Ipv6Net,
    first: u128,
    last: u128,
    taken: BTreeSet<u128>,
    /// No address below this one is free.
    lowest_free: u128,
}

impl Ipam6 {
    /// As [`Ipam::new`]. The subnet's first address is every router's (RFC 4291), and never given out.
    ///
    /// # Errors
    ///
    /// A range outside the subnet, a subnet without a usable address.
    pub fn new(subnet: Ipv6Net, range: Option<Ipv6Net>) -> Result<Self> {
        let subnet = subnet.trunc();
        if subnet.prefix_len() > 126 {
            return Err(Error::Config(format!("subnet {subnet}: the prefix must be 126 at most")));
        }
        let range = range.unwrap_or(subnet).trunc();
        if !subnet.contains(&range) {
            return Err(Error::Config(format!("range {range} is not within the subnet {subnet}")));
        }
        let first = u128::from(range.network());
        let taken = BTreeSet::from([u128::from(subnet.network())]);
        Ok(Self { subnet, first, last: u128::from(range.broadcast()), taken, lowest_free: first })
    }

    /// Takes the lowest free address of the range.
    ///
    /// # Errors
    ///
    /// [`Error::AddressesExhausted`].
    pub fn take_next(&mut self) -> Result<Ipv6Addr> {
        let mut next = self.lowest_free;
        for taken in self.taken.range(next..) {
            if *taken != next || next >= self.last {
                break;
            }
            next += 1;
        }
        if self.taken.contains(&next) {
            let pool = self.subnet.to_string();
            return Err(Error::AddressesExhausted { family: "IPv6", pool });
        }
        self.taken.insert(next);
        self.lowest_free = next;
        Ok(next.into())
    }

    /// Takes this very address.
    ///
    /// # Errors
    ///
    /// It is taken, or no address of the subnet.
    pub fn take(&mut self, address: Ipv6Addr) -> Result<()> {
        if !self.subnet.contains(&address) {
            return Err(Error::AddressOutside { address: address.into(), subnet: self.subnet.to_string() });
        }
        match self.taken.insert(address.into()) {
            true => Ok(()),
            false => Err(Error::AddressInUse(address.into())),
        }
    }

    /// Gives an address back. One that is not taken, or not of this subnet, is no error.
    pub fn give_back(&mut self, address: Ipv6Addr) {
        if address != self.subnet.network() && self.taken.remove(&address.into()) {
            let number = u128::from(address);
            if number >= self.first {
                self.lowest_free = self.lowest_free.min(number);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Ipv4Addr {
        text.parse().unwrap()
    }

    #[test]
    fn lowest_first_and_reused_at_once() {
        let mut ipam = Ipam::new("172.17.0.0/16".parse().unwrap(), None).unwrap();
        ipam.take(ip("172.17.0.1")).unwrap();
        assert_eq!(ipam.take_next().unwrap(), ip("172.17.0.2"));
        assert_eq!(ipam.take_next().unwrap(), ip("172.17.0.3"));
        ipam.give_back(ip("172.17.0.2"));
        ipam.give_back(ip("172.17.0.2"));
        ipam.give_back(ip("10.0.0.1"));
        assert_eq!(ipam.take_next().unwrap(), ip("172.17.0.2"));
        assert_eq!(ipam.take_next().unwrap(), ip("172.17.0.4"));
    }

    #[test]
    fn a_subnet_is_used_up_to_its_last_address() {
        for prefix in [24, 25, 26, 29, 30, 31] {
            let subnet: Ipv4Net = format!("10.1.2.0/{prefix}").parse().unwrap();
            let mut ipam = Ipam::new(subnet, None).unwrap();
            let all: Vec<_> = subnet.hosts().collect();
            for host in &all {
                assert_eq!(ipam.take_next().unwrap(), *host);
            }
            assert!(matches!(ipam.take_next(), Err(Error::AddressesExhausted { .. })));
            ipam.give_back(all[all.len() - 1]);
            assert_eq!(ipam.take_next().unwrap(), all[all.len() - 1]);
        }
    }

    #[test]
    fn a_range_limits_what_is_given_but_not_what_is_asked_for() {
        let mut ipam =
            Ipam::new("10.0.0.0/16".parse().unwrap(), Some("10.0.5.0/30".parse().unwrap())).unwrap();
        let given: Vec<_> = std::iter::from_fn(|| ipam.take_next().ok()).collect();
        assert_eq!(given, [ip("10.0.5.0"), ip("10.0.5.1"), ip("10.0.5.2"), ip("10.0.5.3")]);
        ipam.take(ip("10.0.0.9")).unwrap();
        ipam.give_back(ip("10.0.0.9"));
        assert!(ipam.take_next().is_err());
        assert!(Ipam::new("10.0.0.0/16".parse().unwrap(), Some("10.1.0.0/24".parse().unwrap())).is_err());
    }

    #[test]
    fn what_cannot_be_had_is_named() {
        let mut ipam = Ipam::new("10.0.0.0/24".parse().unwrap(), None).unwrap();
        ipam.take(ip("10.0.0.7")).unwrap();
        assert_eq!(ipam.take(ip("10.0.0.7")).unwrap_err().to_string(), "Address already in use");
        assert!(matches!(ipam.take(ip("10.0.1.7")), Err(Error::AddressOutside { .. })));
        assert!(matches!(ipam.take(ip("10.0.0.255")), Err(Error::AddressInUse(_))));
    }

    #[test]
    fn addresses_of_ipv6_are_given_alike() {
        let ip = |text: &str| text.parse::<Ipv6Addr>().unwrap();
        let mut ipam = Ipam6::new("fd00::/64".parse().unwrap(), None).unwrap();
        ipam.take(ip("fd00::1")).unwrap();
        assert_eq!(ipam.take_next().unwrap(), ip("fd00::2"));
        ipam.take(ip("fd00::4")).unwrap();
        assert_eq!([ipam.take_next().unwrap(), ipam.take_next().unwrap()], [ip("fd00::3"), ip("fd00::5")]);
        ipam.give_back(ip("fd00::2"));
        ipam.give_back(ip("fd00::2"));
        ipam.give_back(ip("fd00::"));
        assert_eq!([ipam.take_next().unwrap(), ipam.take_next().unwrap()], [ip("fd00::2"), ip("fd00::6")]);
        assert!(matches!(ipam.take(ip("fd00::4")), Err(Error::AddressInUse(_))));
        assert!(matches!(ipam.take(ip("fd01::4")), Err(Error::AddressOutside { .. })));
        // Up to the last one, which is an address as any other.
        for (range, count) in [("fd00::/126", 3), ("fd00::8/125", 8), ("fd00::f0/124", 16)] {
            let mut small = Ipam6::new("fd00::/120".parse().unwrap(), Some(range.parse().unwrap())).unwrap();
            let given: Vec<_> = std::iter::from_fn(|| small.take_next().ok()).collect();
            assert_eq!(given.len(), count, "{range}");
            small.give_back(given[1]);
            assert_eq!(small.take_next().unwrap(), given[1]);
            assert!(small.take_next().is_err());
        }
        let mut all = Ipam6::new("fd00::/64".parse().unwrap(), Some("fd00::/126".parse().unwrap())).unwrap();
        all.take(ip("ffff::1")).unwrap_err();
        assert!(Ipam6::new("fd00::/64".parse().unwrap(), Some("fd01::/80".parse().unwrap())).is_err());
        let mut end = Ipam6::new("ffff:ffff:ffff:ffff::/64".parse().unwrap(), None).unwrap();
        end.take(Ipv6Addr::from(u128::MAX)).unwrap();
    }
}

//! Where the subnets of networks come from for which nobody names one.
//!
//! Docker's own list has 31 entries, so that the thirty-first network of a host fails. Ours begins as Docker's does and
//! then goes on in `/24`s of the same ranges: about 3,600 networks.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

use crate::version::Version;

/// A range that is cut into subnets of one size (`--default-address-pool base=...,size=...`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressPool {
    pub base: IpNet,
    /// The prefix of each subnet.
    pub size: u8,
}

impl AddressPool {
    const fn new(a: u8, b: u8, prefix: u8, size: u8) -> Self {
        Self { base: IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, 0, 0), prefix)), size }
    }

    fn subnets(self) -> impl Iterator<Item = IpNet> {
        self.base.trunc().subnets(self.size).into_iter().flatten()
    }

    pub(crate) fn version(self) -> Version {
        Version::of(self.base.addr())
    }
}

/// For the default bridge without `--bip`, as Docker.
pub(crate) fn for_default_bridge() -> Vec<AddressPool> {
    let class_b = (17..32).map(|n| AddressPool::new(172, n, 16, 16));
    class_b.chain([AddressPool::new(192, 168, 16, 20)]).collect()
}

/// For users' networks.
pub fn default_pools() -> Vec<AddressPool> {
    let first = AddressPool::new(172, 18, 16, 16);
    let rest = (19..32).map(|n| AddressPool::new(172, n, 16, 24));
    std::iter::once(first).chain(rest).chain([AddressPool::new(192, 168, 16, 24)]).collect()
}

/// Networks of one version of IP that are taken, for many questions.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    version: Version,
    /// Last address by first one; where one contains another, the smaller is left out.
    ranges: BTreeMap<u128, u128>,
}

/// First and last address as numbers.
fn range(net: IpNet) -> (u128, u128) {
    let number = |address: IpAddr| match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    };
    (number(net.network()), number(net.broadcast()))
}

impl Taken {
    /// Those of the other version are left out.
    pub(crate) fn new(version: Version, nets: impl IntoIterator<Item = IpNet>) -> Self {
        let mut taken = Self { version, ranges: BTreeMap::new() };
        for net in nets.into_iter().filter(|net| Version::of(net.addr()) == version) {
            let (first, last) = range(net);
            let end = taken.ranges.entry(first).or_insert(last);
            *end = (*end).max(last);
        }
        let mut reach = None::<u128>;
        taken.ranges.retain(|_, last| {
            let within = reach.is_some_and(|reach| *last <= reach);
            reach = Some(reach.map_or(*last, |reach| reach.max(*last)));
            !within
        });
        taken
    }

    pub(crate) fn overlaps(&self, net: IpNet) -> bool {
        let (first, last) = range(net);
        // What begins at or before its last address, and ends at or after its first.
        self.ranges.range(..=last).next_back().is_some_and(|(_, end)| *end >= first)
    }
}

/// The first subnet of that version that overlaps with nothing; `size` is the prefix that it is to have, in place of those
/// that the pools say.
pub(crate) fn choose(pools: &[AddressPool], taken: &Taken, size: Option<u8>) -> Option<IpNet> {
    pools
        .iter()
        .filter(|pool| pool.version() == taken.version && !covers(taken, pool.base))
        .map(|pool| AddressPool { size: size.unwrap_or(pool.size), ..*pool })
        .find_map(|pool| pool.subnets().find(|subnet| !taken.overlaps(*subnet)))
}

/// Whether all of it lies in one taken network, as the /16 of another network.
fn covers(taken: &Taken, base: IpNet) -> bool {
    let (first, last) = range(base);
    taken.ranges.range(..=first).next_back().is_some_and(|(_, end)| *end >= last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    #[test]
    fn the_first_is_docker_s_and_thousands_follow() {
        let pools = default_pools();
        let mut all = vec![net("172.17.0.0/16")];
        while let Some(next) = choose(&pools, &Taken::new(Version::V4, all.iter().copied()), None) {
            all.push(next);
            // One by one through all of them is what an engine does in years.
            if all.len() == 300 {
                let rest = pools.iter().flat_map(|pool| pool.subnets()).skip(all.len() - 1);
                all.extend(rest.take(3000));
            }
        }
        assert_eq!(all[1..4], [net("172.18.0.0/16"), net("172.19.0.0/24"), net("172.19.1.0/24")]);
        assert_eq!((all.len(), all.last()), (3586, Some(&net("192.168.255.0/24"))));
    }

    #[test]
    fn what_is_routed_elsewhere_is_left_alone() {
        let taken = Taken::new(
            Version::V4,
            ["172.18.4.0/24", "172.19.0.0/16", "172.19.9.0/24", "172.20.0.0/23"].map(net),
        );
        assert_eq!(choose(&default_pools(), &taken, None), Some(net("172.20.2.0/24")));
        assert!(taken.overlaps(net("172.19.200.0/24")) && !taken.overlaps(net("172.18.5.0/24")));
        assert!(taken.overlaps(net("172.0.0.0/8")));
        assert_eq!(choose(&default_pools(), &Taken::new(Version::V4, [net("128.0.0.0/1")]), None), None);
    }

    #[test]
    fn a_pool_of_the_user_s_is_cut_as_he_says() {
        let pools = [AddressPool { base: net("10.200.0.0/22"), size: 24 }];
        let taken = Taken::new(Version::V4, [net("10.200.0.0/24"), net("10.200.1.128/25")]);
        assert_eq!(choose(&pools, &taken, None), Some(net("10.200.2.0/24")));
        assert_eq!(choose(&pools, &taken, Some(26)), Some(net("10.200.1.0/26")));
        assert_eq!(choose(&pools, &taken, Some(23)), Some(net("10.200.2.0/23")));
        assert_eq!(choose(&pools, &taken, Some(20)), None, "none of them is so large");
    }

    #[test]
    fn families_have_pools_of_their_own() {
        let ula = AddressPool { base: net("fd12:3456:789a::/48"), size: 64 };
        let pools = [default_pools(), vec![ula]].concat();
        let taken = ["fd12:3456:789a::/64", "172.18.0.0/16", "::/1"].map(net);
        let free = |version| choose(&pools, &Taken::new(version, taken), None);
        assert_eq!(free(Version::V6), Some(net("fd12:3456:789a:1::/64")));
        assert_eq!(free(Version::V4), Some(net("172.19.0.0/24")));
        assert_eq!(choose(&default_pools(), &Taken::new(Version::V6, taken), None), None);
    }
}

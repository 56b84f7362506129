//! How much of a network's subnets is taken, counted from what was chosen for it and from who is on it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;

use super::check::nobodys;
use super::{Inspected, Pool};

/// Addresses of a subnet. What there are more of than can be said is said to be the most.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubnetUse {
    pub subnet: String,
    /// Containers', the gateway's, auxiliary ones, and those that nobody can have.
    pub taken: u64,
    /// What may still be given to who asks for none in particular.
    pub free: u64,
}

impl Inspected {
    /// Of each subnet of the network's.
    #[must_use]
    pub fn usage(&self) -> Vec<SubnetUse> {
        let members: Vec<IpAddr> = self
            .containers
            .values()
            .flat_map(|member| {
                let endpoint = &member.endpoint;
                [endpoint.ipv4.map(IpAddr::from), endpoint.ipv6.map(IpAddr::from)]
            })
            .flatten()
            .collect();
        self.network.pools.iter().filter_map(|pool| of(pool, &members)).collect()
    }
}

/// `None` where there is no subnet.
fn of(pool: &Pool, members: &[IpAddr]) -> Option<SubnetUse> {
    let subnet: IpNet = pool.subnet.parse().ok()?;
    let range: IpNet = pool.range.parse().unwrap_or(subnet);
    let mut taken: BTreeSet<IpAddr> =
        pool.auxiliary.values().chain([&pool.gateway]).filter_map(|address| address.parse().ok()).collect();
    taken.extend(members);
    taken.extend(nobodys(subnet));
    taken.retain(|address| subnet.contains(address));
    let in_range = taken.iter().filter(|address| range.contains(*address)).count();
    let host_bits = u32::from(range.max_prefix_len() - range.prefix_len());
    let free = 1_u128.checked_shl(host_bits).unwrap_or(u128::MAX).saturating_sub(in_range as u128);
    Some(SubnetUse {
        subnet: subnet.trunc().to_string(),
        taken: taken.len() as u64,
        free: u64::try_from(free).unwrap_or(u64::MAX),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(subnet: &str, range: &str, gateway: &str, auxiliary: &[&str]) -> Pool {
        let auxiliary = auxiliary.iter().map(|address| ((*address).to_owned(), (*address).to_owned()));
        Pool {
            subnet: subnet.into(),
            range: range.into(),
            gateway: gateway.into(),
            auxiliary: auxiliary.collect(),
        }
    }

    #[test]
    fn what_is_taken_and_what_is_free() {
        let members: Vec<IpAddr> =
            ["10.0.0.9", "10.0.0.2", "fd00::2"].iter().map(|address| address.parse().unwrap()).collect();
        for (pool, taken, free) in [
            (pool("10.0.0.0/24", "", "10.0.0.1", &[]), 5, 251),
            (pool("10.0.0.0/24", "10.0.0.8/29", "10.0.0.1", &["10.0.0.8", "10.0.0.77"]), 7, 6),
            (pool("10.9.0.0/16", "", "", &[]), 2, 65534),
            (pool("10.0.0.8/31", "", "10.0.0.8", &[]), 2, 0),
            (pool("10.0.0.76/31", "", "10.0.0.76", &[]), 1, 1),
            (pool("fd00::/64", "", "fd00::1", &[]), 3, u64::MAX - 2),
            (pool("fd00::/60", "", "fd00::1", &[]), 3, u64::MAX),
            (pool("fd00::/120", "fd00::80/126", "fd00::1", &[]), 3, 4),
        ] {
            let subnet = pool.subnet.clone();
            assert_eq!(of(&pool, &members), Some(SubnetUse { subnet, taken, free }), "{pool:?}");
        }
        assert_eq!(of(&Pool::default(), &members), None);
    }
}

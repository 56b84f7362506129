//! Who is called what: pure.
//!
//! Names are scoped to networks. A name is looked for on the networks of who asks, in their order, and the first that
//! has it holds. `name.network` means the one network; both may have dots in them, so each dot is tried.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::protocol::{Member, Place};

/// All containers that the engine told of.
#[derive(Debug, Default)]
pub(crate) struct Names {
    members: HashMap<String, Member>,
    networks: HashMap<String, Network>,
}

#[derive(Debug, Default)]
struct Network {
    /// In lower case; of several containers, as `--network-alias` allows.
    names: HashMap<String, Vec<Addresses>>,
    addresses: HashMap<IpAddr, String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Addresses {
    member: String,
    ipv4: Option<Ipv4Addr>,
    ipv6: Option<Ipv6Addr>,
}

/// What a name stands for: no address of a kind does not mean that there is no such name.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) ipv4: Vec<Ipv4Addr>,
    pub(crate) ipv6: Vec<Ipv6Addr>,
}

impl Names {
    pub(crate) fn member(&self, id: &str) -> Option<&Member> {
        self.members.get(id)
    }

    pub(crate) fn ids(&self) -> Vec<String> {
        self.members.keys().cloned().collect()
    }

    /// In place of what was known of it.
    pub(crate) fn put(&mut self, member: Member) {
        self.forget(&member.id);
        for place in &member.places {
            let network = self.networks.entry(place.network.clone()).or_default();
            for name in &place.names {
                let all = network.names.entry(name.to_lowercase()).or_default();
                let addresses = Addresses { member: member.id.clone(), ipv4: place.ipv4, ipv6: place.ipv6 };
                if !all.contains(&addresses) {
                    all.push(addresses);
                }
            }
            for address in addresses(place) {
                network.addresses.extend(place.names.first().map(|name| (address, name.clone())));
            }
        }
        self.members.insert(member.id.clone(), member);
    }

    pub(crate) fn forget(&mut self, id: &str) {
        let Some(member) = self.members.remove(id) else { return };
        for place in &member.places {
            let Some(network) = self.networks.get_mut(&place.network) else { continue };
            for name in &place.names {
                let key = name.to_lowercase();
                let Some(all) = network.names.get_mut(&key) else { continue };
                all.retain(|one| one.member != id);
                if all.is_empty() {
                    network.names.remove(&key);
                }
            }
            for address in addresses(place) {
                // It may be another's by now.
                if network.addresses.get(&address) == place.names.first() {
                    network.addresses.remove(&address);
                }
            }
            if network.names.is_empty() {
                self.networks.remove(&place.network);
            }
        }
    }

    /// What a name means to a container. Without a final dot.
    pub(crate) fn find(&self, asker: &Member, name: &str) -> Option<Found> {
        let name = name.to_lowercase();
        let whole = (name.as_str(), None);
        let parts = name.rmatch_indices('.').map(|(at, _)| (&name[..at], Some(&name[at + 1..])));
        std::iter::once(whole).chain(parts).find_map(|(name, network)| self.find_in(asker, name, network))
    }

    fn find_in(&self, asker: &Member, name: &str, network: Option<&str>) -> Option<Found> {
        let is_meant = |place: &&Place| network.is_none_or(|name| place.network_name.to_lowercase() == name);
        let places = || asker.places.iter().filter(is_meant);
        let known =
            |name: &str| places().find_map(|place| self.networks.get(&place.network)?.names.get(name));
        // A link of its own hides what others are called.
        let link = asker.links.iter().find(|(alias, _)| alias.to_lowercase() == name);
        let all = link.and_then(|(_, target)| known(&target.to_lowercase())).or_else(|| known(name))?;
        Some(Found {
            ipv4: all.iter().filter_map(|one| one.ipv4).collect(),
            ipv6: all.iter().filter_map(|one| one.ipv6).collect(),
        })
    }

    /// What an address is called, to a container: `name.network`.
    pub(crate) fn find_address(&self, asker: &Member, address: IpAddr) -> Option<String> {
        asker.places.iter().find_map(|place| {
            let name = self.networks.get(&place.network)?.addresses.get(&address)?;
            Some(format!("{name}.{}", place.network_name))
        })
    }
}

fn addresses(place: &Place) -> impl Iterator<Item = IpAddr> {
    place.ipv4.map(IpAddr::V4).into_iter().chain(place.ipv6.map(IpAddr::V6))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(network: &str, last: u8, names: &[&str]) -> Place {
        Place {
            network: format!("id-{network}"),
            network_name: network.into(),
            ipv4: Some(Ipv4Addr::new(10, 0, 0, last)),
            ipv6: None,
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    fn member(id: &str, places: Vec<Place>) -> Member {
        Member { id: id.into(), places, ..Member::default() }
    }

    fn last_bytes(names: &Names, asker: &str, name: &str) -> Vec<u8> {
        let found = names.find(names.member(asker).unwrap(), name).unwrap_or_default();
        let mut all: Vec<_> = found.ipv4.iter().map(|ip| ip.octets()[3]).collect();
        all.sort_unstable();
        all
    }

    fn three() -> Names {
        let mut names = Names::default();
        names.put(member("a", vec![place("one", 1, &["web", "svc"])]));
        names.put(member(
            "b",
            vec![place("one", 2, &["db", "svc", "svc"]), place("two.x", 22, &["db", "own.er"])],
        ));
        names.put(member("c", vec![place("two.x", 3, &["cache"])]));
        names
    }

    #[test]
    fn names_are_those_of_the_networks_that_are_shared() {
        let names = three();
        assert_eq!(last_bytes(&names, "a", "DB"), [2]);
        assert_eq!(last_bytes(&names, "a", "svc"), [1, 2], "a service has the addresses of all");
        assert_eq!(last_bytes(&names, "a", "cache"), [] as [u8; 0]);
        assert_eq!(last_bytes(&names, "c", "db"), [22]);
        assert_eq!(last_bytes(&names, "b", "db"), [2], "the first network holds");
        assert_eq!(last_bytes(&names, "b", "db.two.x"), [22]);
        assert_eq!(last_bytes(&names, "c", "own.er.two.x"), [22]);
        assert_eq!(last_bytes(&names, "a", "db.two.x"), [] as [u8; 0]);
        let a = names.member("a").unwrap();
        assert_eq!(names.find_address(a, [10, 0, 0, 2].into()).as_deref(), Some("db.one"));
        assert_eq!(names.find_address(a, [10, 0, 0, 22].into()), None);
    }

    #[test]
    fn what_is_put_again_or_forgotten_leaves_nothing() {
        let mut names = three();
        names.put(member("b", vec![place("one", 2, &["base"])]));
        assert_eq!(last_bytes(&names, "a", "db"), [] as [u8; 0]);
        assert_eq!((last_bytes(&names, "a", "base"), last_bytes(&names, "a", "svc")), (vec![2], vec![1]));
        // Its address went to another before the news of its end came.
        names.put(member("d", vec![place("one", 2, &["next"])]));
        names.forget("b");
        let a = names.member("a").unwrap();
        assert_eq!(names.find_address(a, [10, 0, 0, 2].into()).as_deref(), Some("next.one"));
        for id in ["a", "c", "d"] {
            names.forget(id);
        }
        assert!(names.networks.is_empty() && names.members.is_empty());
    }

    #[test]
    fn a_link_is_for_who_has_it() {
        let mut names = three();
        let linked =
            Member { links: vec![("web".into(), "db".into())], ..names.member("a").unwrap().clone() };
        names.put(linked);
        assert_eq!(last_bytes(&names, "a", "web"), [2], "it hides others of that name");
        assert_eq!(last_bytes(&names, "b", "web"), [1]);
        assert_eq!(last_bytes(&names, "a", "web.one"), [2]);
    }
}

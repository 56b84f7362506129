//! Elements of the maps and sets in our table that are of containers, and the names of those for each version of IP.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::error::Result;
use crate::netlink::Socket;
use crate::nft::{self, Element, Family, Transaction};
use crate::respect;
use crate::version::Version;

/// What linked containers may reach of each other.
pub(crate) const LINKS: &str = "links";

/// Names of the maps and sets that there are for each version of IP.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names {
    /// Each subnet with its bridge: by addresses, since what `br_netfilter` shows of bridged packets has no incoming
    /// interface when they leave.
    pub(crate) home: &'static str,
    /// Ports that have the same number in the container; those that have another, at any address and at one.
    pub(crate) ports: &'static str,
    pub(crate) moved_ports: &'static str,
    pub(crate) moved_ports_at: &'static str,
    /// Ports that are reached at the container's own address; and those that are so from trusted interfaces only.
    pub(crate) reached: &'static str,
    pub(crate) offered: &'static str,
}

pub(crate) const fn names(version: Version) -> Names {
    match version {
        Version::V4 => Names {
            home: "home",
            ports: "ports",
            moved_ports: "moved_ports",
            moved_ports_at: "moved_ports_at",
            reached: "reached",
            offered: "offered",
        },
        Version::V6 => Names {
            home: "home6",
            ports: "ports6",
            moved_ports: "moved_ports6",
            moved_ports_at: "moved_ports_at6",
            reached: "reached6",
            offered: "offered6",
        },
    }
}

/// What is in the maps, and in the sets that are not of networks, by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Elements(BTreeMap<&'static str, Vec<Element>>);

impl Elements {
    pub(crate) fn push(&mut self, map: &'static str, element: Element) {
        self.0.entry(map).or_default().push(element);
    }

    pub(crate) fn of(&self, map: &str) -> &[Element] {
        self.0.get(map).map_or(&[], Vec::as_slice)
    }

    /// As the kernel has them.
    pub(crate) fn observe(table: &str, socket: &mut Socket) -> Result<Self> {
        let mut found = Self::default();
        for map in Version::BOTH.into_iter().flat_map(maps).chain([LINKS]) {
            let elements = nft::elements(socket, Family::Inet, table, map)?;
            if !elements.is_empty() {
                found.0.insert(map, elements);
            }
        }
        Ok(found.sorted())
    }

    pub(crate) fn sorted(mut self) -> Self {
        self.0.values_mut().for_each(|elements| elements.sort_unstable());
        self
    }

    pub(crate) fn extend(&mut self, other: Self) {
        for (map, elements) in other.0 {
            self.0.entry(map).or_default().extend(elements);
        }
    }

    /// What the other does not have. Both are sorted.
    pub(crate) fn without(&self, other: &Self) -> Self {
        let mut rest = self.clone();
        for (map, elements) in &mut rest.0 {
            elements.retain(|element| other.of(map).binary_search(element).is_err());
        }
        rest
    }

    pub(crate) fn add_to(&self, transaction: &mut Transaction<'_>) {
        self.0.iter().for_each(|(map, elements)| transaction.add_elements(map, elements));
        if transaction.asks {
            for (set, elements) in self.keys() {
                transaction.add_elements(set, &elements);
            }
        }
    }

    /// How many keys there are, in the order of [`respect::KEY_SETS`].
    pub(crate) fn keyed(&self) -> [usize; 6] {
        ASKED.map(|(_, map)| self.of(map).len())
    }

    /// The keys alone, for the sets of those that are asked about.
    fn keys(&self) -> [(&'static str, Vec<Element>); 6] {
        let key = |element: &Element| Element { data: Vec::new(), ..element.clone() };
        ASKED.map(|(set, map)| (set, self.of(map).iter().map(key).collect()))
    }

    pub(crate) fn delete_from(&self, transaction: &mut Transaction<'_>) {
        self.0.iter().for_each(|(map, elements)| transaction.delete_elements(map, elements));
        if transaction.asks {
            for (set, elements) in self.keys() {
                transaction.delete_elements(set, &elements);
            }
        }
    }
}

/// Each set of keys that are asked about with the map that has them, in the order of [`respect::KEY_SETS`].
const ASKED: [(&str, &str); 6] = {
    let [v4, v6] = [names(Version::V4), names(Version::V6)];
    let sets = respect::KEY_SETS;
    [
        (sets[0].name, v4.ports),
        (sets[1].name, v4.moved_ports),
        (sets[2].name, v4.moved_ports_at),
        (sets[3].name, v6.ports),
        (sets[4].name, v6.moved_ports),
        (sets[5].name, v6.moved_ports_at),
    ]
};

fn maps(version: Version) -> [&'static str; 5] {
    let Names { ports, moved_ports, moved_ports_at, reached, offered, .. } = names(version);
    [ports, moved_ports, moved_ports_at, reached, offered]
}

pub(crate) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

//! One network: its addresses, and what containers on it get.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

use crate::desired::{BridgeConfig, GatewayMode, OverKind};
use crate::error::{Error, Result};
use crate::ipam::{Ipam, Ipam6};
use crate::mac::{Mac, mac_from_ipv4, mac_from_ipv6};
use crate::plan::PlannedBridge;
use crate::sandbox::{Address, Attachment};

/// What is known about a bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FabricFacts {
    pub bridge: String,
    /// The bridge's own address with the subnet's prefix.
    pub address: Option<Ipv4Net>,
    pub address6: Option<Ipv6Net>,
    /// Where addresses are given out, if it was said.
    pub range: Option<Ipv4Net>,
    pub range6: Option<Ipv6Net>,
    /// What containers get as their gateway.
    pub gateway: Option<Ipv4Addr>,
    pub gateway6: Option<Ipv6Addr>,
    pub mtu: u32,
}

/// Where in a network a container is to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub ipv4: Option<Ipv4Addr>,
    pub ipv6: Option<Ipv6Addr>,
    pub mac: Option<Mac>,
    /// The default route goes this way, if it leads out at all.
    pub is_gateway: bool,
    /// The same of IPv6.
    pub is_gateway6: bool,
}

/// One bridge and its addresses.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) facts: FabricFacts,
    ipam: Option<Ipam>,
    ipam6: Option<Ipam6>,
    pub(crate) attach: Attachment,
    /// No way out: containers get no default route.
    internal: bool,
    /// Given by the network, and never given back by a container.
    kept: Vec<IpAddr>,
}

impl Network {
    pub(crate) fn new(config: &BridgeConfig, planned: &PlannedBridge) -> Result<Self> {
        let outside = |address: IpAddr, subnet: String| Error::AddressOutside { address, subnet };
        let mut kept: Vec<IpAddr> = Vec::new();
        let (mut ipam, mut gateway) = (None, None);
        if let Some(address) = planned.address {
            let mut addresses = Ipam::new(address, config.range)?;
            let leads_to = config.gateway.unwrap_or(address.addr());
            if !address.contains(&leads_to) {
                return Err(outside(leads_to.into(), address.trunc().to_string()));
            }
            let own = (!config.bare && config.mode != GatewayMode::Isolated).then(|| address.addr());
            // Over a link of the host's the first address is the router's of the world there, named or not.
            for ip in own.into_iter().chain([leads_to]).chain(config.reserved.iter().copied()) {
                if !kept.contains(&ip.into()) {
                    addresses.take(ip)?;
                    kept.push(ip.into());
                }
            }
            ipam = Some(addresses);
            gateway = if config.over.is_some() { config.gateway } else { Some(leads_to) };
        }
        let (mut ipam6, mut gateway6) = (None, None);
        let is_over = config.over.is_some();
        if let Some((address, config)) = planned.address6.zip(config.ipv6.as_ref()) {
            let mut addresses = Ipam6::new(address, config.range)?;
            let leads_to = config.gateway.unwrap_or(address.addr());
            // A router's own address of the link is one that is heard everywhere.
            if !address.contains(&leads_to) && !leads_to.is_unicast_link_local() {
                return Err(outside(leads_to.into(), address.trunc().to_string()));
            }
            let own = (config.mode != GatewayMode::Isolated).then(|| address.addr());
            let leads_within = Some(leads_to).filter(|ip| address.contains(ip));
            for ip in own.into_iter().chain(leads_within).chain(config.reserved.iter().copied()) {
                if !kept.contains(&ip.into()) {
                    addresses.take(ip)?;
                    kept.push(ip.into());
                }
            }
            ipam6 = Some(addresses);
            gateway6 = if is_over { config.gateway } else { Some(leads_to) };
        }
        Ok(Self {
            facts: FabricFacts {
                bridge: config.name.clone(),
                address: planned.address,
                address6: planned.address6,
                range: config.range,
                range6: config.ipv6.as_ref().and_then(|config| config.range),
                gateway,
                gateway6,
                mtu: planned.mtu,
            },
            ipam,
            ipam6,
            attach: Attachment {
                bridge: config.name.clone(),
                mtu: planned.mtu,
                isolated: !config.inter_container,
                ipv6: config.ipv6.is_some(),
                over: config.over.clone(),
            },
            internal: config.internal,
            kept,
        })
    }

    /// An address of each version that it has, or none.
    pub(crate) fn claim(&mut self, place: Place) -> Result<Address> {
        let net = |error: ipnet::PrefixLenError| Error::Config(error.to_string());
        let mut ipv4 = None;
        if let Some((ipam, address)) = self.ipam.as_mut().zip(self.facts.address) {
            let ip = match place.ipv4 {
                Some(ip) => ipam.take(ip).map(|()| ip)?,
                None => ipam.take_next()?,
            };
            ipv4 = Some(Ipv4Net::new(ip, address.prefix_len()).map_err(net)?);
        }
        let mut ipv6 = None;
        if let Some((ipam, address)) = self.ipam6.as_mut().zip(self.facts.address6) {
            let taken = match place.ipv6 {
                Some(ip) => ipam.take(ip).map(|()| ip),
                None => ipam.take_next(),
            };
            let ip = match taken {
                Ok(ip) => ip,
                Err(error) => {
                    ipv4.into_iter().for_each(|net| self.give_back(net.addr().into()));
                    return Err(error);
                }
            };
            ipv6 = Some(Ipv6Net::new(ip, address.prefix_len()).map_err(net)?);
        }
        self.address(place, ipv4, ipv6)
    }

    /// The same for somebody who has those addresses already.
    pub(crate) fn claimed(&self, place: Place) -> Result<Address> {
        let net = |error: ipnet::PrefixLenError| Error::Config(error.to_string());
        let ipv4 = place.ipv4.zip(self.facts.address);
        let ipv4 = ipv4.map(|(ip, of)| Ipv4Net::new(ip, of.prefix_len())).transpose().map_err(net)?;
        let ipv6 = place.ipv6.zip(self.facts.address6);
        let ipv6 = ipv6.map(|(ip, of)| Ipv6Net::new(ip, of.prefix_len())).transpose().map_err(net)?;
        self.address(place, ipv4, ipv6)
    }

    fn address(&self, place: Place, ipv4: Option<Ipv4Net>, ipv6: Option<Ipv6Net>) -> Result<Address> {
        let derived = match (ipv4, ipv6) {
            (Some(net), _) => mac_from_ipv4(net.addr()),
            (None, Some(net)) => mac_from_ipv6(net.addr()),
            (None, None) => return Err(Error::NoSuchNetwork(self.facts.bridge.clone())),
        };
        let kind = self.attach.over.as_ref().map(|over| over.kind);
        let to_link = !self.internal && kind.is_some_and(OverKind::is_routed);
        let leads_to = self.facts.gateway.filter(|_| !self.internal && !to_link);
        let leads_to6 = self.facts.gateway6.filter(|_| !self.internal && !to_link);
        let own_mac = !matches!(kind, Some(OverKind::Ipvlan(..)));
        Ok(Address {
            ipv4,
            ipv6,
            link_local: Vec::new(),
            mac: own_mac.then(|| place.mac.unwrap_or(derived)),
            to_link: (
                to_link && ipv4.is_some() && place.is_gateway,
                to_link && ipv6.is_some() && place.is_gateway6,
            ),
            gateway: leads_to.filter(|_| place.is_gateway),
            gateway6: leads_to6.filter(|_| place.is_gateway6),
            leads_to,
            leads_to6,
        })
    }

    /// After an engine's restart.
    pub(crate) fn reclaim(&mut self, ip: IpAddr) -> Result<()> {
        let outside = || Error::AddressOutside { address: ip, subnet: self.facts.bridge.clone() };
        match ip {
            IpAddr::V4(ip) => self.ipam.as_mut().ok_or_else(outside)?.take(ip),
            IpAddr::V6(ip) => self.ipam6.as_mut().ok_or_else(outside)?.take(ip),
        }
    }

    pub(crate) fn give_back(&mut self, ip: IpAddr) {
        if self.kept.contains(&ip) {
            return;
        }
        match (ip, &mut self.ipam, &mut self.ipam6) {
            (IpAddr::V4(ip), Some(ipam), _) => ipam.give_back(ip),
            (IpAddr::V6(ip), _, Some(ipam)) => ipam.give_back(ip),
            _ => {}
        }
    }
}

impl PlannedBridge {
    /// What was chosen is what is said from now on.
    pub(crate) fn settle(&self, config: &mut BridgeConfig) {
        config.address = self.address;
        if let Some(ipv6) = &mut config.ipv6 {
            ipv6.address = self.address6;
        }
        config.mtu = Some(self.mtu);
    }
}

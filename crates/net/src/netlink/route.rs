//! Links, addresses and routes: `rtnetlink(7)`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, BorrowedFd};

use ipnet::IpNet;

use super::message::{ACK, Attrs, Batch, CREATE, DUMP, EXCL, REPLACE, Received, u32_at};
use super::socket::Socket;
use crate::desired::{IpvlanFlag, IpvlanMode, MacvlanMode, OverKind};
use crate::error::{Error, Result};
use crate::ipam::edges;
use crate::mac::Mac;

const NEWLINK: u16 = 16;
pub(super) const DELLINK: u16 = 17;
const GETLINK: u16 = 18;
const SETLINK: u16 = 19;
const NEWADDR: u16 = 20;
const DELADDR: u16 = 21;
const GETADDR: u16 = 22;
const NEWROUTE: u16 = 24;
const GETROUTE: u16 = 26;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MACVLAN_MODE: u16 = 1;
const IFLA_IPVLAN_MODE: u16 = 1;
const IFLA_IPVLAN_FLAGS: u16 = 2;
const IFLA_VLAN_ID: u16 = 1;
const RT_SCOPE_LINK: u8 = 253;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_IFALIAS: u16 = 20;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_NUM_TX_QUEUES: u16 = 31;
const IFLA_NUM_RX_QUEUES: u16 = 32;
const IFLA_INET_CONF: u16 = 1;
const IPV4_DEVCONF_ARP_NOTIFY: u16 = 22;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_INFO_SLAVE_KIND: u16 = 4;
const IFLA_INFO_SLAVE_DATA: u16 = 5;
/// `IFLA_BRPORT_MODE`: hairpin mode.
const IFLA_BRPORT_MODE: u16 = 4;
const IFLA_BRPORT_ISOLATED: u16 = 33;
const VETH_INFO_PEER: u16 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;

/// Nobody is asked for hardware addresses.
const IFF_NOARP: u32 = 0x80;
const IFF_UP: u32 = 1;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
/// The address is ours at once: nobody asks for a second whether it is somebody's.
const IFA_F_NODAD: u8 = 2;
const RT_TABLE_MAIN: u8 = 254;
const RT_TABLE_LOCAL: u8 = 255;
const RTPROT_BOOT: u8 = 3;
const RTN_UNICAST: u8 = 1;
const RTN_LOCAL: u8 = 2;
/// Behind the kernel's own, which has 0.
const BEHIND: u32 = 2048;

/// A link as the kernel tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) index: u32,
    pub(crate) name: String,
    /// `bridge`, `veth` ...; empty for hardware and loopback.
    pub(crate) kind: String,
    pub(crate) up: bool,
    pub(crate) mtu: u32,
    pub(crate) master: Option<u32>,
    /// Index of its other end, in whichever namespace that is.
    pub(crate) peer: Option<u32>,
    /// What somebody wrote on it (`ip link set x alias`).
    pub(crate) alias: Option<String>,
}

/// `struct ifinfomsg`.
fn ifinfo(index: u32, flags: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..16].copy_from_slice(&flags.to_ne_bytes());
    bytes
}

/// `struct ifaddrmsg`.
fn ifaddr(index: u32, address: IpNet) -> [u8; 8] {
    let flags = if address.addr().is_ipv6() { IFA_F_NODAD } else { 0 };
    let mut bytes = [family(address.addr()), address.prefix_len(), flags, 0, 0, 0, 0, 0];
    bytes[4..].copy_from_slice(&index.to_ne_bytes());
    bytes
}

fn family(address: IpAddr) -> u8 {
    if address.is_ipv4() { AF_INET } else { AF_INET6 }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

impl Batch {
    /// A bridge, down. The hardware address is set so that it does not change with its ports.
    pub(crate) fn create_bridge(&mut self, name: &str, mtu: u32, mac: Mac) {
        self.begin(NEWLINK, ACK | CREATE | EXCL, format!("create bridge {name}"), &ifinfo(0, 0))
            .attr_text(IFLA_IFNAME, name)
            .attr_u32(IFLA_MTU, mtu)
            .attr(IFLA_ADDRESS, &mac.0)
            .nest(IFLA_LINKINFO, |b| {
                b.attr_text(IFLA_INFO_KIND, "bridge");
            });
    }

    /// A veth pair: `name` here, up, as a port of `master`; `peer` in the namespace `netns`, down.
    ///
    /// The peer is set up from inside later: the kernel refuses to create it up, as its other end is not
    /// registered yet, and takes long to clean up after that. Each end has one queue: by default there is one per
    /// processor, each with its files in sysfs, and nobody queues in a veth.
    pub(crate) fn create_veth(&mut self, veth: &Veth<'_>) {
        let words = format!("create veth pair {} in bridge {}", veth.name, veth.master);
        self.begin(NEWLINK, ACK | CREATE | EXCL, words, &ifinfo(0, IFF_UP))
            .attr_text(IFLA_IFNAME, veth.name)
            .attr_u32(IFLA_MTU, veth.mtu)
            .attr_u32(IFLA_NUM_TX_QUEUES, 1)
            .attr_u32(IFLA_NUM_RX_QUEUES, 1)
            .attr_u32(IFLA_MASTER, veth.master)
            .nest(IFLA_LINKINFO, |b| {
                b.attr_text(IFLA_INFO_KIND, "veth").nest(IFLA_INFO_DATA, |b| {
                    b.nest(VETH_INFO_PEER, |b| {
                        b.fixed(&ifinfo(0, 0))
                            .attr_text(IFLA_IFNAME, veth.peer)
                            .attr_u32(IFLA_MTU, veth.mtu)
                            .attr_u32(IFLA_NUM_TX_QUEUES, 1)
                            .attr_u32(IFLA_NUM_RX_QUEUES, 1)
                            .attr_u32(IFLA_NET_NS_FD, veth.netns.as_raw_fd() as u32);
                    });
                });
            });
        // By name: nobody knows its index yet. The kernel takes no alias with a new link.
        self.set_alias(veth.name, veth.alias);
        if veth.isolated {
            self.begin(NEWLINK, ACK, format!("isolate {} on its bridge", veth.name), &ifinfo(0, 0))
                .attr_text(IFLA_IFNAME, veth.name)
                .bridge_port(IFLA_BRPORT_ISOLATED);
        }
    }

    /// A pair of links that send to each other, down: what leaves by `exit` comes in by `entry`. Neither asks who is where.
    pub(crate) fn create_loop(&mut self, exit: &str, entry: &str) {
        // Locally administered, and the same at both ends.
        let mac = [0x02, 0x42, 0, 0, 0, 1];
        let words = format!("create veth pair {exit} and {entry}");
        self.begin(NEWLINK, ACK | CREATE | EXCL, words, &ifinfo(0, IFF_NOARP))
            .attr_text(IFLA_IFNAME, exit)
            .attr(IFLA_ADDRESS, &mac)
            .attr_u32(IFLA_NUM_TX_QUEUES, 1)
            .attr_u32(IFLA_NUM_RX_QUEUES, 1)
            .nest(IFLA_LINKINFO, |b| {
                b.attr_text(IFLA_INFO_KIND, "veth").nest(IFLA_INFO_DATA, |b| {
                    b.nest(VETH_INFO_PEER, |b| {
                        b.fixed(&ifinfo(0, IFF_NOARP))
                            .attr_text(IFLA_IFNAME, entry)
                            .attr(IFLA_ADDRESS, &mac)
                            .attr_u32(IFLA_NUM_TX_QUEUES, 1)
                            .attr_u32(IFLA_NUM_RX_QUEUES, 1);
                    });
                });
            });
        for name in [exit, entry] {
            self.begin(SETLINK, ACK, format!("let {name} ask nobody"), &ifinfo(0, IFF_NOARP))
                .attr_text(IFLA_IFNAME, name);
        }
    }

    pub(crate) fn create_dummy(&mut self, name: &str) {
        self.begin(NEWLINK, ACK | CREATE | EXCL, format!("create dummy {name}"), &ifinfo(0, 0))
            .attr_text(IFLA_IFNAME, name)
            .nest(IFLA_LINKINFO, |b| {
                b.attr_text(IFLA_INFO_KIND, "dummy");
            });
    }

    pub(crate) fn create_vlan(&mut self, name: &str, parent: u32, id: u16) {
        self.begin(NEWLINK, ACK | CREATE | EXCL, format!("create VLAN {id} as {name}"), &ifinfo(0, 0))
            .attr_text(IFLA_IFNAME, name)
            .attr_u32(IFLA_LINK, parent)
            .nest(IFLA_LINKINFO, |b| {
                b.attr_text(IFLA_INFO_KIND, "vlan").nest(IFLA_INFO_DATA, |b| {
                    b.attr(IFLA_VLAN_ID, &id.to_ne_bytes());
                });
            });
    }

    /// A link over `parent`, which is here, in the namespace `netns`; down.
    pub(crate) fn create_over(
        &mut self,
        name: &str,
        parent: u32,
        mtu: Option<u32>,
        kind: OverKind,
        netns: BorrowedFd<'_>,
    ) {
        let word = match kind {
            OverKind::Macvlan(_) => "macvlan",
            OverKind::Ipvlan(..) => "ipvlan",
        };
        let words = format!("create {word} {name} over link {parent}");
        let message = self
            .begin(NEWLINK, ACK | CREATE | EXCL, words, &ifinfo(0, 0))
            .attr_text(IFLA_IFNAME, name)
            .attr_u32(IFLA_LINK, parent)
            .attr_u32(IFLA_NET_NS_FD, netns.as_raw_fd() as u32);
        if let Some(mtu) = mtu {
            message.attr_u32(IFLA_MTU, mtu);
        }
        message.nest(IFLA_LINKINFO, |b| {
            b.attr_text(IFLA_INFO_KIND, word).nest(IFLA_INFO_DATA, |b| match kind {
                OverKind::Macvlan(mode) => {
                    let mode = match mode {
                        MacvlanMode::Private => 1,
                        MacvlanMode::Vepa => 2,
                        MacvlanMode::Bridge => 4,
                        MacvlanMode::Passthru => 8,
                    };
                    b.attr_u32(IFLA_MACVLAN_MODE, mode);
                }
                OverKind::Ipvlan(mode, flag) => {
                    let mode: u16 = match mode {
                        IpvlanMode::L2 => 0,
                        IpvlanMode::L3 => 1,
                        IpvlanMode::L3s => 2,
                    };
                    let flag: u16 = match flag {
                        IpvlanFlag::Bridge => 0,
                        IpvlanFlag::Private => 1,
                        IpvlanFlag::Vepa => 2,
                    };
                    b.attr(IFLA_IPVLAN_MODE, &mode.to_ne_bytes());
                    b.attr(IFLA_IPVLAN_FLAGS, &flag.to_ne_bytes());
                }
            });
        });
    }

    /// The default route of a version by whatever is at the other end of this link.
    pub(crate) fn set_default_link(&mut self, index: u32, ipv6: bool) {
        let mut fixed = rtmsg(if ipv6 { AF_INET6 } else { AF_INET }, 0, RT_TABLE_MAIN, RTN_UNICAST);
        fixed[6] = RT_SCOPE_LINK;
        self.begin(
            NEWROUTE,
            ACK | CREATE | REPLACE,
            format!("set the default route to link {index}"),
            &fixed,
        )
        .attr_u32(RTA_OIF, index);
    }

    /// Writes on a link.
    pub(crate) fn set_alias(&mut self, name: &str, alias: &str) {
        self.begin(SETLINK, ACK, format!("write an alias on {name}"), &ifinfo(0, 0))
            .attr_text(IFLA_IFNAME, name)
            .attr(IFLA_IFALIAS, alias.as_bytes());
    }

    pub(crate) fn set_down(&mut self, index: u32) {
        // Which flags are to be as they are here: all of them 0, and that one is meant.
        let mut fixed = ifinfo(index, IFF_UP);
        fixed[8..12].fill(0);
        self.begin(SETLINK, ACK, format!("set link {index} down"), &fixed);
    }

    pub(crate) fn set_name(&mut self, index: u32, name: &str) {
        self.begin(SETLINK, ACK, format!("rename link {index} to {name}"), &ifinfo(index, 0))
            .attr_text(IFLA_IFNAME, name);
    }

    pub(crate) fn remove_link(&mut self, index: u32) {
        self.begin(DELLINK, ACK, format!("remove link {index}"), &ifinfo(index, 0));
    }

    /// Makes a link a port of a bridge again.
    pub(crate) fn set_master(&mut self, index: u32, master: u32, isolated: bool) {
        let words = || format!("make link {index} a port of bridge {master}");
        self.begin(SETLINK, ACK, words(), &ifinfo(index, 0)).attr_u32(IFLA_MASTER, master);
        if isolated {
            self.begin(NEWLINK, ACK, words(), &ifinfo(index, 0)).bridge_port(IFLA_BRPORT_ISOLATED);
        }
    }

    /// Has a port's bridge send back by it what came in by it.
    pub(crate) fn set_hairpin(&mut self, port: &str) {
        self.begin(NEWLINK, ACK, format!("let {port} hear itself"), &ifinfo(0, 0))
            .attr_text(IFLA_IFNAME, port)
            .bridge_port(IFLA_BRPORT_MODE);
    }

    /// Turns on a switch of a port's: in a message of type `NEWLINK`, as any other is acknowledged and ignored. One that is isolated reaches the bridge itself, and no other isolated port.
    fn bridge_port(&mut self, switch: u16) -> &mut Self {
        self.nest(IFLA_LINKINFO, |b| {
            b.attr_text(IFLA_INFO_SLAVE_KIND, "bridge").nest(IFLA_INFO_SLAVE_DATA, |b| {
                b.attr(switch, &[1]);
            });
        })
    }

    /// Has a link announce its addresses when it comes up and when its hardware address changes (`arp_notify` of
    /// ip-sysctl): the bridge learns at once where a reused address is now.
    pub(crate) fn set_arp_notify(&mut self, index: u32) {
        self.begin(SETLINK, ACK, format!("have link {index} announce its addresses"), &ifinfo(index, 0))
            .nest(IFLA_AF_SPEC, |b| {
                b.nest(u16::from(AF_INET), |b| {
                    b.nest(IFLA_INET_CONF, |b| {
                        b.attr_u32(IPV4_DEVCONF_ARP_NOTIFY, 1);
                    });
                });
            });
    }

    pub(crate) fn set_up(&mut self, index: u32) {
        self.begin(SETLINK, ACK, format!("set link {index} up"), &ifinfo(index, IFF_UP));
    }

    pub(crate) fn set_mtu(&mut self, index: u32, mtu: u32) {
        self.begin(SETLINK, ACK, format!("set the MTU of link {index} to {mtu}"), &ifinfo(index, 0))
            .attr_u32(IFLA_MTU, mtu);
    }

    pub(crate) fn set_mac(&mut self, index: u32, mac: Mac) {
        self.begin(
            SETLINK,
            ACK,
            format!("set the hardware address of link {index} to {mac}"),
            &ifinfo(index, 0),
        )
        .attr(IFLA_ADDRESS, &mac.0);
    }

    pub(crate) fn remove_address(&mut self, index: u32, address: IpNet) {
        let words = format!("remove address {address} from link {index}");
        self.begin(DELADDR, ACK, words, &ifaddr(index, address)).attr(IFA_LOCAL, &octets(address.addr()));
    }

    pub(crate) fn add_address(&mut self, index: u32, address: IpNet) {
        let words = format!("add address {address} to link {index}");
        let own = octets(address.addr());
        self.begin(NEWADDR, ACK | CREATE | EXCL, words, &ifaddr(index, address))
            .attr(IFA_LOCAL, &own)
            .attr(IFA_ADDRESS, &own);
        if let IpNet::V4(address) = address
            && let Some([_, broadcast]) = edges(address)
        {
            self.attr(IFA_BROADCAST, &broadcast.octets());
        }
    }

    /// The default route, in place of one that there may be.
    pub(crate) fn set_default_route(&mut self, index: u32, gateway: impl Into<IpAddr>) {
        let gateway = gateway.into();
        let fixed = rtmsg(family(gateway), 0, RT_TABLE_MAIN, RTN_UNICAST);
        self.begin(NEWROUTE, ACK | CREATE | REPLACE, format!("set the default route via {gateway}"), &fixed)
            .attr(RTA_GATEWAY, &octets(gateway))
            .attr_u32(RTA_OIF, index);
    }

    /// What comes by this link to ::1 is for this host: the answers to what it sent from there, which the firewall has
    /// turned back. (What others send to ::1 the kernel drops before it looks for a route.)
    pub(crate) fn hear_loopback(&mut self, index: u32) {
        let fixed = rtmsg(AF_INET6, 128, RT_TABLE_LOCAL, RTN_LOCAL);
        let words = format!("have link {index} bring answers to ::1");
        self.begin(NEWROUTE, ACK | CREATE, words, &fixed)
            .attr(RTA_DST, &Ipv6Addr::LOCALHOST.octets())
            .attr_u32(RTA_OIF, index)
            .attr_u32(RTA_PRIORITY, BEHIND);
    }
}

/// `struct rtmsg`.
fn rtmsg(family: u8, prefix: u8, table: u8, kind: u8) -> [u8; 12] {
    [family, prefix, 0, 0, table, RTPROT_BOOT, 0, kind, 0, 0, 0, 0]
}

/// What [`Batch::create_veth`] makes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Veth<'a> {
    pub(crate) name: &'a str,
    /// Index of the bridge.
    pub(crate) master: u32,
    pub(crate) mtu: u32,
    pub(crate) peer: &'a str,
    pub(crate) netns: BorrowedFd<'a>,
    /// Written on the end that is here.
    pub(crate) alias: &'a str,
    /// No other isolated port of the bridge is reached.
    pub(crate) isolated: bool,
}

impl Socket {
    /// All links of the namespace.
    pub(crate) fn links(&mut self) -> Result<Vec<Link>> {
        let mut batch = Batch::default();
        batch.begin(GETLINK, DUMP, "list links", &ifinfo(0, 0));
        let mut links = Vec::new();
        self.dump(&batch, |message| links.extend(parse_link(message.body)))?;
        Ok(links)
    }

    /// The index of a link. A single question, not a list: hosts have thousands of links.
    pub(crate) fn link_index(&mut self, name: &str) -> Result<u32> {
        rustix::net::netdevice::name_to_index(&*self, name)
            .map_err(|e| Error::kernel(format!("find link {name}"), e))
    }

    /// The name of a link, if there is one with that index.
    pub(crate) fn link_name(&mut self, index: u32) -> Option<String> {
        rustix::net::netdevice::index_to_name(&*self, index).ok()
    }

    /// Addresses, each with the index of its link; those that IPv6 gives itself for a link only are left out.
    pub(crate) fn addresses(&mut self) -> Result<Vec<(u32, IpNet)>> {
        let mut batch = Batch::default();
        batch.begin(GETADDR, DUMP, "list addresses", &[0; 8]);
        let mut all = Vec::new();
        self.dump(&batch, |message| {
            let body = message.body;
            let (Some(index), Some(prefix)) = (u32_at(body, 4), body.get(1)) else { return };
            let attrs = Attrs(body.get(8..).unwrap_or_default());
            // Where it is not of a pair, IPv6 has one of the two only.
            let address = attrs.get(IFA_LOCAL).or_else(|| attrs.get(IFA_ADDRESS)).and_then(address);
            let Some(address) = address else { return };
            let of_link = matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
            if !of_link {
                all.extend(IpNet::new(address, *prefix).map(|net| (index, net)));
            }
        })?;
        Ok(all)
    }

    /// Destinations of the routes of the main table, without default routes and those of single links.
    pub(crate) fn routed_networks(&mut self) -> Result<Vec<IpNet>> {
        let mut all = Vec::new();
        for family in [AF_INET, AF_INET6] {
            let mut batch = Batch::default();
            let mut fixed = [0; 12];
            fixed[0] = family;
            batch.begin(GETROUTE, DUMP, "list routes", &fixed);
            let listed = self.dump(&batch, |message| {
                let body = message.body;
                let (Some(prefix), Some(table)) = (body.get(1), body.get(4)) else { return };
                let attrs = Attrs(body.get(12..).unwrap_or_default());
                if *prefix > 0
                    && *table == RT_TABLE_MAIN
                    && let Some(destination) = attrs.get(RTA_DST).and_then(address)
                    && !matches!(destination, IpAddr::V6(to) if to.is_unicast_link_local() || to.is_multicast())
                {
                    all.extend(IpNet::new(destination, *prefix));
                }
            });
            match listed {
                // A kernel without IPv6.
                Err(e) if family == AF_INET6 && e.errno() == Some(rustix::io::Errno::OPNOTSUPP) => {}
                listed => listed?,
            }
        }
        Ok(all)
    }
}

fn parse_link(body: &[u8]) -> Option<Link> {
    let attrs = Attrs(body.get(16..)?);
    Some(Link {
        index: u32_at(body, 4)?,
        name: attrs.text(IFLA_IFNAME)?,
        kind: attrs.nested(IFLA_LINKINFO).and_then(|i| i.text(IFLA_INFO_KIND)).unwrap_or_default(),
        up: u32_at(body, 8)? & IFF_UP != 0,
        mtu: attrs.u32(IFLA_MTU)?,
        master: attrs.u32(IFLA_MASTER),
        peer: attrs.u32(IFLA_LINK),
        alias: attrs.text(IFLA_IFALIAS),
    })
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let ipv4 = <[u8; 4]>::try_from(bytes).map(|bytes| Ipv4Addr::from(bytes).into());
    ipv4.or_else(|_| <[u8; 16]>::try_from(bytes).map(|bytes| Ipv6Addr::from(bytes).into())).ok()
}

/// The link that an event is about, and what was written on it.
pub(crate) fn link_of(event: &Received<'_>) -> Option<(String, Option<String>)> {
    /// `struct ifinfomsg`.
    const HEADER_BYTES: usize = 16;
    let attrs = Attrs(event.body.get(HEADER_BYTES..)?);
    attrs.text(IFLA_IFNAME).map(|name| (name, attrs.text(IFLA_IFALIAS)))
}

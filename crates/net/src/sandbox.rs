//! One container's network namespace.
//!
//! Preparing does everything that does not depend on the container: the namespace, loopback, and a veth pair
//! whose far end `eth0` is already up, so that the bridge's port forwards from the first packet on.
//! [`Sandbox::assign`] adds address, hardware address and default route with one datagram.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::br_netfilter::bridges_filter;
use crate::desired::{Over, OverKind};
use crate::dns::DnsSockets;
use crate::error::{Error, Result};
use crate::mac::Mac;
use crate::netlink::route::Veth;
use crate::netlink::{Batch, Socket};
use crate::netns::NetNs;

/// How long a link may take to go with the namespace that it was in, and how often to look.
const STILL_THERE: Duration = Duration::from_secs(5);
const STILL_BUSY: Duration = Duration::from_secs(2);
const AGAIN: Duration = Duration::from_millis(5);

/// Loopback is the first link of every namespace.
const LOOPBACK: u32 = 1;
const INTERFACE: &str = "eth0";

/// What a sandbox is given when it is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The container's addresses with the subnet's prefix.
    pub ipv4: Option<Ipv4Net>,
    pub ipv6: Option<Ipv6Net>,
    /// More of them, which are its own affair (`--link-local-ip`).
    pub link_local: Vec<IpNet>,
    /// `None` where it has its parent's.
    pub mac: Option<Mac>,
    pub gateway: Option<Ipv4Addr>,
    pub gateway6: Option<Ipv6Addr>,
    /// Where the network leads out, also if the default route goes another way.
    pub leads_to: Option<Ipv4Addr>,
    pub leads_to6: Option<Ipv6Addr>,
    /// The default routes go to the link itself, of IPv4 and of IPv6.
    pub to_link: (bool, bool),
}

impl Address {
    /// Those that are of the network.
    pub fn ips(&self) -> impl Iterator<Item = IpAddr> + use<> {
        let ipv4 = self.ipv4.map(|net| IpAddr::V4(net.addr()));
        ipv4.into_iter().chain(self.ipv6.map(|net| IpAddr::V6(net.addr())))
    }

    fn has_ipv6(&self) -> bool {
        self.ipv6.is_some() || self.link_local.iter().any(|net| net.addr().is_ipv6())
    }
}

/// A network namespace with its legs on bridges. Dropping it lets the kernel remove all of it,
/// unless a process lives in it.
#[derive(Debug)]
pub struct Sandbox {
    netns: NetNs,
    /// Opened inside.
    socket: Socket,
    leg: Option<Leg>,
    /// Where names are asked for, made ahead.
    dns: Option<DnsSockets>,
}

/// `eth0`, made ahead.
#[derive(Debug)]
struct Leg {
    /// Name of the bridge's end on the host.
    host_name: String,
    /// Index of `eth0` inside.
    index: u32,
}

/// The bridge that sandboxes are attached to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attachment {
    /// By name: it may be removed and made again.
    pub(crate) bridge: String,
    pub(crate) mtu: u32,
    /// Not `--icc`.
    pub(crate) isolated: bool,
    pub(crate) ipv6: bool,
    pub(crate) over: Option<Over>,
}

/// What sandboxes that are prepared have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Furnishing {
    /// Loopback only, for `--network none`.
    Isolated,
    /// `eth0` on the default bridge.
    Bridged(Attachment),
    /// For users' networks: whichever they are, their legs are plugged when the sandbox is taken. With sockets at
    /// which names are asked for.
    Unplugged,
}

/// How the leg of a network with IPv6 is set. Addresses are told by the engine and by nobody else; that nobody else has
/// them is known, so nothing waits for a second to ask; and like those of IPv4 they are announced.
const IPV6_SETTINGS: [(&str, &str); 3] = [("accept_ra", "0"), ("accept_dad", "0"), ("ndisc_notify", "1")];

/// Of the calling thread's network namespace.
fn set_ipv6(link: &str, setting: &str, value: &str) -> std::io::Result<()> {
    std::fs::write(format!("/proc/sys/net/ipv6/conf/{link}/{setting}"), value)
}

/// What is written on the bridge's end of each pair: by it the end is found again when its bridge was removed.
pub(crate) fn mark(bridge: &str) -> String {
    format!("{MARK}{bridge}")
}

const MARK: &str = "wharf: port of ";

/// Whether something was written so.
pub(crate) fn is_mark(alias: &str) -> bool {
    alias.starts_with(MARK)
}

impl Sandbox {
    /// Makes a sandbox. The calling thread visits the new namespace and is back in `home` afterwards, also after
    /// an error; `host` is a route socket of `home`.
    pub(crate) fn prepare(home: &NetNs, host: &mut Socket, furnishing: &Furnishing) -> Result<Self> {
        let netns = NetNs::unshare()?;
        let made = Self::furnish(netns, host, furnishing);
        // A thread that cannot go home must not go on: it would make links in somebody's sandbox.
        home.enter()?;
        made
    }

    /// Runs inside the new namespace.
    fn furnish(netns: NetNs, host: &mut Socket, furnishing: &Furnishing) -> Result<Self> {
        let mut socket = Socket::route()?;
        let mut batch = Batch::default();
        batch.set_up(LOOPBACK);
        let with_ipv6 = matches!(furnishing, Furnishing::Bridged(attach) if attach.ipv6);
        if with_ipv6 {
            IPV6_SETTINGS.iter().for_each(|(setting, value)| drop(set_ipv6("default", setting, value)));
        } else if *furnishing != Furnishing::Isolated {
            // IPv6 is off on the leg as on Docker's IPv4 networks. By the default for new links: switched off on
            // a link that is there, it takes the kernel's network lock, and asks again and again for it. Comfort,
            // so a read-only `/proc/sys` (which shows the reader's own namespace) is no error.
            let _ = std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
        }
        let leg = match furnishing {
            Furnishing::Isolated | Furnishing::Unplugged => None,
            Furnishing::Bridged(attach) => {
                let host_name = create_veth(host, attach, &netns, INTERFACE)?;
                let index = socket.link_index(INTERFACE)?;
                batch.set_arp_notify(index);
                batch.set_up(index);
                Some(Leg { host_name, index })
            }
        };
        socket.send(&batch)?;
        let dns = (*furnishing == Furnishing::Unplugged).then(DnsSockets::open).transpose()?;
        Ok(Self { netns, socket, leg, dns })
    }

    /// One in which a process lives. Visits it with a thread of its own.
    ///
    /// # Errors
    ///
    /// Missing privilege.
    pub fn of(netns: OwnedFd) -> Result<Self> {
        let netns = NetNs::from(netns);
        let socket = netns.visit(Socket::route)??;
        Ok(Self { netns, socket, leg: None, dns: None })
    }

    /// Gives `eth0` its addresses and the default route.
    ///
    /// # Errors
    ///
    /// What the kernel says; the sandbox should then be dropped.
    pub fn assign(&mut self, address: &Address) -> Result<()> {
        let Some(leg) = &self.leg else {
            return Err(Error::Config("a sandbox without a leg on a bridge has no address".to_owned()));
        };
        let mut batch = Batch::default();
        give_address(&mut batch, leg.index, address);
        self.socket.send(&batch)
    }

    /// Makes a leg on a bridge, with its address; answers the name of its other end on the host, where it has one.
    pub(crate) fn plug(
        &mut self,
        host: &mut Socket,
        attach: &Attachment,
        interface: &str,
        address: &Address,
    ) -> Result<Option<String>> {
        let host_name = match &attach.over {
            Some(over) => create_over(host, over, attach.mtu, &self.netns, interface).map(|()| None)?,
            None => Some(create_veth(host, attach, &self.netns, interface)?),
        };
        let mut given = self.furnish_leg(&attach.bridge, interface, address);
        // Over one parent a hardware address is one link's, also while the kernel is still removing it.
        let deadline = Instant::now() + STILL_THERE;
        while attach.over.is_some()
            && matches!(&given, Err(error) if error.errno() == Some(rustix::io::Errno::ADDRINUSE))
            && Instant::now() < deadline
        {
            std::thread::sleep(AGAIN);
            given = self.announce(interface, address);
        }
        given.inspect_err(|_| {
            let _ = self.unplug(interface);
        })?;
        Ok(host_name)
    }

    /// Whether there is such a leg; if so, the index of its other end, in whichever namespace that is.
    pub(crate) fn peer(&mut self, interface: &str) -> Result<Option<u32>> {
        let links = self.socket.links()?;
        Ok(links.into_iter().find(|link| link.name == interface).map(|link| link.peer.unwrap_or_default()))
    }

    fn furnish_leg(&mut self, network: &str, interface: &str, address: &Address) -> Result<()> {
        if address.has_ipv6() {
            // The namespace has none for new links, as most networks.
            let switched_on = self.netns.visit(|| {
                let settings = IPV6_SETTINGS.iter().chain(&[("disable_ipv6", "0")]);
                settings.copied().try_for_each(|(setting, value)| set_ipv6(interface, setting, value))
            })?;
            switched_on.map_err(|_| Error::NoIpv6(network.to_owned()))?;
        }
        let index = self.socket.link_index(interface)?;
        let mut batch = Batch::default();
        batch.set_arp_notify(index);
        batch.set_up(index);
        give_address(&mut batch, index, address);
        self.socket.send(&batch)
    }

    /// What was left to do where the hardware address could not be had: the rest of a batch is done all the same.
    fn announce(&mut self, interface: &str, address: &Address) -> Result<()> {
        let mut batch = Batch::default();
        let index = self.socket.link_index(interface)?;
        address.mac.into_iter().for_each(|mac| batch.set_mac(index, mac));
        self.socket.send(&batch)
    }

    /// Sets what `/proc/sys` has of a leg: where, with `IFNAME` for its name, and what.
    ///
    /// # Errors
    ///
    /// There is no such setting, or it does not take that.
    pub fn set(&self, interface: &str, sysctls: &[(String, String)]) -> Result<()> {
        if sysctls.is_empty() {
            return Ok(());
        }
        // `/proc/sys/net` shows the reader's own namespace.
        self.netns.visit(|| {
            sysctls.iter().try_for_each(|(key, value)| {
                let key = key.replace("IFNAME", interface);
                std::fs::write(format!("/proc/sys/{key}"), value).map_err(|error| {
                    Error::kernel(format!("set {} to {value}", key.replace('/', ".")), error)
                })
            })
        })?
    }

    /// Removes a leg. One that is not there is no error.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn unplug(&mut self, interface: &str) -> Result<()> {
        let index = match self.socket.link_index(interface) {
            Err(e) if e.errno() == Some(rustix::io::Errno::NODEV) => return Ok(()),
            other => other?,
        };
        let mut batch = Batch::default();
        batch.remove_link(index);
        self.socket.send(&batch)
    }

    /// Lets the default route go through this leg.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn route_via(&mut self, interface: &str, gateway: impl Into<IpAddr>) -> Result<()> {
        let mut batch = Batch::default();
        batch.set_default_route(self.socket.link_index(interface)?, gateway);
        self.socket.send(&batch)
    }

    /// The first name with a number that there is not: `eth0` ...
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn next_interface(&mut self, prefix: &str) -> Result<String> {
        let names: Vec<String> = self.socket.links()?.into_iter().map(|link| link.name).collect();
        let free = (0..).map(|n| format!("{prefix}{n}")).find(|name| !names.contains(name));
        Ok(free.unwrap_or_default())
    }

    /// Name of the prepared leg's end on the host.
    pub fn host_interface(&self) -> Option<&str> {
        self.leg.as_ref().map(|leg| leg.host_name.as_str())
    }

    /// Where names are asked for: once, in one that was made for users' networks.
    pub fn take_dns(&mut self) -> Option<DnsSockets> {
        self.dns.take()
    }

    /// The namespace, and nothing else.
    pub fn into_netns(self) -> OwnedFd {
        self.netns.into_fd()
    }

    /// The namespace, for a process to join.
    pub fn netns(&self) -> &NetNs {
        &self.netns
    }
}

fn give_address(batch: &mut Batch, index: u32, address: &Address) {
    let own = address.ipv4.map(IpNet::V4).into_iter().chain(address.ipv6.map(IpNet::V6));
    own.chain(address.link_local.iter().copied()).for_each(|net| batch.add_address(index, net));
    // After the addresses: the change of the hardware address announces them (`arp_notify`, `ndisc_notify`).
    if let Some(mac) = address.mac {
        batch.set_mac(index, mac);
    }
    for (ipv6, wanted) in [(false, address.to_link.0), (true, address.to_link.1)] {
        if wanted {
            batch.set_default_link(index, ipv6);
        }
    }
    if let Some(gateway) = address.gateway {
        batch.set_default_route(index, gateway);
    }
    if let Some(gateway) = address.gateway6 {
        batch.set_default_route(index, gateway);
    }
}

/// A link over one of the host's.
fn create_over(host: &mut Socket, over: &Over, mtu: u32, netns: &NetNs, interface: &str) -> Result<()> {
    use std::os::fd::AsFd;
    let parent = host.link_index(&over.parent)?;
    let mut batch = Batch::default();
    batch.create_over(interface, parent, Some(mtu), over.kind, netns.as_fd());
    let is_busy =
        |error: &Error| matches!(error.errno(), Some(rustix::io::Errno::BUSY | rustix::io::Errno::INVAL));
    let deadline = Instant::now() + STILL_BUSY;
    let mut made = host.send(&batch);
    // The kernel may be removing one that is no more.
    while made.as_ref().is_err_and(is_busy) && Instant::now() < deadline {
        std::thread::sleep(AGAIN);
        made = host.send(&batch);
    }
    made.map_err(|error| match (over.kind, error.errno()) {
        (OverKind::Macvlan(_), _) if error.is_unknown_kind() => {
            Error::NoSuchLinks { what: "macvlan devices", option: "CONFIG_MACVLAN", module: "macvlan" }
        }
        (OverKind::Ipvlan(..), _) if error.is_unknown_kind() => {
            Error::NoSuchLinks { what: "ipvlan devices", option: "CONFIG_IPVLAN", module: "ipvlan" }
        }
        // One that is of one container alone, or a parent that has links of the other kind.
        (_, Some(rustix::io::Errno::BUSY | rustix::io::Errno::INVAL)) => Error::Config(format!(
            "{} cannot have another interface over it: one is there already that excludes others ({error})",
            over.parent
        )),
        _ => error,
    })
}

/// Whether such links can be made at all: by making one, which goes at once.
pub(crate) fn probe_over(host: &mut Socket, over: &Over, mtu: u32, home: &NetNs) -> Result<()> {
    let name = format!("wx{:07x}", random_u32()? >> 4);
    create_over(host, over, mtu, home, &name)?;
    let mut batch = Batch::default();
    batch.remove_link(host.link_index(&name)?);
    host.send(&batch)
}

/// A pair whose end on the host has a name as Docker's: `veth` and seven hex digits.
fn create_veth(host: &mut Socket, attach: &Attachment, netns: &NetNs, peer: &str) -> Result<String> {
    use std::os::fd::AsFd;
    let master = host.link_index(&attach.bridge)?;
    let alias = mark(&attach.bridge);
    let mut tries = 0;
    loop {
        let name = format!("veth{:07x}", random_u32()? >> 4);
        let mut batch = Batch::default();
        batch.create_veth(&Veth {
            name: &name,
            master,
            mtu: attach.mtu,
            peer,
            netns: netns.as_fd(),
            alias: &alias,
            isolated: attach.isolated,
        });
        if bridges_filter() {
            batch.set_hairpin(&name);
        }
        match host.send(&batch) {
            Ok(()) => return Ok(name),
            // The name is taken; with 2^28 of them this is rare even on a crowded host.
            Err(e) if e.errno() == Some(rustix::io::Errno::EXIST) && tries < 8 => tries += 1,
            Err(e) => return Err(e),
        }
    }
}

pub(crate) fn random_u32() -> Result<u32> {
    let mut bytes = [0u8; 4];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|e| Error::kernel("get random bytes", e))?;
    Ok(u32::from_ne_bytes(bytes))
}

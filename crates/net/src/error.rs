//! What can go wrong, by what the caller can do about it.

use std::io;
use std::net::IpAddr;

/// A result of this room.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure, with the object in it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel refused one request.
    #[error("{what}: {source}{}", detail.as_deref().map(|d| format!(" ({d})")).unwrap_or_default())]
    Kernel {
        /// The request in words: `create link veth12`.
        what: String,
        source: io::Error,
        /// The kernel's own explanation, where it gave one.
        detail: Option<String>,
    },
    /// This process may not change the network.
    #[error("bridge {bridge}: {source}: the engine needs CAP_NET_ADMIN, or --bridge=none")]
    NotPermitted { bridge: String, source: Box<Error> },
    /// The kernel has no nftables, or this process may not use it.
    #[error(
        "no nftables on this kernel ({0}): enable CONFIG_NF_TABLES, CONFIG_NF_TABLES_INET, CONFIG_NFT_CT, \
         CONFIG_NFT_FIB_INET, CONFIG_NFT_MASQ and CONFIG_NFT_NAT, or start the engine with --iptables=false"
    )]
    NoNftables(String),
    /// The configured name is taken by something else.
    #[error("{name} exists and is a {kind}, not a bridge")]
    NotABridge { name: String, kind: String },
    /// The configuration contradicts itself.
    #[error("{0}")]
    Config(String),
    /// Every default pool overlaps with a route of this host.
    #[error(
        "could not find an available, non-overlapping {0} address pool among the defaults to assign to the network"
    )]
    NoFreePool(&'static str),
    /// Another network has addresses of this subnet.
    #[error("invalid pool request: Pool overlaps with other one on this address space")]
    PoolOverlaps { subnet: String, with: String },
    /// Two networks cannot have one bridge.
    #[error("bridge {0} is another network's")]
    BridgeTaken(String),
    /// Docker's words.
    #[error("invalid subinterface vlan name {0}, example formatting is eth0.10")]
    NoParent(String),
    #[error(
        "failed to find master interface {parent} on the Docker host: no such link, which {name} would be made over"
    )]
    NoMaster { parent: String, name: String },
    /// The kernel has no such links.
    #[error(
        "this kernel has no {what}: it was built without {option}, or its module {module} is not installed"
    )]
    NoSuchLinks { what: &'static str, option: &'static str, module: &'static str },
    /// Of one parent, one is for a container alone.
    #[error("cannot use mode passthru, macvlan network {other} is using parent interface {parent}")]
    ParentTaken { parent: String, other: String },
    #[error("no such bridge network: {0}")]
    NoSuchNetwork(String),
    #[error("no available {family} addresses on this network's address pools: {pool}")]
    AddressesExhausted { family: &'static str, pool: String },
    #[error("Address already in use")]
    AddressInUse(IpAddr),
    #[error("requested IP address {address} is not within the subnet {subnet}")]
    AddressOutside { address: IpAddr, subnet: String },
    /// A port of the host's that cannot be had.
    #[error(transparent)]
    Port(#[from] crate::ports::PortError),
    #[error("ports cannot be published: the engine runs with --iptables=false")]
    NoFirewall,
    #[error("ports cannot be published at IPv6 addresses: the engine runs with --ip6tables=false")]
    NoFirewall6,
    #[error(
        "ports cannot be published at ::1 where bridges show the firewall what they carry: set \
         net.bridge.bridge-nf-call-ip6tables to 0, or use another address of this host's"
    )]
    NoLoopback6,
    #[error("network {0} has IPv6, and this kernel does not: boot it without ipv6.disable=1")]
    NoIpv6(String),
    #[error("invalid MAC address: {0}")]
    BadMac(String),
    /// The pool's thread is gone.
    #[error("the network is shut down")]
    ShutDown,
}

impl Error {
    pub(crate) fn kernel(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Kernel { what: what.into(), source: source.into(), detail: None }
    }

    /// Whether the machine or the configuration cannot do it, as opposed to: try again.
    pub fn is_permanent(&self) -> bool {
        !matches!(
            self,
            Self::Kernel { .. } | Self::AddressesExhausted { .. } | Self::AddressInUse(_) | Self::Port(_)
        )
    }

    /// There are no links of the kind that was to be made.
    pub(crate) fn is_unknown_kind(&self) -> bool {
        self.errno() == Some(rustix::io::Errno::OPNOTSUPP)
    }

    /// The errno, if the kernel said it.
    pub(crate) fn errno(&self) -> Option<rustix::io::Errno> {
        match self {
            Self::Kernel { source, .. } => rustix::io::Errno::from_io_error(source),
            _ => None,
        }
    }
}

//! Networks of containers: netlink, nftables, addresses, the bridge, and sandboxes prepared ahead.
//!
//! ```text
//!  desired.rs ─┐
//!              ├─► plan.rs (pure, printable) ─► apply.rs ─► netlink/  nft/ ─► kernel
//!  observe.rs ─┘
//!
//!  pool.rs: a thread that makes   netns { lo up, eth0 up } ◄─veth─► bridge   ahead of need;
//!           take() gives one its address, hardware address and default route in one datagram
//! ```
//!
//! Everything is synchronous and answers in microseconds, except making a namespace, which is what the
//! [`Pool`]'s own thread is for. A netlink socket belongs for ever to the namespace in which it was opened; the
//! pool opens one inside each sandbox, so nobody has to enter it later.
//!
//! A sandbox exists by its descriptors only: nothing is bind-mounted, no name is taken in `/run/netns`. When
//! engine and container are gone, the kernel removes namespace, veth pair, addresses and routes.

mod admin;
mod apply;
mod br_netfilter;
mod desired;
mod dns;
mod elements;
mod error;
mod fabric;
mod firewall;
mod flows;
mod forward;
mod ipam;
mod led;
mod mac;
mod netlink;
mod netns;
mod network;
mod nft;
mod observe;
mod plan;
mod pool;
mod pools;
mod ports;
mod published;
mod publishing;
mod reaper;
mod republish;
mod respect;
mod sandbox;
mod sockets;
mod state;
mod version;
mod watch;

pub use desired::{
    BridgeConfig, Desired, FirewallConfig, FirewallMark, GatewayMode, Ipv6Config, IpvlanFlag, IpvlanMode,
    MacvlanMode, Over, OverKind,
};
pub use dns::{DNS_ADDRESS, DnsSockets};
pub use error::{Error, Result};
pub use fabric::Fabric;
pub use firewall::probe_nftables;
pub use forward::{ForwardChain, SharedChain};
pub use ipam::{Ipam, Ipam6};
pub use ipnet::{IpNet, Ipv4Net, Ipv6Net};
pub use led::{Opening, Reach};
pub use mac::{Mac, mac_from_ipv4, mac_from_ipv6};
pub use netns::NetNs;
pub use network::{FabricFacts, Place};
pub use observe::{Observed, ObservedLink, Orphan, observe};
pub use plan::{Plan, PlannedBridge, Step, plan};
pub use pool::Pool;
pub use pools::{AddressPool, default_pools};
pub use ports::{PortError, PortMapping, PortWish, Protocol};
pub use published::PublishedPorts;
pub use respect::Respect;
pub use sandbox::{Address, Sandbox};

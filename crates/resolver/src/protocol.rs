//! What the engine and the resolver say to each other.
//!
//! ```text
//!  engine                                  resolver
//!  Hello { version }              ──►
//!                                 ◄──      Welcome { version }
//!                                 ◄──      Serves { id }, for each container it listens in
//!                                 ◄──      Ready
//!  Put(member) [udp, tcp, netns]  ──►      listens, until the engine goes or the process does
//!  Runs { id } [pidfd]            ──►      listens, until that process ends
//!  Put(member)                    ──►      what is known of it has changed
//!  Forget { id }                  ──►
//!  Rest                           ──►      forgets who was not put since the hello
//! ```
//!
//! One message each, over `SOCK_SEQPACKET`, with the descriptors in brackets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

/// An engine that meets a resolver of another version has it end, and starts its own.
pub const VERSION: u32 = 1;

/// From the engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    Hello { version: u32 },
    Put(Box<Member>),
    Runs { id: String },
    Forget { id: String },
    Rest,
    Retire,
}

/// To the engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    Welcome { version: u32 },
    Serves { id: String },
    Ready,
}

/// A container: what others call it, and what it may ask.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Member {
    /// Full id.
    pub id: String,
    /// In the order in which they are searched.
    pub places: Vec<Place>,
    /// Names that only this one has for others: alias, and their name on a network of its own.
    pub links: Vec<(String, String)>,
    /// Asked in place of the host's, and from the container's own namespace.
    pub servers: Vec<IpAddr>,
    /// Names without a dot that nobody here has are not asked for elsewhere: the container's own `ndots` has it try
    /// search domains.
    pub keeps_bare_names: bool,
    /// It is on a network that leads out. From others the host's servers are not asked.
    pub leads_out: bool,
}

/// Its place on a network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Place {
    /// Id and name of the network.
    pub network: String,
    pub network_name: String,
    pub ipv4: Option<Ipv4Addr>,
    pub ipv6: Option<Ipv6Addr>,
    /// The first is what an address is called.
    pub names: Vec<String>,
}

//! Netlink: messages and the socket, `netlink(7)` and `rtnetlink(7)`.

pub(crate) mod conntrack;
pub(crate) mod message;
pub(crate) mod route;
pub(crate) mod socket;

pub(crate) use conntrack::Flow;
pub(crate) use message::Batch;
pub(crate) use socket::Socket;

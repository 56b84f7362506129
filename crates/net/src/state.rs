//! What the parts of a fabric share, under one lock.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::desired::Desired;
use crate::firewall::Guard;
use crate::netlink::Socket;
use crate::published::Published;

/// What should be, and the sockets to ask and to change it with: of whoever adds and removes networks, and of the watch.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) desired: Desired,
    /// The table drops what others forward.
    pub(crate) guarded: Guard,
    pub(crate) links: Socket,
    /// If the firewall is ours. One for all: the kernel lets who closes such a socket wait until all that was ever
    /// replaced is destroyed, a grace period of RCU and the longest part of an engine's start.
    pub(crate) nft: Option<Socket>,
    pub(crate) published: Published,
}

pub(crate) fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Changes to the published ports of a container that runs.
//!
//! In steps, since its record is written down in between: ports are taken and held first, and lead nowhere; then all
//! that changes, changes in one transaction. Connections that stand are not touched by either.

use std::os::fd::OwnedFd;

use crate::error::{Error, Result};
use crate::fabric::Fabric;
use crate::led::{Reach, elements};
use crate::ports::{PortMapping, PortWish};
use crate::published::{PublishedPorts, allocate, change, follow, open_to_loopback, target};
use crate::sockets::Held;
use crate::state::State;

impl Fabric {
    /// Takes ports of this host's that will do, and holds them: all of them, or none. They lead nowhere yet.
    ///
    /// # Errors
    ///
    /// A port that cannot be had, with whose it is; no firewall of ours.
    pub fn reserve_ports(&self, to: Reach, wishes: &[PortWish]) -> Result<PublishedPorts> {
        reserve(&mut self.state(), to, wishes)
    }

    /// What was reserved is not going to be used.
    pub fn give_up_ports(&self, mappings: &[PortMapping]) {
        give_up(&mut self.state(), mappings);
    }

    /// These ports, which are the container's or reserved, lead to it from now on, and no others.
    ///
    /// # Errors
    ///
    /// What the kernel says; it is as it was then.
    pub fn set_ports(&self, owner: &str, to: Reach, mappings: &[PortMapping]) -> Result<()> {
        set(&mut self.state(), owner, to, mappings)
    }

    /// Something that holds ports which are a container's already, as far as they are free.
    ///
    /// # Errors
    ///
    /// No more descriptors, no memory.
    pub fn hold_ports(&self, mappings: &[PortMapping]) -> Result<Option<OwnedFd>> {
        self.home().visit(|| hold(mappings))?
    }
}

fn reserve(state: &mut State, to: Reach, wishes: &[PortWish]) -> Result<PublishedPorts> {
    let (mappings, held) = allocate(state, to, wishes)?;
    match held.into_holder() {
        Ok(holder) => Ok(PublishedPorts { mappings, holder }),
        Err(error) => {
            state.published.allocator().release(&mappings);
            Err(Error::kernel("hand over the sockets of published ports", error))
        }
    }
}

fn give_up(state: &mut State, mappings: &[PortMapping]) {
    state.published.allocator().release(mappings);
}

fn set(state: &mut State, owner: &str, to: Reach, mappings: &[PortMapping]) -> Result<()> {
    let target = target(state, to);
    let before = state.published.set_owner(owner, target, mappings);
    open_to_loopback(state, to, mappings);
    let old =
        before.as_ref().map(|(before, mappings)| elements(*before, mappings)).unwrap_or_default().sorted();
    let new = elements(target, mappings).sorted();
    let (gone, come) = (old.without(&new), new.without(&old));
    let changed = change(state, |transaction| {
        gone.delete_from(transaction);
        come.add_to(transaction);
    });
    if let Err(error) = changed {
        match before {
            Some((target, mappings)) => drop(state.published.set_owner(owner, target, &mappings)),
            None => state.published.forget_owner(owner),
        }
        return Err(error);
    }
    let before = before.map(|(_, mappings)| mappings).unwrap_or_default();
    let allocator = state.published.allocator();
    allocator.release(&before);
    allocator.claim(mappings);
    if before != mappings {
        follow(state, &[&before[..], mappings].concat());
    }
    Ok(())
}

/// Whoever has those that are not free: the packets go to the container.
fn hold(mappings: &[PortMapping]) -> Result<Option<OwnedFd>> {
    let mut held = Held::default();
    for mapping in mappings {
        for port in mapping.ports() {
            let _ = held.bind(mapping.address, port, mapping.protocol);
        }
    }
    held.into_holder().map_err(|error| Error::kernel("hand over the sockets of published ports", error))
}

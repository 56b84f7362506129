//! Published ports of containers that start and end, and what is open between those that are kept apart.

use crate::error::Result;
use crate::fabric::Fabric;
use crate::led::{Opening, Reach};
use crate::ports::{PortMapping, PortWish};
use crate::published::{self, PublishedPorts};

impl Fabric {
    /// Has ports of this host's lead to a container that has the address: all that it wishes, or none.
    ///
    /// # Errors
    ///
    /// A port that cannot be had, with whose it is; no firewall of ours.
    pub fn publish(&self, owner: &str, to: Reach, wishes: &[PortWish]) -> Result<PublishedPorts> {
        published::publish(&mut self.state(), owner, to, wishes)
    }

    /// Its ports lead nowhere from now on. Twice is no error.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn unpublish(&self, owner: &str) -> Result<()> {
        published::unpublish(&mut self.state(), owner)
    }

    /// With `--icc=false`: what a container may reach of others on its bridge, in place of what it might before.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn open(&self, owner: &str, openings: Vec<Opening>) -> Result<()> {
        published::open(&mut self.state(), owner, openings)
    }

    /// After an engine's restart: these running containers have these ports, and nobody else has any.
    ///
    /// # Errors
    ///
    /// What the kernel says.
    pub fn adopt_ports(&self, running: Vec<(String, Reach, Vec<PortMapping>)>) -> Result<()> {
        published::adopt(&mut self.state(), running)
    }
}

//! A container's legs on networks: the address that each needs, and a leg that somebody has removed.

use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use engine::ports::{Endpoint, EndpointRequest, NetworkError, TellLost};
use net::Address;

use super::books::addresses;
use super::convert::{PREFIX, convert, link_local, place, refused};
use super::{Inner, Network};

/// An address that is taken, and for what.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) bridge: String,
    pub(super) address: Address,
}

impl Network {
    /// Tells whose interfaces were behind ports of ours that are gone.
    pub(super) fn tell_lost(&self, tell: TellLost) {
        // Not all of it: whoever drops the fabric waits for the thread that tells.
        let books = Arc::clone(&self.inner.books);
        self.inner.fabric.on_lost(move |links| {
            let mut books = super::lock(&books);
            let lost: Vec<_> = links.iter().filter_map(|link| books.ports.remove(link)).collect();
            drop(books);
            if !lost.is_empty() {
                tell(lost);
            }
        });
    }

    /// Makes an interface again that is gone. Whether it was.
    pub(super) async fn make_again(
        &self,
        container: &str,
        pid: u32,
        request: &EndpointRequest,
    ) -> Result<bool, NetworkError> {
        let bridge = self.inner.bridge(&request.network, &request.network_id)?;
        let address = self.inner.fabric.claimed(&bridge, place(request)?).map_err(convert)?;
        let address = Address { link_local: link_local(request), ..address };
        let (container, request) = (container.to_owned(), request.clone());
        let made = self.blocking(move |inner| {
            // It has ended meanwhile.
            let Ok(netns) = netns_of(&container, pid) else { return Ok(false) };
            let mut sandbox = inner.fabric.enter(netns)?;
            let interface = request.interface.as_deref().unwrap_or(PREFIX);
            let note = |link| inner.books().note_port(link, &container, &request.network_id);
            // The engine before knew its other end.
            if let Some(link) = inner.fabric.leg(&mut sandbox, interface)? {
                note(link);
                return Ok(false);
            }
            note(inner.fabric.plug(&mut sandbox, &bridge, interface, &address)?);
            sandbox.set(interface, &request.sysctls)?;
            Ok(true)
        });
        made.await.map_err(convert)
    }
}

impl Inner {
    pub(super) fn claim(&self, container: &str, request: &EndpointRequest) -> Result<Claim, NetworkError> {
        let bridge = self.bridge(&request.network, &request.network_id)?;
        let place = place(request)?;
        let mut books = self.books();
        let address = self.fabric.claim(&bridge, place).map_err(|error| refused(error, request))?;
        books.note(container, &bridge, &address);
        let address = Address { link_local: link_local(request), ..address };
        Ok(Claim { bridge, address })
    }

    pub(super) fn give_back(&self, container: &str, claim: &Claim) {
        claim.address.ips().for_each(|ip| self.release(container, &claim.bridge, ip));
    }

    fn release(&self, container: &str, bridge: &str, ip: IpAddr) {
        let mut books = self.books();
        let key = (bridge.to_owned(), ip);
        if books.owners.get(&key).is_some_and(|owner| owner == container) {
            books.owners.remove(&key);
            self.fabric.give_back(bridge, ip);
        }
    }

    pub(super) fn release_endpoint(&self, container: &str, endpoint: &Endpoint) {
        let mut books = self.books();
        books.forget_port(container, &endpoint.network_id);
        let bridge = books.bridges.get(&endpoint.network_id).cloned();
        drop(books);
        if let Some(bridge) = bridge {
            addresses(endpoint).for_each(|ip| self.release(container, &bridge, ip));
        }
    }

    /// A running container's sandbox.
    pub(super) fn enter(&self, container: &str, pid: u32) -> net::Result<net::Sandbox> {
        self.fabric.enter(netns_of(container, pid)?)
    }
}

/// The namespace of a container's process, if the number is still its own.
pub(super) fn netns_of(container: &str, pid: u32) -> net::Result<OwnedFd> {
    let gone = |_| net::Error::Config(format!("container {container} is not running"));
    let netns = std::fs::File::open(format!("/proc/{pid}/ns/net")).map_err(gone)?;
    // Looked at afterwards: a number that has gone to another process is in another cgroup.
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).map_err(gone)?;
    match groups.contains(container) {
        true => Ok(netns.into()),
        false => Err(net::Error::Config(format!("container {container} is not running"))),
    }
}

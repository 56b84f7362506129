//! Published ports of a container that runs: changed by an update, and kept with the network that they come in by.
//!
//! First the ports are taken, then the record says what will be, then it is done. An engine that is killed in between
//! has promised nothing; the next one finds in the record what is left to do.

use super::Owner;
use crate::container::{ContainerSpec, published, republished};
use crate::error::{Error, Result};
use crate::networks::attach;
use crate::ports::{Endpoint, NetworkError, PortMapping, PublishedPorts, Reach};
use crate::records::UnappliedPorts;

/// Taken and not yet in use.
pub(super) struct Reserved {
    published: PublishedPorts,
    kept: Vec<PortMapping>,
    removed: Vec<PortMapping>,
    endpoint: Endpoint,
    reach: Reach,
    before: Vec<PortMapping>,
}

impl Owner {
    /// Takes what a changed specification wishes beyond what there is. `None`: nothing is to be done.
    pub(super) async fn reserve_ports(&mut self, spec: &ContainerSpec) -> Result<Option<Reserved>> {
        let (gateway, reach) = (self.gateway(), Reach::of(&self.record.endpoints));
        let Some(endpoint) = gateway.filter(|_| self.exit.is_some()) else {
            published::check(spec)?;
            return Ok(None);
        };
        let unsaid = attach::unsaid(&self.core, &self.record.endpoints);
        let difference = republished::difference(spec, unsaid, reach, &self.record.ports)?;
        if difference.wishes.is_empty() && difference.removed.is_empty() {
            return Ok(None);
        }
        let reserved = self.core.ports.network.reserve_ports(reach, difference.wishes).await;
        let published = reserved.map_err(|error| self.not_programmed(&endpoint, error))?;
        let before = self.record.ports.clone();
        let republished::Difference { kept, removed, .. } = difference;
        Ok(Some(Reserved { published, kept, removed, endpoint, reach, before }))
    }

    /// By which what it publishes comes in.
    fn gateway(&self) -> Option<Endpoint> {
        let leads_out = |endpoint: &&Endpoint| endpoint.is_gateway || endpoint.is_gateway6;
        self.record.endpoints.iter().find(leads_out).cloned()
    }

    /// What the record says from now on.
    pub(super) fn note_ports(&mut self, reserved: &Reserved) {
        let added = reserved.published.mappings.clone();
        self.record.ports = republished::folded([&reserved.kept[..], &added].concat());
        self.record.unapplied_ports = Some(UnappliedPorts { added, removed: reserved.removed.clone() });
    }

    /// The record could not be written.
    pub(super) async fn give_up_ports(&mut self, reserved: Reserved) {
        self.record.ports = reserved.before;
        self.record.unapplied_ports = None;
        self.core.ports.network.give_up_ports(reserved.published.mappings).await;
    }

    /// Does it; if it cannot be done it is as it was, but for the record's specification.
    pub(super) async fn apply_ports(&mut self, mut reserved: Reserved) -> Result<()> {
        self.core.failpoints.hit("update.ports")?;
        let (runtime, network) = (self.core.ports.runtime.clone(), self.core.ports.network.clone());
        if let Some(holder) = reserved.published.holder.take()
            && let Err(error) = runtime.hold_ports(&self.process, holder).await
        {
            self.give_up_ports(reserved).await;
            return Err(Error::internal(format!("could not hold its ports: {}", error.message)));
        }
        let (id, endpoint) = (self.record.id.clone(), reserved.endpoint.clone());
        if let Err(error) = network.set_ports(&id, reserved.reach, self.record.ports.clone()).await {
            let added = reserved.published.mappings.clone();
            if let Err(error) = runtime.let_go_ports(&self.process, added).await {
                tracing::warn!(container = %id, %error, "could not let go of ports");
            }
            self.give_up_ports(reserved).await;
            return Err(self.not_programmed(&endpoint, error));
        }
        self.core.failpoints.hit("update.published")?;
        self.let_go(reserved.removed).await;
        self.record.unapplied_ports = None;
        Ok(())
    }

    async fn let_go(&mut self, removed: Vec<PortMapping>) {
        if removed.is_empty() {
            return;
        }
        // They lead nowhere any more; whoever wants one is told that it is taken, until the container ends.
        if let Err(error) = self.core.ports.runtime.let_go_ports(&self.process, removed).await {
            tracing::warn!(container = %self.record.id, %error, "could not let go of ports");
        }
    }

    fn not_programmed(&self, endpoint: &Endpoint, error: NetworkError) -> Error {
        let (name, id) = (&self.record.name, &endpoint.endpoint_id);
        Error::new(
            error.class,
            format!(
                "driver failed programming external connectivity on endpoint {name} ({id}): {}",
                error.message
            ),
        )
    }

    /// What an engine that was killed in an update had still to do; the firewall is in order already.
    pub(crate) async fn finish_ports(&mut self) {
        let Some(UnappliedPorts { added, removed }) = self.record.unapplied_ports.take() else { return };
        match self.core.ports.network.hold_ports(added).await {
            Ok(Some(holder)) => {
                if let Err(error) = self.core.ports.runtime.hold_ports(&self.process, holder).await {
                    tracing::warn!(container = %self.record.id, %error, "could not hold its ports");
                }
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(container = %self.record.id, %error, "could not hold its ports"),
        }
        self.let_go(removed).await;
        self.save(false).await;
    }

    /// The network that they come in by is another one now, or none, or there is one again.
    pub(super) async fn follow_ports(&mut self) {
        let reach = Reach::of(&self.record.endpoints);
        let id = self.record.id.clone();
        if !self.record.ports.is_empty() && !reach.is_none() {
            let ports = self.record.ports.clone();
            if let Err(error) = self.core.ports.network.set_ports(&id, reach, ports).await {
                tracing::warn!(container = %id, %error, "could not move its published ports");
            }
        }
        match self.gateway() {
            // One of the two versions may have come, or gone.
            Some(_) => {
                let spec = self.record.spec.clone();
                match self.reserve_ports(&spec).await {
                    Ok(None) => {}
                    Ok(Some(reserved)) => {
                        self.note_ports(&reserved);
                        if let Err(error) = self.apply_ports(reserved).await {
                            tracing::warn!(container = %id, %error, "could not publish its ports");
                        }
                    }
                    Err(error) => tracing::warn!(container = %id, %error, "could not publish its ports"),
                }
            }
            None => {
                let removed = std::mem::take(&mut self.record.ports);
                if !removed.is_empty() {
                    self.core.ports.network.unpublish(&id).await;
                    self.let_go(removed).await;
                }
            }
        }
    }
}

//! Connect and disconnect: at once if the container runs, with its next start otherwise.

use std::sync::Arc;

use super::Owner;
use crate::container::{EndpointSpec, NetworkMode, Status, files};
use crate::error::{Error, Result};
use crate::flows::start;
use crate::layout;
use crate::networks::attach::Version;
use crate::networks::{Network, attach, names};
use crate::ports::{Endpoint, EndpointRequest, NetworkError};
use crate::repairs;

impl Owner {
    pub(super) async fn connect(&mut self, network: &str, spec: EndpointSpec) -> Result<()> {
        let network = &self.core.networks.find(network)?;
        self.may_change_networks(network)?;
        let request = attach::request(&self.record, network, &spec)?;
        if self.exit.is_some() {
            let has = |id: &str| self.record.endpoints.iter().any(|endpoint| endpoint.network_id == id);
            if has(&network.id) {
                return Err(Error::forbidden(format!(
                    "endpoint with name {} already exists in network {}",
                    self.record.name, network.name
                )));
            }
            let others = self.record.endpoints.iter();
            attach::has_own_name(&request, others.map(|other| (&other.network, Some(&other.interface))))?;
            let (id, pid) = (&self.record.id, self.record.pid);
            let connected = self.core.ports.network.connect(id, pid, &request).await;
            self.record.endpoints.push(connected.map_err(failed)?);
        }
        let without = std::mem::take(&mut Arc::make_mut(&mut self.record.spec).without_networks);
        let before = self.record.spec.endpoints.clone();
        self.say_default(&network.name, without);
        Arc::make_mut(&mut self.record.spec).endpoints.insert(network.name.clone(), spec);
        if let Err(error) = self.try_save(true).await {
            let spec = Arc::make_mut(&mut self.record.spec);
            (spec.endpoints, spec.without_networks) = (before, without);
            self.drop_endpoint(network).await;
            return Err(error);
        }
        self.choose_gateway().await;
        if self.exit.is_some() {
            self.follow_ports().await;
            self.follow_names().await;
            self.save(false).await;
        }
        self.publish();
        if self.exit.is_some() {
            let connected = self.record.endpoints.last().into_iter();
            connected
                .for_each(|endpoint| start::endpoint_event(&self.core, &self.record.id, endpoint, "connect"));
        }
        Ok(())
    }

    pub(super) async fn disconnect(&mut self, network: &str) -> Result<()> {
        let network = &self.core.networks.find(network)?;
        self.may_change_networks(network)?;
        let before = self.record.spec.clone();
        self.say_default("", before.without_networks);
        let running = self.exit.is_some();
        let on_it = self.record.endpoints.iter().any(|endpoint| endpoint.network_id == network.id);
        let spec = Arc::make_mut(&mut self.record.spec);
        let said = spec.endpoints.remove(&network.name).is_some();
        spec.without_networks = spec.endpoints.is_empty();
        if running && !on_it || !running && !said {
            self.record.spec = before;
            return Err(Error::internal(format!(
                "container {} is not connected to network {}",
                self.record.id, network.name
            )));
        }
        if let Err(error) = self.try_save(true).await {
            self.record.spec = before;
            return Err(error);
        }
        self.drop_endpoint(network).await;
        if running {
            self.follow_names().await;
        }
        self.save(false).await;
        self.publish();
        Ok(())
    }

    /// Its interface on a network may have been removed by somebody: it gets it again, as it was.
    pub(super) async fn reconnect(&mut self, network: &str) {
        let endpoint = self.record.endpoints.iter().find(|endpoint| endpoint.network_id == network);
        let Some(endpoint) = endpoint.filter(|_| self.exit.is_some()) else { return };
        let Ok(network) = self.core.networks.find(network) else { return };
        let spec = self.record.spec.endpoints.get(&network.name).cloned().unwrap_or_default();
        let Ok(request) = attach::request(&self.record, &network, &spec) else { return };
        let request = EndpointRequest {
            mac: Some(endpoint.mac.clone()).filter(|mac| !mac.is_empty()),
            ipv4: endpoint.ipv4,
            ipv6: endpoint.ipv6,
            is_gateway: endpoint.is_gateway,
            is_gateway6: endpoint.is_gateway6,
            interface: Some(endpoint.interface.clone()),
            ..request
        };
        let (id, pid) = (&self.record.id, self.record.pid);
        let what = format!(
            "interface {} of container {} on network {}",
            endpoint.interface, self.record.name, network.name
        );
        match self.core.ports.network.reconnect(id, pid, &request).await {
            Ok(false) => {}
            Ok(true) => {
                tracing::warn!("network: somebody removed it, so: make {what} again");
                repairs::repaired(&self.core, format!("make {what} again"));
            }
            Err(error) => {
                tracing::error!(%error, "network: somebody removed the {what}, and it cannot be made again")
            }
        }
    }

    fn may_change_networks(&self, network: &Network) -> Result<()> {
        if network.driver == "host" || self.record.spec.host.network_mode == NetworkMode::Host {
            return Err(Error::invalid(
                "container cannot be disconnected from host network or connected to host network",
            ));
        }
        if matches!(self.record.spec.host.network_mode, NetworkMode::Container(_)) {
            return Err(Error::invalid(
                "container sharing network namespace with another container or host cannot be connected to any other \
                 network",
            ));
        }
        if network.driver == "null" || self.record.spec.host.network_mode == NetworkMode::None {
            return Err(Error::invalid(
                "container cannot be connected to multiple networks with one of the networks in private (none) mode",
            ));
        }
        match self.record.status {
            Status::Removing | Status::Dead => {
                Err(Error::conflict(format!("container {} is marked for removal", self.record.id)))
            }
            _ => Ok(()),
        }
    }

    /// The network that nobody named because it is the default: named from now on, beside others.
    fn say_default(&mut self, other: &str, without: bool) {
        let spec = Arc::make_mut(&mut self.record.spec);
        let first = match &spec.host.network_mode {
            NetworkMode::Bridge => "bridge".to_owned(),
            NetworkMode::Named(name) => name.clone(),
            _ => return,
        };
        if !without && spec.endpoints.is_empty() && first != other {
            spec.endpoints.insert(first, EndpointSpec::default());
        }
    }

    async fn drop_endpoint(&mut self, network: &Network) {
        let Some(at) = self.record.endpoints.iter().position(|one| one.network_id == network.id) else {
            return;
        };
        let endpoint = self.record.endpoints.remove(at);
        // First: afterwards its address may be somebody else's.
        if endpoint.is_gateway || endpoint.is_gateway6 {
            self.choose_gateway().await;
            self.follow_ports().await;
        }
        let (id, pid) = (&self.record.id, self.record.pid);
        if let Err(error) = self.core.ports.network.disconnect(id, pid, &endpoint).await {
            tracing::warn!(container = %id, network = %network.name, %error, "could not remove its interface");
        }
        start::endpoint_event(&self.core, id, &endpoint, "disconnect");
    }

    /// What it is called and whom it may ask for names, after a network came or went.
    async fn follow_names(&mut self) {
        if names::are_asked_here(&self.record.endpoints) {
            let settings = self.core.settings();
            let directory = layout::container(&settings.data_root, &self.record.id);
            if let Err(error) = files::rewrite_resolv_conf(&settings, &self.record, &directory) {
                tracing::warn!(container = %self.record.id, %error, "could not rewrite its resolv.conf");
            }
        }
        names::tell(&self.core, &self.record).await;
    }

    /// After a network came or went.
    async fn choose_gateway(&mut self) {
        for version in [Version::V4, Version::V6] {
            let chosen = attach::gateway_of(&self.core, version, &self.record, &self.record.endpoints);
            let Some(at) = chosen else { continue };
            let is_gateway = |endpoint: &mut Endpoint| match version {
                Version::V4 => std::mem::replace(&mut endpoint.is_gateway, true),
                Version::V6 => std::mem::replace(&mut endpoint.is_gateway6, true),
            };
            let before = self.record.endpoints.clone();
            if is_gateway(&mut self.record.endpoints[at]) {
                continue;
            }
            for (_, endpoint) in self.record.endpoints.iter_mut().enumerate().filter(|(i, _)| *i != at) {
                match version {
                    Version::V4 => endpoint.is_gateway = false,
                    Version::V6 => endpoint.is_gateway6 = false,
                }
            }
            let (id, pid) = (&self.record.id, self.record.pid);
            let routed = self.core.ports.network.route_via(id, pid, &self.record.endpoints[at]).await;
            if let Err(error) = routed {
                tracing::warn!(container = %id, %error, "could not change its default route");
                self.record.endpoints = before;
            }
        }
    }
}

fn failed(error: NetworkError) -> Error {
    Error::new(error.class, error.message)
}

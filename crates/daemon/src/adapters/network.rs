//! The engine's network port, over `net`.
//!
//! A start takes a prepared sandbox and gives it its address: a few hundred microseconds of system calls that
//! do not wait for anybody, so they run where they are called. Only when no sandbox is ready does a thread of the
//! runtime's blocking pool wait for one; the namespaces themselves are made by `net`'s own thread.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::Class;
use engine::ports::{
    BoxFuture, Endpoint, EndpointRequest, NetworkError, NetworkFabric, NetworkFacts, PortMapping,
    PortProtocol, PortWish, PublishedPorts, Sandbox, SandboxRequest,
};
use net::{Address, Desired, Fabric, Mac, Place, Pool};

/// The name of the default network, whatever its bridge is called.
const NETWORK: &str = "bridge";

/// The default bridge network, `--network none`, and who has which address.
#[derive(Debug)]
pub struct Network {
    inner: Arc<Inner>,
    network_id: String,
}

#[derive(Debug)]
struct Inner {
    /// `None` with `--bridge none`.
    fabric: Option<Fabric>,
    isolated: Pool,
    /// Which container has an address, so that a late second release cannot free somebody else's.
    /// Held for a look-up only.
    owners: Mutex<HashMap<Ipv4Addr, String>>,
}

impl Network {
    /// Brings the default network up in the calling thread's network namespace; no bridge is `--bridge none`.
    /// `network_id` is the 64-digit id that the default network keeps over restarts.
    ///
    /// # Errors
    ///
    /// A configuration that this host cannot fulfil, a kernel without nftables, missing privilege.
    pub fn start(desired: Desired, network_id: String) -> Result<Self, NetworkError> {
        // Without a bridge nothing of the host's is touched.
        let desired = Some(desired).filter(|desired| !desired.bridges.is_empty());
        let fabric =
            desired.map(|desired| Fabric::start(desired, report_mended)).transpose().map_err(convert)?;
        if let Some(fabric) = &fabric {
            for change in &fabric.changes {
                tracing::info!("network: {change}");
            }
            for warning in &fabric.warnings {
                tracing::warn!("{}", warning.trim_start_matches("WARNING: "));
            }
        }
        let isolated = Fabric::isolated().map_err(convert)?;
        let inner = Inner { fabric, isolated, owners: Mutex::default() };
        Ok(Self { inner: Arc::new(inner), network_id })
    }

    async fn take_bridged(
        &self,
        container: &str,
        request: &EndpointRequest,
    ) -> Result<Sandbox, NetworkError> {
        let Some(fabric) = &self.inner.fabric else {
            let message = "network bridge not found: the engine runs with --bridge=none".to_owned();
            return Err(NetworkError { class: Class::Unsupported, message });
        };
        let mac: Option<Mac> = request.mac.as_deref().map(str::parse).transpose().map_err(convert)?;
        let place = Place { ipv4: request.ipv4, mac, is_gateway: true };
        let taken = match fabric.try_take(place) {
            Ok(Some(taken)) => Ok(taken),
            Ok(None) => {
                let inner = Arc::clone(&self.inner);
                blocking(move || match &inner.fabric {
                    Some(fabric) => fabric.take(place),
                    None => Err(net::Error::ShutDown),
                })
                .await
            }
            Err(error) => Err(error),
        };
        let (sandbox, address) = taken.map_err(|error| match error {
            // As Docker, which names the network.
            net::Error::AddressesExhausted(_) => NetworkError {
                class: Class::Internal,
                message: format!(
                    "no available IPv4 addresses on this network's address pools: {NETWORK} ({})",
                    self.network_id
                ),
            },
            other => convert(other),
        })?;
        self.inner.owners().insert(address.ipv4.addr(), container.to_owned());
        Ok(Sandbox {
            netns: sandbox.into_netns(),
            sandbox_id: random_id()?,
            endpoints: vec![self.endpoint(&address, random_id()?)],
        })
    }

    async fn take_isolated(&self) -> Result<Sandbox, NetworkError> {
        let sandbox = match self.inner.isolated.try_take() {
            Some(sandbox) => sandbox,
            None => {
                let inner = Arc::clone(&self.inner);
                blocking(move || inner.isolated.take()).await.map_err(convert)?
            }
        };
        Ok(Sandbox { netns: sandbox.into_netns(), sandbox_id: random_id()?, endpoints: Vec::new() })
    }

    fn endpoint(&self, address: &Address, endpoint_id: String) -> Endpoint {
        Endpoint {
            network: NETWORK.to_owned(),
            network_id: self.network_id.clone(),
            endpoint_id,
            mac: address.mac.to_string(),
            ipv4: Some(address.ipv4.addr()),
            ipv4_prefix: address.ipv4.prefix_len(),
            gateway: address.gateway,
            is_gateway: true,
            interface: "eth0".to_owned(),
            dns_names: Vec::new(),
        }
    }
}

impl Inner {
    /// With the name of the default bridge.
    fn default(&self) -> Option<(&Fabric, String)> {
        let fabric = self.fabric.as_ref()?;
        Some((fabric, fabric.facts()?.bridge))
    }

    fn owners(&self) -> MutexGuard<'_, HashMap<Ipv4Addr, String>> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl NetworkFabric for Network {
    fn prepare(&self) {
        if let Some(fabric) = &self.inner.fabric {
            fabric.nudge();
        }
        self.inner.isolated.nudge();
    }

    fn take<'a>(
        &'a self,
        container: &'a str,
        request: &'a SandboxRequest,
    ) -> BoxFuture<'a, Result<Sandbox, NetworkError>> {
        Box::pin(async move {
            match &request.endpoints[..] {
                [] => self.take_isolated().await,
                [one] => self.take_bridged(container, one).await,
                [_, another, ..] => {
                    let message = format!("network {} not found", another.network);
                    Err(NetworkError { class: Class::NotFound, message })
                }
            }
        })
    }

    fn release<'a>(&'a self, container: &'a str, endpoints: &'a [Endpoint]) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let Some((fabric, bridge)) = self.inner.default() else { return };
            let mut owners = self.inner.owners();
            for ip in endpoints.iter().filter_map(|endpoint| endpoint.ipv4) {
                if owners.get(&ip).is_some_and(|owner| owner == container) {
                    owners.remove(&ip);
                    fabric.give_back(&bridge, ip);
                }
            }
        })
    }

    fn reconcile(&self, running: Vec<(String, Vec<Endpoint>)>) -> BoxFuture<'_, Result<(), NetworkError>> {
        Box::pin(async move {
            let Some((fabric, bridge)) = self.inner.default() else { return Ok(()) };
            let addresses = |(container, endpoints): (String, Vec<Endpoint>)| {
                let of = move |endpoint: Endpoint| Some((container.clone(), endpoint.ipv4?));
                endpoints.into_iter().filter_map(of)
            };
            for (container, ip) in running.into_iter().flat_map(addresses) {
                match fabric.reclaim(&bridge, ip) {
                    Ok(()) => {
                        self.inner.owners().insert(ip, container);
                    }
                    // The bridge's subnet was changed under a running container. It keeps what it has; nobody
                    // else can be given that address.
                    Err(error) => tracing::warn!(%container, %ip, %error, "address of a running container"),
                }
            }
            Ok(())
        })
    }

    fn publish<'a>(
        &'a self,
        container: &'a str,
        endpoint: &'a Endpoint,
        wishes: Vec<PortWish>,
    ) -> BoxFuture<'a, Result<PublishedPorts, NetworkError>> {
        Box::pin(async move {
            let Some(to) = endpoint.ipv4 else { return Ok(PublishedPorts::default()) };
            let (inner, owner) = (Arc::clone(&self.inner), container.to_owned());
            let few = wishes.len() <= FEW_PORTS;
            let publish = move || {
                let fabric = inner.fabric.as_ref().ok_or(net::Error::ShutDown)?;
                let wishes: Vec<_> = wishes.into_iter().map(wish).collect();
                fabric.publish(&owner, to, &wishes)
            };
            let published = if few { publish() } else { blocking(publish).await }.map_err(convert)?;
            let mappings = published.mappings.into_iter().map(mapping).collect();
            Ok(PublishedPorts { mappings, holder: published.holder })
        })
    }

    fn unpublish<'a>(&'a self, container: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let result = self.inner.fabric.as_ref().map(|fabric| fabric.unpublish(container));
            if let Some(Err(error)) = result {
                tracing::warn!(%container, %error, "could not take back its published ports");
            }
        })
    }

    fn adopt_ports(
        &self,
        running: Vec<(String, Endpoint, Vec<PortMapping>)>,
    ) -> BoxFuture<'_, Result<(), NetworkError>> {
        Box::pin(async move {
            let Some(fabric) = &self.inner.fabric else { return Ok(()) };
            let adopted = running.into_iter().filter_map(|(container, endpoint, mappings)| {
                Some((container, endpoint.ipv4?, mappings.into_iter().map(net_mapping).collect()))
            });
            fabric.adopt_ports(adopted.collect()).map_err(convert)
        })
    }

    fn facts(&self) -> NetworkFacts {
        let network_id = self.network_id.clone();
        let fabric = self.inner.fabric.as_ref();
        let Some((fabric, facts)) = fabric.and_then(|fabric| Some((fabric, fabric.facts()?))) else {
            return NetworkFacts { network_id, ..NetworkFacts::default() };
        };
        NetworkFacts {
            network_id,
            bridge: Some(facts.bridge),
            subnet: Some(facts.address.trunc().to_string()),
            gateway: Some(IpAddr::V4(facts.gateway)),
            mtu: facts.mtu,
            firewall_backend: if fabric.has_firewall() { "nftables" } else { "none" }.to_owned(),
            warnings: fabric.warnings.clone(),
        }
    }
}

/// So many ports are published where it is called: in less time than it takes to give them to another thread.
const FEW_PORTS: usize = 32;

fn wish(wish: PortWish) -> net::PortWish {
    let PortWish { container, protocol, host, address } = wish;
    net::PortWish { container, protocol: net_protocol(protocol), host, address }
}

fn mapping(mapping: net::PortMapping) -> PortMapping {
    let net::PortMapping { protocol, address, host, container, count } = mapping;
    let protocol = match protocol {
        net::Protocol::Tcp => PortProtocol::Tcp,
        net::Protocol::Udp => PortProtocol::Udp,
        net::Protocol::Sctp => PortProtocol::Sctp,
    };
    PortMapping { protocol, address, host, container, count }
}

fn net_mapping(mapping: PortMapping) -> net::PortMapping {
    let PortMapping { protocol, address, host, container, count } = mapping;
    net::PortMapping { protocol: net_protocol(protocol), address, host, container, count }
}

fn net_protocol(protocol: PortProtocol) -> net::Protocol {
    match protocol {
        PortProtocol::Tcp => net::Protocol::Tcp,
        PortProtocol::Udp => net::Protocol::Udp,
        PortProtocol::Sctp => net::Protocol::Sctp,
    }
}

/// Called from the watching thread.
fn report_mended(result: net::Result<net::Plan>) {
    match result {
        Ok(plan) => {
            for step in &plan.steps {
                tracing::warn!("network: somebody changed it, so: {step}");
            }
        }
        Err(error) => tracing::error!(%error, "network: somebody changed it, and it cannot be put back"),
    }
}

async fn blocking<T: Send + 'static>(
    act: impl FnOnce() -> net::Result<T> + Send + 'static,
) -> net::Result<T> {
    tokio::task::spawn_blocking(act).await.unwrap_or(Err(net::Error::ShutDown))
}

fn convert(error: net::Error) -> NetworkError {
    let class = if error.is_permanent() { Class::Unsupported } else { Class::Internal };
    NetworkError { class, message: error.to_string() }
}

/// 32 random bytes in hex, Docker's form of an id.
fn random_id() -> Result<String, NetworkError> {
    let mut bytes = [0u8; 32];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|e| NetworkError { class: Class::Internal, message: format!("get random bytes: {e}") })?;
    Ok(bytes.iter().fold(String::with_capacity(64), |mut id, byte| {
        let _ = write!(id, "{byte:02x}");
        id
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In a thread with a network namespace of its own. Needs root.
    fn on_a_host(test: impl AsyncFnOnce(&dyn Fn() -> Network) + Send + 'static) {
        let body = move || {
            net::NetNs::unshare().expect("this test needs root");
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let start = || Network::start(Desired::default(), "ab".repeat(32)).unwrap();
            runtime.block_on(test(&start));
        };
        std::thread::spawn(body).join().unwrap();
    }

    /// One endpoint, on the default bridge.
    async fn take(network: &Network, container: &str) -> Endpoint {
        network.take(container, &wish(None, None)).await.unwrap().endpoints.remove(0)
    }

    fn wish(mac: Option<&str>, ipv4: Option<Ipv4Addr>) -> SandboxRequest {
        let mac = mac.map(str::to_owned);
        SandboxRequest { endpoints: vec![EndpointRequest { mac, ipv4, ..EndpointRequest::default() }] }
    }

    #[test]
    fn addresses_are_given_and_returned_once() {
        on_a_host(async |start| {
            let network = start();
            let first = take(&network, "a").await;
            assert_eq!(first.ipv4, Some(Ipv4Addr::new(172, 17, 0, 2)));
            assert_eq!((first.mac.as_str(), first.ipv4_prefix), ("02:42:ac:11:00:02", 16));
            assert_eq!(first.gateway, Some(Ipv4Addr::new(172, 17, 0, 1)));
            assert_eq!(first.endpoint_id.len(), 64);
            network.release("a", std::slice::from_ref(&first)).await;
            let second = take(&network, "b").await;
            assert_eq!(second.ipv4, first.ipv4);
            // A late second release of the first container.
            network.release("a", std::slice::from_ref(&first)).await;
            let third = take(&network, "c").await;
            assert_eq!(third.ipv4, Some(Ipv4Addr::new(172, 17, 0, 3)));
        });
    }

    #[test]
    fn a_restarted_engine_learns_who_has_what() {
        on_a_host(async |start| {
            let network = start();
            let endpoint = take(&network, "a").await;
            drop(network);
            let network = start();
            network.reconcile(vec![("a".into(), vec![endpoint.clone()])]).await.unwrap();
            let next = take(&network, "b").await;
            assert_eq!(next.ipv4, Some(Ipv4Addr::new(172, 17, 0, 3)));
            network.release("a", std::slice::from_ref(&endpoint)).await;
            let next = take(&network, "c").await;
            assert_eq!(next.ipv4, endpoint.ipv4);
        });
    }

    #[test]
    fn none_needs_no_bridge_and_bridge_says_so() {
        on_a_host(async |_| {
            let network =
                Network::start(Desired { bridges: Vec::new(), ..Desired::default() }, String::new()).unwrap();
            let isolated = network.take("a", &SandboxRequest::default()).await.unwrap();
            assert_eq!(isolated.endpoints, []);
            let refused = network.take("a", &wish(None, None)).await.unwrap_err();
            assert_eq!(refused.class, Class::Unsupported);
            assert_eq!(network.facts().bridge, None);
        });
    }

    #[test]
    fn wishes_are_checked() {
        on_a_host(async |start| {
            let network = start();
            let refused = network.take("a", &wish(Some("xx"), None)).await.unwrap_err();
            assert_eq!(refused.message, "invalid MAC address: xx");
            network.take("a", &wish(None, Some(Ipv4Addr::new(10, 0, 0, 1)))).await.unwrap_err();
            let ip = Ipv4Addr::new(172, 17, 9, 9);
            let mut given = network.take("a", &wish(Some("02:00:00:00:00:07"), Some(ip))).await.unwrap();
            let endpoint = given.endpoints.remove(0);
            assert_eq!((endpoint.mac.as_str(), endpoint.ipv4), ("02:00:00:00:00:07", Some(ip)));
        });
    }
}

//! The engine's network port, over `net`.
//!
//! A start on the default bridge takes a prepared sandbox and gives it its address: a few hundred microseconds of system
//! calls that do not wait for anybody, so they run where they are called. On users' networks a sandbox without a leg is
//! taken and plugged. Only when no sandbox is ready does a thread of the runtime's blocking pool wait for one; the
//! namespaces themselves are made by `net`'s own threads.

mod books;
mod convert;
mod legs;
mod names;
mod ports;
mod repairs;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::Class;
use engine::ports::{
    BoxFuture, BridgeNetwork, Endpoint, EndpointRequest, Ipv6Network, Named, NetworkError, NetworkFabric,
    NetworkFacts, PortMapping, PortProtocol, PortWish, PublishedPorts, Reach, Sandbox, SandboxRequest,
    TellLost,
};
use net::{AddressPool, BridgeConfig, Desired, Fabric, Pool};

use self::books::{Books, addresses};
use self::convert::{PREFIX, config, convert, endpoint, interfaces, place, random_id, reach, refused};
use self::legs::Claim;
use self::names::Names;
use self::repairs::Repairs;

/// The name of the default network, whatever its bridge is called.
const NETWORK: &str = "bridge";

/// All networks of an engine, `--network none`, and who has which address.
#[derive(Debug)]
pub struct Network {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    fabric: Fabric,
    isolated: Pool,
    names: Names,
    /// Where subnets come from that nobody names.
    pools: Vec<AddressPool>,
    /// Id of the default network.
    network_id: String,
    inter_container: bool,
    masquerade: bool,
    /// Held for a look-up only.
    books: Arc<Mutex<Books>>,
    /// What this host does against us.
    warnings: Mutex<Vec<String>>,
    repairs: Repairs,
}

impl Network {
    /// Brings the default network up in the calling thread's network namespace; no bridge is `--bridge none`.
    /// `network_id` is the 64-digit id that the default network keeps over restarts;
    /// under `exec_root` lives what outlives the engine.
    ///
    /// # Errors
    ///
    /// A configuration that this host cannot fulfil, a kernel without nftables, missing privilege.
    pub fn start(
        desired: Desired,
        pools: Vec<AddressPool>,
        network_id: String,
        exec_root: PathBuf,
    ) -> Result<Self, NetworkError> {
        let default = desired.bridges.first();
        let (inter_container, masquerade) =
            default.map_or((true, true), |b| (b.inter_container, b.masquerade));
        let mut books = Books::default();
        books.bridges.extend(default.map(|bridge| (network_id.clone(), bridge.name.clone())));
        let repairs = Repairs::default();
        let told = repairs.clone();
        let fabric = Fabric::start(desired, move |result| told.report(result)).map_err(convert)?;
        for change in &fabric.changes {
            tracing::info!("network: {change}");
        }
        let isolated = Fabric::isolated().map_err(convert)?;
        let names = Names::new(exec_root);
        let books = Arc::new(Mutex::new(books));
        let warnings = Mutex::default();
        let inner = Inner {
            fabric,
            isolated,
            names,
            pools,
            network_id,
            inter_container,
            masquerade,
            books,
            warnings,
            repairs,
        };
        inner.warn(inner.fabric.warnings.clone());
        Ok(Self { inner: Arc::new(inner) })
    }

    async fn take_bridged(
        &self,
        container: &str,
        bridge: String,
        request: &EndpointRequest,
    ) -> Result<Sandbox, NetworkError> {
        let place = place(request)?;
        let taken = match self.inner.fabric.try_take(place) {
            Ok(Some(taken)) => Ok(taken),
            Ok(None) => self.blocking(move |inner| inner.fabric.take(place)).await,
            Err(error) => Err(error),
        };
        let (sandbox, address) = taken.map_err(|error| refused(error, request))?;
        let mut books = self.inner.books();
        books.note(container, &bridge, &address);
        books.note_port(sandbox.host_interface().map(str::to_owned), container, &request.network_id);
        drop(books);
        let endpoints = vec![endpoint(request, &address, "eth0")?];
        Ok(Sandbox { netns: sandbox.into_netns(), sandbox_id: random_id()?, endpoints })
    }

    async fn take_isolated(&self) -> Result<Sandbox, NetworkError> {
        let sandbox = match self.inner.isolated.try_take() {
            Some(sandbox) => sandbox,
            None => self.blocking(|inner| inner.isolated.take()).await.map_err(convert)?,
        };
        Ok(Sandbox { netns: sandbox.into_netns(), sandbox_id: random_id()?, endpoints: Vec::new() })
    }

    /// On whichever networks.
    async fn take_plugged(&self, container: &str, request: &SandboxRequest) -> Result<Sandbox, NetworkError> {
        let mut claims = Vec::with_capacity(request.endpoints.len());
        let taken = self.plugged(container, request, &mut claims).await;
        if taken.is_err() {
            claims.iter().for_each(|claim| self.inner.give_back(container, claim));
        }
        taken
    }

    async fn plugged(
        &self,
        container: &str,
        request: &SandboxRequest,
        claims: &mut Vec<Claim>,
    ) -> Result<Sandbox, NetworkError> {
        let requests = &request.endpoints;
        for request in requests {
            claims.push(self.inner.claim(container, request)?);
        }
        let mut sandbox = match self.inner.fabric.try_take_unplugged() {
            Some(sandbox) => sandbox,
            None => self.blocking(|inner| inner.fabric.take_unplugged()).await.map_err(convert)?,
        };
        let mut endpoints = Vec::with_capacity(requests.len());
        for ((request, claim), interface) in requests.iter().zip(claims).zip(interfaces(requests)) {
            let plugged = self.inner.fabric.plug(&mut sandbox, &claim.bridge, &interface, &claim.address);
            let link = plugged.map_err(convert)?;
            self.inner.books().note_port(link, container, &request.network_id);
            sandbox.set(&interface, &request.sysctls).map_err(convert)?;
            endpoints.push(endpoint(request, &claim.address, &interface)?);
        }
        let (dns, netns) = (sandbox.take_dns(), sandbox.into_netns());
        let member = names::member(container, &endpoints, request.names.clone());
        if !member.places.is_empty() {
            let names = self.inner.names.clone();
            let inside = netns.try_clone().map_err(|error| names::failed(&error))?;
            let begun = match names.is_ready() {
                true => names.begin(member, dns, inside),
                false => self.waiting(move |inner| inner.names.begin(member, dns, inside)).await,
            };
            begun.map_err(|error| names::failed(&error))?;
        }
        Ok(Sandbox { netns, sandbox_id: random_id()?, endpoints })
    }

    /// The same of what speaks to others.
    async fn waiting(&self, act: impl FnOnce(&Inner) -> io::Result<()> + Send + 'static) -> io::Result<()> {
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || act(&inner)).await.map_err(io::Error::other)?
    }

    async fn blocking<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Inner) -> net::Result<T> + Send + 'static,
    ) -> net::Result<T> {
        let inner = Arc::clone(&self.inner);
        tokio::task::spawn_blocking(move || act(&inner)).await.unwrap_or(Err(net::Error::ShutDown))
    }
}

fn lock(books: &Mutex<Books>) -> MutexGuard<'_, Books> {
    books.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    fn books(&self) -> MutexGuard<'_, Books> {
        lock(&self.books)
    }

    fn warn(&self, new: Vec<String>) {
        let mut known = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        for warning in new.into_iter().filter(|warning| !known.contains(warning)).collect::<Vec<_>>() {
            tracing::warn!("{}", warning.trim_start_matches("WARNING: "));
            known.push(warning);
        }
    }

    /// The bridge of a network.
    fn bridge(&self, network: &str, id: &str) -> Result<String, NetworkError> {
        if let Some(bridge) = self.books().bridges.get(id) {
            return Ok(bridge.clone());
        }
        Err(match network {
            NETWORK => NetworkError {
                class: Class::Unsupported,
                message: "network bridge not found: the engine runs with --bridge=none".to_owned(),
            },
            _ => NetworkError { class: Class::NotFound, message: format!("network {network} not found") },
        })
    }
}

impl NetworkFabric for Network {
    fn prepare(&self) {
        self.inner.fabric.nudge();
        self.inner.isolated.nudge();
    }

    fn look_up<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<IpAddr, NetworkError>> {
        Box::pin(async move {
            let failed = |message| NetworkError { class: Class::Internal, message };
            // Of a port there is no question.
            let found = dial::resolve(name, 0).await.map_err(|error| failed(error.to_string()))?;
            found.first().map(SocketAddr::ip).ok_or_else(|| failed(format!("lookup {name}: no such host")))
        })
    }

    fn take<'a>(
        &'a self,
        container: &'a str,
        request: &'a SandboxRequest,
    ) -> BoxFuture<'a, Result<Sandbox, NetworkError>> {
        Box::pin(async move {
            match &request.endpoints[..] {
                [] => self.take_isolated().await,
                [one]
                    if one.is_plain()
                        && (one.network_id == self.inner.network_id || one.network_id.is_empty()) =>
                {
                    let bridge = self.inner.bridge(NETWORK, &self.inner.network_id)?;
                    self.take_bridged(container, bridge, one).await
                }
                _ => self.take_plugged(container, request).await,
            }
        })
    }

    fn release<'a>(&'a self, container: &'a str, endpoints: &'a [Endpoint]) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            self.inner.names.forget(container);
            endpoints.iter().for_each(|endpoint| self.inner.release_endpoint(container, endpoint));
        })
    }

    fn reconcile(
        &self,
        networks: Vec<BridgeNetwork>,
        running: Vec<(String, Vec<Endpoint>)>,
    ) -> BoxFuture<'_, Result<(), NetworkError>> {
        Box::pin(async move {
            let configs: Vec<BridgeConfig> = networks.iter().map(config).collect();
            let restored =
                self.blocking(move |inner| inner.fabric.restore(configs)).await.map_err(convert)?;
            let (plan, refused) = restored;
            for step in &plan.steps {
                tracing::info!("network: {step}");
            }
            self.inner.warn(plan.warnings);
            for (bridge, error) in &refused {
                tracing::error!(%bridge, %error, "a network cannot be made again");
            }
            let mut books = self.inner.books();
            let made =
                |network: &&BridgeNetwork| !refused.iter().any(|(bridge, _)| *bridge == network.bridge);
            let made =
                networks.iter().filter(made).map(|network| (network.id.clone(), network.bridge.clone()));
            books.bridges.extend(made);
            for (container, endpoint) in
                running.iter().flat_map(|(id, all)| all.iter().map(move |one| (id, one)))
            {
                let bridge = books.bridges.get(&endpoint.network_id).cloned();
                let Some(bridge) = bridge else { continue };
                for ip in addresses(endpoint) {
                    match self.inner.fabric.reclaim(&bridge, ip) {
                        Ok(()) => {
                            books.owners.insert((bridge.clone(), ip), container.clone());
                        }
                        // The bridge's subnet was changed under a running container. It keeps what it has; nobody
                        // else can be given that address.
                        Err(error) => {
                            tracing::warn!(%container, %ip, %error, "address of a running container")
                        }
                    }
                }
            }
            Ok(())
        })
    }

    fn add_network<'a>(
        &'a self,
        network: &'a BridgeNetwork,
    ) -> BoxFuture<'a, Result<BridgeNetwork, NetworkError>> {
        Box::pin(async move {
            let config = config(network);
            let added = self.blocking(move |inner| inner.fabric.add(config, &inner.pools)).await;
            let facts = added.map_err(convert)?;
            self.inner.books().bridges.insert(network.id.clone(), network.bridge.clone());
            // Where there is no bridge, its address is nobody's.
            let own = |address| if network.over.is_some() { None } else { address };
            let ipv6 = network.ipv6.clone().map(|ipv6| Ipv6Network {
                subnet: facts.address6.map(|address| address.trunc()),
                gateway: ipv6.gateway.or_else(|| own(facts.address6.map(|address| address.addr()))),
                ..ipv6
            });
            let gateway = match network.over {
                Some(_) => network.gateway,
                None => facts.address.map(|address| address.addr()),
            };
            Ok(BridgeNetwork {
                subnet: facts.address.map(|address| address.trunc()),
                gateway,
                ipv6,
                ..network.clone()
            })
        })
    }

    fn remove_network<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), NetworkError>> {
        Box::pin(async move {
            let bridge = {
                let mut books = self.inner.books();
                let Some(bridge) = books.bridges.get(id).cloned() else { return Ok(()) };
                if books.owners.keys().any(|(of, _)| *of == bridge) {
                    let message = format!("network {id} has active endpoints");
                    return Err(NetworkError { class: Class::Forbidden, message });
                }
                // From here on nobody gets an address there.
                books.bridges.remove(id);
                bridge
            };
            let name = bridge.clone();
            let removed = self.blocking(move |inner| inner.fabric.remove(&bridge)).await;
            if removed.is_err() {
                self.inner.books().bridges.insert(id.to_owned(), name);
            }
            removed.map_err(convert)
        })
    }

    fn connect<'a>(
        &'a self,
        container: &'a str,
        pid: u32,
        request: &'a EndpointRequest,
    ) -> BoxFuture<'a, Result<Endpoint, NetworkError>> {
        Box::pin(async move {
            let claim = self.inner.claim(container, request)?;
            let (id, bridge, address) = (container.to_owned(), claim.bridge.clone(), claim.address.clone());
            let network = request.network_id.clone();
            let EndpointRequest { interface: wished, prefix, sysctls, .. } = request.clone();
            let plugged = self.blocking(move |inner| {
                let mut sandbox = inner.enter(&id, pid)?;
                let prefix = prefix.as_deref().unwrap_or(PREFIX);
                let interface = wished.map_or_else(|| sandbox.next_interface(prefix), Ok)?;
                let link = inner.fabric.plug(&mut sandbox, &bridge, &interface, &address)?;
                inner.books().note_port(link, &id, &network);
                sandbox.set(&interface, &sysctls).inspect_err(|_| drop(sandbox.unplug(&interface)))?;
                Ok(interface)
            });
            match plugged.await {
                Ok(interface) => endpoint(request, &claim.address, &interface),
                Err(error) => {
                    self.inner.give_back(container, &claim);
                    Err(convert(error))
                }
            }
        })
    }

    fn finish(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            // An error is an end that is on its way already.
            let finish = |inner: &Inner| {
                inner.fabric.finish();
                Ok(())
            };
            let _ = self.blocking(finish).await;
        })
    }

    fn disconnect<'a>(
        &'a self,
        container: &'a str,
        pid: u32,
        endpoint: &'a Endpoint,
    ) -> BoxFuture<'a, Result<(), NetworkError>> {
        Box::pin(async move {
            let (id, interface) = (container.to_owned(), endpoint.interface.clone());
            let unplugged = self.blocking(move |inner| inner.enter(&id, pid)?.unplug(&interface)).await;
            self.inner.release_endpoint(container, endpoint);
            unplugged.map_err(convert)
        })
    }

    fn route_via<'a>(
        &'a self,
        container: &'a str,
        pid: u32,
        endpoint: &'a Endpoint,
    ) -> BoxFuture<'a, Result<(), NetworkError>> {
        Box::pin(async move {
            let gateway = endpoint.gateway.filter(|_| endpoint.is_gateway).map(IpAddr::V4);
            let gateway6 = endpoint.gateway6.filter(|_| endpoint.is_gateway6).map(IpAddr::V6);
            let gateways: Vec<IpAddr> = gateway.into_iter().chain(gateway6).collect();
            let (id, interface) = (container.to_owned(), endpoint.interface.clone());
            let routed = self.blocking(move |inner| {
                let mut sandbox = inner.enter(&id, pid)?;
                gateways.into_iter().try_for_each(|gateway| sandbox.route_via(&interface, gateway))
            });
            routed.await.map_err(convert)
        })
    }

    fn name(&self, named: Named) -> BoxFuture<'_, Result<(), NetworkError>> {
        Box::pin(async move {
            let names = &self.inner.names;
            let told = match names.is_ready() && names.knows(&named.container) {
                true => names.name(named),
                false => self.waiting(move |inner| inner.names.name(named)).await,
            };
            told.map_err(|error| names::failed(&error))
        })
    }

    fn adopt_names(&self, running: Vec<Named>) -> BoxFuture<'_, Result<(), NetworkError>> {
        Box::pin(async move {
            let adopted = self.waiting(move |inner| inner.names.adopt(running)).await;
            adopted.map_err(|error| names::failed(&error))
        })
    }

    fn publish<'a>(
        &'a self,
        container: &'a str,
        to: Reach,
        wishes: Vec<PortWish>,
    ) -> BoxFuture<'a, Result<PublishedPorts, NetworkError>> {
        Box::pin(async move { self.publish_at(container, reach(to), wishes).await.map_err(convert) })
    }

    fn reserve_ports(
        &self,
        to: Reach,
        wishes: Vec<PortWish>,
    ) -> BoxFuture<'_, Result<PublishedPorts, NetworkError>> {
        Box::pin(async move { self.reserve(reach(to), wishes).await.map_err(convert) })
    }

    fn give_up_ports(&self, mappings: Vec<PortMapping>) -> BoxFuture<'_, ()> {
        Box::pin(async move { self.inner.fabric.give_up_ports(&ports::net_mappings(mappings)) })
    }

    fn set_ports<'a>(
        &'a self,
        container: &'a str,
        to: Reach,
        mappings: Vec<PortMapping>,
    ) -> BoxFuture<'a, Result<(), NetworkError>> {
        Box::pin(async move {
            self.inner.fabric.set_ports(container, reach(to), &ports::net_mappings(mappings)).map_err(convert)
        })
    }

    fn hold_ports(&self, mappings: Vec<PortMapping>) -> BoxFuture<'_, Result<Option<OwnedFd>, NetworkError>> {
        Box::pin(async move {
            let mappings = ports::net_mappings(mappings);
            self.blocking(move |inner| inner.fabric.hold_ports(&mappings)).await.map_err(convert)
        })
    }

    fn unpublish<'a>(&'a self, container: &'a str) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if let Err(error) = self.inner.fabric.unpublish(container) {
                tracing::warn!(%container, %error, "could not take back its published ports");
            }
        })
    }

    fn open_links<'a>(
        &'a self,
        container: &'a str,
        from: Option<Ipv4Addr>,
        to: Vec<(Ipv4Addr, Vec<(u16, PortProtocol)>)>,
    ) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let all = from.into_iter().flat_map(|from| {
                let one = move |(to, opened): &(Ipv4Addr, Vec<(u16, PortProtocol)>)| {
                    let to = *to;
                    let open = |(port, protocol): &(u16, PortProtocol)| net::Opening {
                        from,
                        to,
                        protocol: ports::net_protocol(*protocol),
                        port: *port,
                    };
                    opened.iter().map(open).collect::<Vec<_>>()
                };
                to.iter().flat_map(one).collect::<Vec<_>>()
            });
            if let Err(error) = self.inner.fabric.open(container, all.collect()) {
                tracing::warn!(%container, %error, "could not open what its links need");
            }
        })
    }

    fn adopt_ports(
        &self,
        running: Vec<(String, Reach, Vec<PortMapping>)>,
    ) -> BoxFuture<'_, Result<(), NetworkError>> {
        Box::pin(async move {
            let adopted = running
                .into_iter()
                .map(|(container, to, mappings)| (container, reach(to), ports::net_mappings(mappings)));
            self.inner.fabric.adopt_ports(adopted.collect()).map_err(convert)
        })
    }

    fn on_repair(&self, tell: Box<dyn Fn(Vec<String>) + Send + Sync>) {
        self.inner.repairs.tell(tell);
    }

    fn on_lost(&self, tell: TellLost) {
        self.tell_lost(tell);
    }

    fn reconnect<'a>(
        &'a self,
        container: &'a str,
        pid: u32,
        request: &'a EndpointRequest,
    ) -> BoxFuture<'a, Result<bool, NetworkError>> {
        Box::pin(self.make_again(container, pid, request))
    }

    fn facts(&self) -> NetworkFacts {
        let Inner { fabric, network_id, inter_container, masquerade, warnings, .. } = &*self.inner;
        let firewall_backend = if fabric.has_firewall() { "nftables" } else { "none" }.to_owned();
        let facts = NetworkFacts {
            network_id: network_id.clone(),
            inter_container: *inter_container,
            masquerade: *masquerade,
            firewall_backend,
            respects_host: fabric.respects_host(),
            warnings: warnings.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            ..NetworkFacts::default()
        };
        let Some(bridge) = fabric.facts() else { return facts };
        NetworkFacts {
            bridge: Some(bridge.bridge),
            subnet: bridge.address.map(|address| address.trunc().to_string()),
            range: bridge.range.map(|range| range.trunc().to_string()),
            address: bridge.address.map(|address| address.addr().into()),
            gateway: bridge.gateway.map(IpAddr::V4),
            subnet6: bridge.address6.map(|address| address.trunc().to_string()),
            range6: bridge.range6.map(|range| range.trunc().to_string()),
            address6: bridge.address6.map(|address| address.addr().into()),
            gateway6: bridge.gateway6.map(IpAddr::V6),
            mtu: bridge.mtu,
            ..facts
        }
    }
}

#[cfg(test)]
mod tests;

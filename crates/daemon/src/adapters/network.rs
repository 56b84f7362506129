//! The engine's network port, over `net`.
//!
//! A start takes a prepared sandbox and gives it its address: a few hundred microseconds of system calls that
//! do not wait for anybody, so they run where they are called. Only when no sandbox is ready does a thread of the
//! runtime's blocking pool wait for one; the namespaces themselves are made by `net`'s own thread.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use engine::ports::{BoxFuture, Endpoint, NetworkError, NetworkFabric, NetworkFacts, Sandbox, SandboxKind};
use net::{Address, Desired, Fabric, Mac, Pool};

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
    /// Brings the default network up in the calling thread's network namespace; `None` is `--bridge none`.
    /// `network_id` is the 64-digit id that the default network keeps over restarts.
    ///
    /// # Errors
    ///
    /// A configuration that this host cannot fulfil, a kernel without nftables, missing privilege.
    pub fn start(desired: Option<Desired>, network_id: String) -> Result<Self, NetworkError> {
        let fabric =
            desired.map(|desired| Fabric::start(desired, report_mended)).transpose().map_err(convert)?;
        if let Some(facts) = fabric.as_ref().map(Fabric::facts) {
            for change in &facts.changes {
                tracing::info!("network: {change}");
            }
            for warning in &facts.warnings {
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
        mac: Option<&str>,
        ipv4: Option<Ipv4Addr>,
    ) -> Result<Sandbox, NetworkError> {
        let Some(fabric) = &self.inner.fabric else {
            let message = "network bridge not found: the engine runs with --bridge=none".to_owned();
            return Err(NetworkError { unsupported: true, message });
        };
        let mac: Option<Mac> = mac.filter(|m| !m.is_empty()).map(str::parse).transpose().map_err(convert)?;
        let taken = match fabric.try_take(ipv4, mac) {
            Ok(Some(taken)) => Ok(taken),
            Ok(None) => {
                let inner = Arc::clone(&self.inner);
                blocking(move || match &inner.fabric {
                    Some(fabric) => fabric.take(ipv4, mac),
                    None => Err(net::Error::ShutDown),
                })
                .await
            }
            Err(error) => Err(error),
        };
        let (sandbox, address) = taken.map_err(|error| match error {
            // As Docker, which names the network.
            net::Error::AddressesExhausted(_) => NetworkError {
                unsupported: false,
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
            endpoint: Some(self.endpoint(&address, random_id()?)),
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
        Ok(Sandbox { netns: sandbox.into_netns(), sandbox_id: random_id()?, endpoint: None })
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
        }
    }
}

impl Inner {
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
        kind: &'a SandboxKind,
    ) -> BoxFuture<'a, Result<Sandbox, NetworkError>> {
        Box::pin(async move {
            match kind {
                SandboxKind::Bridge { mac, ipv4 } => {
                    self.take_bridged(container, mac.as_deref(), *ipv4).await
                }
                SandboxKind::None => self.take_isolated().await,
            }
        })
    }

    fn release<'a>(&'a self, container: &'a str, endpoint: Option<&'a Endpoint>) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let Some((fabric, ip)) = self.inner.fabric.as_ref().zip(endpoint.and_then(|e| e.ipv4)) else {
                return;
            };
            let mut owners = self.inner.owners();
            if owners.get(&ip).is_some_and(|owner| owner == container) {
                owners.remove(&ip);
                fabric.give_back(ip);
            }
        })
    }

    fn reconcile(&self, running: Vec<(String, Endpoint)>) -> BoxFuture<'_, Result<(), NetworkError>> {
        Box::pin(async move {
            let Some(fabric) = &self.inner.fabric else { return Ok(()) };
            for (container, endpoint) in running {
                let Some(ip) = endpoint.ipv4 else { continue };
                match fabric.reclaim(ip) {
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

    fn facts(&self) -> NetworkFacts {
        let Some(fabric) = &self.inner.fabric else { return NetworkFacts::default() };
        let facts = fabric.facts();
        NetworkFacts {
            bridge: Some(facts.bridge.clone()),
            subnet: Some(facts.address.trunc().to_string()),
            gateway: Some(IpAddr::V4(facts.gateway)),
            mtu: facts.mtu,
            firewall_backend: if facts.firewall { "nftables" } else { "none" }.to_owned(),
            warnings: facts.warnings.clone(),
        }
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
    NetworkError { unsupported: error.is_permanent(), message: error.to_string() }
}

/// 32 random bytes in hex, Docker's form of an id.
fn random_id() -> Result<String, NetworkError> {
    let mut bytes = [0u8; 32];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|e| NetworkError { unsupported: false, message: format!("get random bytes: {e}") })?;
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
            let start = || Network::start(Some(Desired::default()), "ab".repeat(32)).unwrap();
            runtime.block_on(test(&start));
        };
        std::thread::spawn(body).join().unwrap();
    }

    const BRIDGE: SandboxKind = SandboxKind::Bridge { mac: None, ipv4: None };

    #[test]
    fn addresses_are_given_and_returned_once() {
        on_a_host(async |start| {
            let network = start();
            let first = network.take("a", &BRIDGE).await.unwrap().endpoint.unwrap();
            assert_eq!(first.ipv4, Some(Ipv4Addr::new(172, 17, 0, 2)));
            assert_eq!((first.mac.as_str(), first.ipv4_prefix), ("02:42:ac:11:00:02", 16));
            assert_eq!(first.gateway, Some(Ipv4Addr::new(172, 17, 0, 1)));
            assert_eq!(first.endpoint_id.len(), 64);
            network.release("a", Some(&first)).await;
            let second = network.take("b", &BRIDGE).await.unwrap().endpoint.unwrap();
            assert_eq!(second.ipv4, first.ipv4);
            // A late second release of the first container.
            network.release("a", Some(&first)).await;
            let third = network.take("c", &BRIDGE).await.unwrap().endpoint.unwrap();
            assert_eq!(third.ipv4, Some(Ipv4Addr::new(172, 17, 0, 3)));
        });
    }

    #[test]
    fn a_restarted_engine_learns_who_has_what() {
        on_a_host(async |start| {
            let network = start();
            let running = network.take("a", &BRIDGE).await.unwrap();
            let endpoint = running.endpoint.clone().unwrap();
            drop(network);
            let network = start();
            network.reconcile(vec![("a".into(), endpoint.clone())]).await.unwrap();
            let next = network.take("b", &BRIDGE).await.unwrap().endpoint.unwrap();
            assert_eq!(next.ipv4, Some(Ipv4Addr::new(172, 17, 0, 3)));
            network.release("a", Some(&endpoint)).await;
            let next = network.take("c", &BRIDGE).await.unwrap().endpoint.unwrap();
            assert_eq!(next.ipv4, endpoint.ipv4);
        });
    }

    #[test]
    fn none_needs_no_bridge_and_bridge_says_so() {
        on_a_host(async |_| {
            let network = Network::start(None, String::new()).unwrap();
            assert_eq!(network.take("a", &SandboxKind::None).await.unwrap().endpoint, None);
            assert!(network.take("a", &BRIDGE).await.unwrap_err().unsupported);
            assert_eq!(network.facts().bridge, None);
        });
    }

    #[test]
    fn wishes_are_checked() {
        on_a_host(async |start| {
            let network = start();
            let wish = |mac: Option<&str>, ip: Option<Ipv4Addr>| SandboxKind::Bridge {
                mac: mac.map(str::to_owned),
                ipv4: ip,
            };
            let refused = network.take("a", &wish(Some("xx"), None)).await.unwrap_err();
            assert_eq!(refused.message, "invalid MAC address: xx");
            network.take("a", &wish(None, Some(Ipv4Addr::new(10, 0, 0, 1)))).await.unwrap_err();
            let ip = Ipv4Addr::new(172, 17, 9, 9);
            let given = network.take("a", &wish(Some("02:00:00:00:00:07"), Some(ip))).await.unwrap();
            let endpoint = given.endpoint.unwrap();
            assert_eq!((endpoint.mac.as_str(), endpoint.ipv4), ("02:00:00:00:00:07", Some(ip)));
        });
    }
}

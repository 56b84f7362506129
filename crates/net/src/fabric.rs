//! The default bridge with everything that belongs to it: firewall, addresses, and sandboxes ready to be taken.

use std::net::Ipv4Addr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ipnet::Ipv4Net;

use crate::apply::apply;
use crate::desired::Desired;
use crate::error::{Error, Result};
use crate::ipam::Ipam;
use crate::mac::{Mac, mac_from_ipv4};
use crate::netlink::Socket;
use crate::observe::observe_with;
use crate::plan::{Plan, plan};
use crate::pool::Pool;
use crate::sandbox::{Address, Attachment, Sandbox};
use crate::watch::Watcher;

/// How many sandboxes are held ready: with the bridge, and with loopback only.
const BRIDGED_READY: usize = 4;
const ISOLATED_READY: usize = 1;

/// What is known about the bridge after the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FabricFacts {
    pub bridge: String,
    /// The bridge's own address with the subnet's prefix.
    pub address: Ipv4Net,
    /// What containers get as their gateway.
    pub gateway: Ipv4Addr,
    pub mtu: u32,
    /// Whether the firewall is ours.
    pub firewall: bool,
    /// What the start changed on this host, one line each.
    pub changes: Vec<String>,
    pub warnings: Vec<String>,
}

/// The running default network of one engine.
#[derive(Debug)]
pub struct Fabric {
    facts: FabricFacts,
    /// Held for a bit operation only.
    ipam: Mutex<Ipam>,
    bridged: Pool,
    _watcher: Watcher,
}

impl Fabric {
    /// Observes, plans, applies, and starts to prepare sandboxes: in the calling thread's network namespace.
    /// `mended` is told from another thread what had to be put back later, because somebody took it away.
    ///
    /// # Errors
    ///
    /// A configuration that this host cannot fulfil, a kernel without nftables, missing privilege.
    pub fn start(desired: Desired, mended: impl Fn(Result<Plan>) + Send + 'static) -> Result<Self> {
        let bridge = desired.bridge.name.clone();
        Self::bring_up(desired, mended).map_err(|error| match error.errno() {
            Some(rustix::io::Errno::PERM | rustix::io::Errno::ACCESS) => {
                Error::NotPermitted { bridge, source: Box::new(error) }
            }
            _ => error,
        })
    }

    fn bring_up(desired: Desired, mended: impl Fn(Result<Plan>) + Send + 'static) -> Result<Self> {
        // One for all: the kernel lets who closes such a socket wait until all that was ever replaced is destroyed, a
        // grace period of RCU and the longest part of an engine's start.
        let mut nft = desired.firewall.is_some().then(Socket::netfilter).transpose()?;
        let observed = observe_with(&desired, nft.as_mut())?;
        let plan = plan(&desired, &observed)?;
        let mut ipam = Ipam::new(plan.address, desired.bridge.range)?;
        let gateway = desired.bridge.gateway.unwrap_or(plan.address.addr());
        if !plan.address.contains(&gateway) {
            return Err(Error::AddressOutside { address: gateway, subnet: plan.address.trunc().to_string() });
        }
        apply(&desired, &plan, nft.as_mut())?;
        ipam.take(plan.address.addr())?;
        if gateway != plan.address.addr() {
            ipam.take(gateway)?;
        }
        let attach = Attachment {
            bridge: desired.bridge.name.clone(),
            mtu: plan.mtu,
            isolated: !desired.bridge.inter_container,
        };
        let facts = FabricFacts {
            bridge: desired.bridge.name.clone(),
            address: plan.address,
            gateway,
            mtu: plan.mtu,
            firewall: desired.firewall.is_some(),
            changes: plan.steps.iter().map(ToString::to_string).collect(),
            warnings: plan.warnings.clone(),
        };
        let watcher = Watcher::start(desired, &plan, nft, mended)?;
        let bridged = Pool::start("wharf-sandboxes", Some(attach), BRIDGED_READY)?;
        Ok(Self { facts, ipam: Mutex::new(ipam), bridged, _watcher: watcher })
    }

    /// A pool of sandboxes with loopback only; needs no bridge.
    ///
    /// # Errors
    ///
    /// No thread, no `/proc`.
    pub fn isolated() -> Result<Pool> {
        Pool::start("wharf-isolated", None, ISOLATED_READY)
    }

    /// What was found and decided.
    pub fn facts(&self) -> &FabricFacts {
        &self.facts
    }

    /// How many sandboxes are ready.
    pub fn ready(&self) -> usize {
        self.bridged.ready()
    }

    /// Whether [`Fabric::take`] would not have to wait.
    pub fn is_ready(&self) -> bool {
        self.ready() > 0
    }

    /// A sandbox with an address, which is taken until [`Fabric::give_back`]. Waits for milliseconds if none is
    /// ready.
    ///
    /// # Errors
    ///
    /// No address, no sandbox; nothing is left behind then.
    pub fn take(&self, wanted: Option<Ipv4Addr>, mac: Option<Mac>) -> Result<(Sandbox, Address)> {
        let ip = self.claim(wanted)?;
        let sandbox = self.bridged.take().inspect_err(|_| self.give_back(ip))?;
        self.furnish(sandbox, ip, mac)
    }

    /// The same without waiting: `None` if no sandbox is ready.
    ///
    /// # Errors
    ///
    /// As [`Fabric::take`].
    pub fn try_take(&self, wanted: Option<Ipv4Addr>, mac: Option<Mac>) -> Result<Option<(Sandbox, Address)>> {
        let ip = self.claim(wanted)?;
        let Some(sandbox) = self.bridged.try_take() else {
            self.give_back(ip);
            return Ok(None);
        };
        self.furnish(sandbox, ip, mac).map(Some)
    }

    /// Sandboxes are going to be needed: after a failure, tries again to prepare them.
    pub fn nudge(&self) {
        self.bridged.nudge();
    }

    /// First of all: where no address is left, no sandbox is used up.
    fn claim(&self, wanted: Option<Ipv4Addr>) -> Result<Ipv4Addr> {
        let mut ipam = self.ipam();
        match wanted {
            Some(ip) => ipam.take(ip).map(|()| ip),
            None => ipam.take_next(),
        }
    }

    fn furnish(&self, mut sandbox: Sandbox, ip: Ipv4Addr, mac: Option<Mac>) -> Result<(Sandbox, Address)> {
        let assigned = Ipv4Net::new(ip, self.facts.address.prefix_len())
            .map_err(|e| Error::Config(e.to_string()))
            .map(|ipv4| Address {
                ipv4,
                mac: mac.unwrap_or_else(|| mac_from_ipv4(ip)),
                gateway: Some(self.facts.gateway),
            })
            .and_then(|address| sandbox.assign(&address).map(|()| address));
        match assigned {
            Ok(address) => Ok((sandbox, address)),
            Err(e) => {
                self.give_back(ip);
                Err(e)
            }
        }
    }

    /// Gives an address back. Twice is no error.
    pub fn give_back(&self, ip: Ipv4Addr) {
        if ip != self.facts.address.addr() && ip != self.facts.gateway {
            self.ipam().give_back(ip);
        }
    }

    /// After an engine's restart: a running container has this address.
    ///
    /// # Errors
    ///
    /// It is another's, or not of the bridge's subnet.
    pub fn reclaim(&self, ip: Ipv4Addr) -> Result<()> {
        self.ipam().take(ip)
    }

    fn ipam(&self) -> MutexGuard<'_, Ipam> {
        self.ipam.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Puts back what somebody takes away while the engine runs: the firewall's table (`nft flush ruleset`, a reload of
//! ufw), and the bridge with its ports (`ip link del docker0`).
//!
//! One thread, which sleeps until nftables changes or a link is removed. It compares and carries out a plan like the
//! engine's start. What an administrator does *to* the bridge, as setting it down, is left alone until the next start.

use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;

use crate::apply::apply;
use crate::desired::Desired;
use crate::error::{Error, Result};
use crate::firewall;
use crate::forward;
use crate::netlink::Socket;
use crate::observe::observe_with;
use crate::plan::{Plan, Step, plan};
use crate::published::Published;
use crate::state::{State, lock};

/// How often it lets itself be told of changes: a burst of them is looked at once, and somebody who flushes in a
/// loop is not fought with all our strength.
const SETTLE: Duration = Duration::from_millis(20);

/// The thread. Dropping it ends the watch.
pub(crate) struct Watcher {
    stop: OwnedFd,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher").finish_non_exhaustive()
    }
}

impl Watcher {
    /// Watches the caller's network namespace for what `state` says. `mended` is called after every repair, with what
    /// went wrong if it failed.
    pub(crate) fn start(
        state: Arc<Mutex<State>>,
        mended: impl Fn(Result<Plan>) + Send + 'static,
    ) -> Result<Self> {
        let mut sources = vec![Socket::link_removals()?];
        if lock(&state).nft.is_some() {
            sources.push(Socket::netfilter_events()?);
        }
        let watch = Watch { state };
        let stop = eventfd(0, EventfdFlags::CLOEXEC).map_err(|e| Error::kernel("make an eventfd", e))?;
        let stopped = stop.try_clone().map_err(|e| Error::kernel("copy an eventfd", e))?;
        let thread = std::thread::Builder::new()
            .name("wharf-network".to_owned())
            .stack_size(128 * 1024)
            .spawn(move || watch.run(&stopped, sources, mended))
            .map_err(|e| Error::kernel("start the network's watching thread", e))?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let _ = rustix::io::write(&self.stop, &1u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Watch {
    state: Arc<Mutex<State>>,
}

impl Watch {
    fn run(self, stop: &OwnedFd, mut sources: Vec<Socket>, mended: impl Fn(Result<Plan>)) {
        loop {
            let stop_fd = stop.as_fd();
            let fds: Vec<_> = sources.iter().map(AsFd::as_fd).collect();
            let mut polled: Vec<_> =
                std::iter::once(&stop_fd).chain(&fds).map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
            match poll(&mut polled, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return,
            }
            if !polled[0].revents().is_empty() {
                return;
            }
            drop(polled);
            drop(fds);
            let heard = sources.iter_mut().map(|source| source.drain(|_| ()).unwrap_or(true));
            // All of them are emptied.
            if heard.fold(false, |any, one| any | one) {
                let mut state = lock(&self.state);
                if !is_amiss(&mut state).unwrap_or(true) {
                    continue;
                }
                let result = mend(&mut state);
                drop(state);
                if !matches!(&result, Ok(plan) if plan.steps.is_empty()) {
                    mended(result);
                }
                std::thread::sleep(SETTLE);
            }
        }
    }
}

/// The cheap question.
fn is_amiss(state: &mut State) -> Result<bool> {
    let State { desired, links, nft, published, .. } = state;
    for bridge in &desired.bridges {
        if matches!(links.link_index(&bridge.name), Err(e) if e.errno() == Some(Errno::NODEV)) {
            return Ok(true);
        }
    }
    let Some(nft) = nft.as_mut().filter(|_| !desired.incomplete) else { return Ok(false) };
    let chains = forward::chains(nft)?;
    let shared = forward::shared(nft, &chains, |_| true)?;
    let lacks = desired.bridges.iter().any(|bridge| shared.lacks(&bridge.name));
    Ok(lacks || !is_complete(desired, published, nft)?)
}

fn mend(state: &mut State) -> Result<Plan> {
    let State { desired, guarded, links, nft, published } = state;
    let mut observed = observe_with(desired, links, nft.as_mut())?;
    observed.guarded |= *guarded;
    let mut plan = plan(desired, &observed)?;
    let is_missing = |bridge: &str| !observed.bridges.contains_key(bridge);
    plan.steps.retain(|step| match step {
        Step::ReplaceTable { .. } | Step::AmendForward { .. } => true,
        Step::RemoveBridge { .. } => false,
        Step::TurnOnForwarding => desired.bridges.iter().any(|bridge| is_missing(&bridge.name)),
        Step::CreateBridge { name, .. }
        | Step::SetMtu { name, .. }
        | Step::RemoveAddress { name, .. }
        | Step::AddAddress { name, .. }
        | Step::IgnoreRouters { name }
        | Step::SetUp { name } => is_missing(name),
        Step::Reconnect { bridge, .. } => is_missing(bridge),
    });
    if let Some(nft) = nft
        && is_complete(desired, published, nft)?
    {
        plan.steps.retain(|step| !matches!(step, Step::ReplaceTable { .. }));
    }
    apply(desired, &plan, published, links, nft.as_mut())?;
    Ok(plan)
}

/// Rules, networks and published ports.
fn is_complete(desired: &Desired, published: &Published, nft: &mut Socket) -> Result<bool> {
    Ok(firewall::is_complete(desired, nft)? && published.is_complete(desired, nft)?)
}

//! Puts back what somebody takes away while the engine runs: the firewall's table (`nft flush ruleset`, a reload of
//! ufw), and the bridge with its ports (`ip link del docker0`).
//!
//! One thread, which sleeps until nftables changes or a link is removed. It compares and carries out a plan like the
//! engine's start. What an administrator does *to* the bridge, as setting it down, is left alone until the next start.

use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
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
    /// Watches the caller's network namespace for what `plan` has made; `questions` is the netfilter socket to ask
    /// over, if the firewall is ours. `mended` is called after every repair, with what went wrong if it failed.
    pub(crate) fn start(
        mut desired: Desired,
        plan: &Plan,
        questions: Option<Socket>,
        mended: impl Fn(Result<Plan>) + Send + 'static,
    ) -> Result<Self> {
        // What the start has chosen holds until the next one.
        desired.bridge.address = Some(plan.address);
        desired.bridge.mtu = Some(plan.mtu);
        let guarded = plan.steps.iter().any(|step| matches!(step, Step::ReplaceTable { guard: true, .. }));
        let mut sources = vec![Socket::link_removals()?];
        if questions.is_some() {
            sources.push(Socket::netfilter_events()?);
        }
        let watch = Watch { desired, guarded, links: Socket::route()?, questions };
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
    desired: Desired,
    guarded: bool,
    links: Socket,
    questions: Option<Socket>,
}

impl Watch {
    fn run(mut self, stop: &OwnedFd, mut sources: Vec<Socket>, mended: impl Fn(Result<Plan>)) {
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
            if heard.fold(false, |any, one| any | one) && self.is_amiss().unwrap_or(true) {
                let result = self.mend();
                if !matches!(&result, Ok(plan) if plan.steps.is_empty()) {
                    mended(result);
                }
                std::thread::sleep(SETTLE);
            }
        }
    }

    /// The cheap question.
    fn is_amiss(&mut self) -> Result<bool> {
        let bridge = &self.desired.bridge.name;
        if matches!(self.links.link_index(bridge), Err(e) if e.errno() == Some(Errno::NODEV)) {
            return Ok(true);
        }
        let Some(nft) = &mut self.questions else { return Ok(false) };
        let chains = forward::chains(nft)?;
        let shared = forward::shared(nft, &chains, bridge, |_| true)?;
        Ok(shared.lacks_ours() || !firewall::is_complete(&self.desired, nft)?)
    }

    fn mend(&mut self) -> Result<Plan> {
        let mut observed = observe_with(&self.desired, self.questions.as_mut())?;
        observed.guarded |= self.guarded;
        let mut plan = plan(&self.desired, &observed)?;
        if observed.bridge.is_some() {
            plan.steps.retain(|step| matches!(step, Step::ReplaceTable { .. } | Step::AmendForward { .. }));
        }
        if let Some(nft) = &mut self.questions
            && firewall::is_complete(&self.desired, nft)?
        {
            plan.steps.retain(|step| !matches!(step, Step::ReplaceTable { .. }));
        }
        apply(&self.desired, &plan, self.questions.as_mut())?;
        Ok(plan)
    }
}

//! Puts back what somebody takes away while the engine runs: the firewall's table (`nft flush ruleset`, a reload of
//! ufw), and the bridge with its ports (`ip link del docker0`). Ports of containers that go are told to whoever knows
//! whether their containers go, too.
//!
//! One thread, which sleeps until nftables changes or a link is removed. It compares and carries out a plan like the
//! engine's start. What an administrator does *to* the bridge, as setting it down, is left alone until the next start.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;

use crate::apply::apply;
use crate::desired::Desired;
use crate::error::{Error, Result};
use crate::firewall::{self, Guard};
use crate::forward;
use crate::netlink::Socket;
use crate::netlink::route::link_of;
use crate::nft;
use crate::observe::observe_with;
use crate::plan::{Plan, Step, plan};
use crate::published::Published;
use crate::respect::{self, Respect};
use crate::sandbox;
use crate::state::{State, lock};
use crate::version::Version;

/// How often it looks at most: a burst of changes is looked at once.
const SETTLE: Duration = Duration::from_millis(20);
/// Somebody who takes things away in a loop is not fought with all our strength: who was here less than this ago is left
/// twice as long each time, up to the last.
const PEACE: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_millis(640);

/// Whom to tell which links are gone that were ports of bridges of ours.
pub(crate) type TellLost = Box<dyn Fn(Vec<String>) + Send + Sync>;

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
        lost: Arc<OnceLock<TellLost>>,
        mended: impl Fn(Result<Plan>) + Send + 'static,
    ) -> Result<Self> {
        let links = Socket::link_removals()?;
        let own = lock(&state).nft.as_ref().map(Socket::port).transpose()?;
        let tables = own.map(|own| Ok::<_, Error>((Socket::netfilter_events()?, own))).transpose()?;
        let watch = Watch { state, links, tables, lost };
        let stop = eventfd(0, EventfdFlags::CLOEXEC).map_err(|e| Error::kernel("make an eventfd", e))?;
        let stopped = stop.try_clone().map_err(|e| Error::kernel("copy an eventfd", e))?;
        let thread = std::thread::Builder::new()
            .name("wharf-network".to_owned())
            .stack_size(128 * 1024)
            .spawn(move || watch.run(&stopped, mended))
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
    links: Socket,
    /// With the port of our own socket, whose changes are no news.
    tables: Option<(Socket, u32)>,
    lost: Arc<OnceLock<TellLost>>,
}

impl Watch {
    fn run(mut self, stop: &OwnedFd, mended: impl Fn(Result<Plan>)) {
        let (mut pause, mut last) = (SETTLE, None::<Instant>);
        while let Some(()) = self.wait(stop) {
            if self.concerns_us() {
                let mut state = lock(&self.state);
                if is_amiss(&mut state).unwrap_or(true) {
                    let result = mend(&mut state);
                    drop(state);
                    if !matches!(&result, Ok(plan) if plan.steps.is_empty()) {
                        mended(result);
                    }
                    let again = last.replace(Instant::now()).is_some_and(|last| last.elapsed() < PEACE);
                    pause = if again { (pause * 2).min(PATIENCE) } else { SETTLE };
                }
            }
            if is_readable(&[stop.as_fd()], Some(pause)) {
                return;
            }
        }
    }

    /// Until there is news; `None`: the end.
    fn wait(&self, stop: &OwnedFd) -> Option<()> {
        let tables = self.tables.as_ref().map(|(socket, _)| socket.as_fd());
        let fds: Vec<_> = [stop.as_fd(), self.links.as_fd()].into_iter().chain(tables).collect();
        while !is_readable(&fds, None) {}
        (!is_readable(&fds[..1], Some(Duration::ZERO))).then_some(())
    }

    /// Takes the news. Changes of our own, and of what is others', are none.
    fn concerns_us(&mut self) -> bool {
        let mut all = Vec::new();
        let lost = self.links.drain(|event| all.extend(link_of(&event)));
        let mut concerns = lost.unwrap_or(true);
        let is_port = |alias: &Option<String>| alias.as_deref().is_some_and(sandbox::is_mark);
        let (ports, gone): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, alias)| is_port(alias));
        if let Some(tell) = self.lost.get().filter(|_| !ports.is_empty()) {
            tell(ports.into_iter().map(|(name, _)| name).collect());
        }
        let gone: Vec<String> = gone.into_iter().map(|(name, _)| name).collect();
        let table = {
            let state = lock(&self.state);
            concerns |= state.desired.bridges.iter().any(|bridge| gone.contains(&bridge.name));
            concerns |= respect::links(&state.desired.owner).iter().any(|link| gone.contains(link));
            state.desired.firewall.as_ref().map(|config| config.table.clone())
        };
        if let Some(((socket, own), table)) = self.tables.as_mut().zip(table) {
            let lost = socket.drain(|event| {
                if event.port != *own
                    && let Some((family, name)) = nft::table_of(&event)
                {
                    concerns |= name == table || forward::is_table(family, &name);
                }
            });
            concerns |= lost.unwrap_or(true);
        }
        concerns
    }
}

fn is_readable(fds: &[BorrowedFd<'_>], patience: Option<Duration>) -> bool {
    let mut polled: Vec<_> = fds.iter().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
    let patience = patience.and_then(|patience| Timespec::try_from(patience).ok());
    poll(&mut polled, patience.as_ref()).is_ok_and(|ready| ready > 0)
}

/// The cheap question.
fn is_amiss(state: &mut State) -> Result<bool> {
    let State { desired, guarded, links, nft, published } = state;
    for bridge in desired.bridges.iter().filter(|bridge| bridge.over.is_none()) {
        if matches!(links.link_index(&bridge.name), Err(e) if e.errno() == Some(Errno::NODEV)) {
            return Ok(true);
        }
    }
    let Some(nft) = nft.as_mut().filter(|_| !desired.incomplete) else { return Ok(false) };
    let chains = forward::chains(nft)?;
    let shared = forward::shared(nft, &chains, Version::V4, |_| true)?;
    let shared6 = forward::shared(nft, &chains, Version::V6, |_| true)?;
    let lacks = desired
        .bridges
        .iter()
        .filter(|bridge| bridge.over.is_none())
        .any(|bridge| shared.lacks(&bridge.name) || bridge.ipv6.is_some() && shared6.lacks(&bridge.name));
    if desired.firewall.as_ref().is_some_and(|config| config.respect)
        && respect::observe(desired, links, nft)? != Respect::Whole
    {
        return Ok(true);
    }
    let is_other = firewall::guard(&chains, desired) != guarded.within(desired);
    Ok(lacks || is_other || !is_complete(desired, *guarded, published, nft)?)
}

fn mend(state: &mut State) -> Result<Plan> {
    let State { desired, guarded, links, nft, published } = state;
    let mut observed = observe_with(desired, links, nft.as_mut())?;
    // We know better than who may have changed it.
    let found = Guard { ipv4: observed.guarded, ipv6: observed.guarded6 };
    let is_other = found != guarded.within(desired);
    (observed.guarded, observed.guarded6) = (guarded.ipv4, guarded.ipv6);
    let mut plan = plan(desired, &observed)?;
    let is_missing = |bridge: &str| {
        let is_ours = desired.bridges.iter().any(|config| config.over.is_none() && config.name == bridge);
        is_ours && !observed.bridges.contains_key(bridge)
    };
    plan.steps.retain(|step| match step {
        Step::ReplaceTable { .. } | Step::AmendForward { .. } | Step::AskHost | Step::AskNobody => true,
        // Links of the host's are its administrator's.
        Step::RemoveBridge { .. } | Step::CreateDummy { .. } | Step::CreateVlan { .. } => false,
        Step::TurnOnForwarding | Step::KeepHearing { .. } | Step::TurnOnForwarding6 => {
            desired.bridges.iter().any(|bridge| is_missing(&bridge.name))
        }
        Step::CreateBridge { name, .. }
        | Step::SetMtu { name, .. }
        | Step::RemoveAddress { name, .. }
        | Step::AddAddress { name, .. }
        | Step::SwitchOnIpv6 { name }
        | Step::IgnoreRouters { name }
        | Step::SetUp { name } => is_missing(name),
        Step::Reconnect { bridge, .. } => is_missing(bridge),
    });
    if let Some(nft) = nft
        && !is_other
        && is_complete(desired, *guarded, published, nft)?
    {
        plan.steps.retain(|step| !matches!(step, Step::ReplaceTable { .. }));
    }
    apply(desired, &plan, published, links, nft.as_mut())?;
    plan.warnings.clear();
    let lost = published.memory().take_lost();
    if lost > 0 {
        plan.warnings.push(format!(
            "{lost} rules of the administrator's in chain admin went with the table, and cannot be put back: they name \
             sets or other chains (docs/firewall.md says where such rules stay)"
        ));
    }
    Ok(plan)
}

/// Rules, networks and published ports.
fn is_complete(desired: &Desired, guard: Guard, published: &mut Published, nft: &mut Socket) -> Result<bool> {
    Ok(firewall::is_complete(desired, guard, nft)? && published.is_complete(desired, nft)?)
}

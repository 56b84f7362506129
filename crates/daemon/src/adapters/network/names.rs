//! What containers are called, over `resolver`: one process for all of them, which outlives the engine.
//!
//! It is started by the first container that needs it. Here stands what it was told, so that another one can be told the
//! same when it dies; and when it is the engine that died, what it listens at is kept, and only the names are told anew.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::Child;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine::Class;
use engine::ports::{Endpoint, NameRules, Named, NetworkError};
use net::DnsSockets;
use resolver::client::{Client, Ears};
use resolver::protocol::{Member, Place};

use super::legs::netns_of;

/// Between attempts to start another one.
const PAUSE: Duration = Duration::from_millis(200);

/// The engine's end of the conversation.
#[derive(Debug, Clone)]
pub(super) struct Names(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    exec_root: PathBuf,
    /// Held for a message; for as long as it takes to start a process when there is none.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    client: Option<Client>,
    /// How many there were, so that the end of one is not taken for that of the next.
    count: u64,
    known: HashMap<String, Known>,
}

#[derive(Debug)]
struct Known {
    member: Member,
    life: Life,
}

#[derive(Debug)]
enum Life {
    /// Its process is being made; the network namespace.
    Begun(OwnedFd),
    /// Its process.
    Runs(u32),
}

impl Names {
    pub(super) fn new(exec_root: PathBuf) -> Self {
        Self(Arc::new(Shared { exec_root, state: Mutex::default() }))
    }

    /// Whether telling it something is no more than that.
    pub(super) fn is_ready(&self) -> bool {
        self.0.lock().client.is_some()
    }

    pub(super) fn knows(&self, container: &str) -> bool {
        self.0.lock().known.contains_key(container)
    }

    /// Its process is going to be made in this namespace, where names are asked for at `dns`.
    pub(super) fn begin(&self, member: Member, dns: Option<DnsSockets>, netns: OwnedFd) -> io::Result<()> {
        let mut state = self.0.lock();
        let id = member.id.clone();
        let known = Known { member, life: Life::Begun(netns) };
        let told =
            state.client.as_ref().zip(dns).is_some_and(|(client, dns)| tell(client, &known, &dns).is_ok());
        state.known.insert(id.clone(), known);
        if told {
            return Ok(());
        }
        let told = self.0.renew(&mut state);
        told.inspect_err(|_| drop(state.known.remove(&id)))
    }

    /// What a running container is called.
    pub(super) fn name(&self, named: Named) -> io::Result<()> {
        let Named { container: id, pid, endpoints, rules } = named;
        let mut state = self.0.lock();
        let State { client, known, .. } = &mut *state;
        let member = member(&id, &endpoints, rules);
        let is_new = !known.contains_key(&id);
        if is_new && member.places.is_empty() {
            return Ok(());
        }
        let life = Life::Runs(pid);
        let before = known.insert(id.clone(), Known { member, life });
        let one = &known[&id];
        let told = client.as_ref().is_some_and(|client| match before.map(|before| before.life) {
            None => introduce(client, one).is_ok(),
            Some(Life::Begun(_)) => {
                client.put(&one.member, None).and_then(|()| watch(client, &id, pid)).is_ok()
            }
            Some(Life::Runs(_)) => client.put(&one.member, None).is_ok(),
        });
        if told { Ok(()) } else { self.0.renew(&mut state) }
    }

    pub(super) fn forget(&self, container: &str) {
        let mut state = self.0.lock();
        let State { client, known, .. } = &mut *state;
        if known.remove(container).is_some()
            && let Some(client) = client
        {
            // An error is its end, and who comes next is not told of this container.
            let _ = client.forget(container);
        }
    }

    /// At boot.
    pub(super) fn adopt(&self, running: Vec<Named>) -> io::Result<()> {
        let mut state = self.0.lock();
        for Named { container, pid, endpoints, rules } in running {
            let known = Known { member: member(&container, &endpoints, rules), life: Life::Runs(pid) };
            state.known.insert(container, known);
        }
        if !state.known.is_empty() {
            return self.0.renew(&mut state);
        }
        // There may be one whose containers are gone, or one that is older than this engine.
        if let Some((client, _)) = Client::connect(&self.0.exec_root)? {
            client.rest()?;
        }
        Ok(())
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds the one that runs, or starts one, and tells it everything.
    fn renew(self: &Arc<Self>, state: &mut State) -> io::Result<()> {
        if let Some(before) = state.client.take() {
            // Whoever waits for its end waits for this, too.
            before.hang_up();
        }
        let (client, serves, child) = match Client::connect(&self.exec_root)? {
            Some((client, serves)) => (client, serves, None),
            None => {
                let (client, child) = Client::start(&self.exec_root)?;
                (client, HashSet::new(), Some(child))
            }
        };
        // All names first: one that is not known yet would be said not to be.
        state.known.values().try_for_each(|known| client.put(&known.member, None))?;
        for (id, known) in &state.known {
            let told = match (&known.life, serves.contains(id)) {
                (Life::Runs(pid), true) => watch(&client, id, *pid),
                _ => introduce(&client, known),
            };
            // It may be ending just now.
            if let Err(error) = told {
                tracing::warn!(container = %id, %error, "it cannot ask for names");
            }
        }
        client.rest()?;
        state.count += 1;
        self.await_end(&client, child, state.count)?;
        state.client = Some(client);
        Ok(())
    }

    /// In a thread of its own, which is nearly always asleep.
    fn await_end(self: &Arc<Self>, client: &Client, child: Option<Child>, count: u64) -> io::Result<()> {
        let (watch, shared) = (client.watch()?, Arc::clone(self));
        let body = move || {
            watch.wait();
            // Without the lock: it may take a moment to be gone.
            if let Some(mut child) = child {
                let _ = child.wait();
            }
            let mut state = shared.lock();
            if state.count != count {
                return;
            }
            state.client = None;
            tracing::warn!("the resolver has died; starting another");
            while let Err(error) = shared.renew(&mut state) {
                tracing::error!(%error, "could not start another resolver");
                drop(state);
                std::thread::sleep(PAUSE);
                state = shared.lock();
                if state.client.is_some() || state.known.is_empty() {
                    return;
                }
            }
        };
        std::thread::Builder::new()
            .name("wharf-names".to_owned())
            .stack_size(256 * 1024)
            .spawn(body)
            .map(drop)
    }
}

/// One in which it does not listen yet.
fn introduce(client: &Client, known: &Known) -> io::Result<()> {
    let id = &known.member.id;
    let netns = match &known.life {
        Life::Begun(netns) => netns.try_clone()?,
        Life::Runs(pid) => netns_of(id, *pid).map_err(io::Error::other)?,
    };
    let dns = DnsSockets::open_in(netns.try_clone()?).map_err(io::Error::other)?;
    let ears = Ears { udp: dns.udp.as_fd(), tcp: dns.tcp.as_fd(), netns: netns.as_fd() };
    client.put(&known.member, Some(ears))?;
    match known.life {
        Life::Begun(_) => Ok(()),
        Life::Runs(pid) => watch(client, id, pid),
    }
}

fn tell(client: &Client, known: &Known, dns: &DnsSockets) -> io::Result<()> {
    let Life::Begun(netns) = &known.life else { return Ok(()) };
    client.put(&known.member, Some(Ears { udp: dns.udp.as_fd(), tcp: dns.tcp.as_fd(), netns: netns.as_fd() }))
}

/// Has it let go of the container when this process ends.
fn watch(client: &Client, id: &str, pid: u32) -> io::Result<()> {
    let number = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    let number = number.ok_or_else(|| io::Error::other("no process"))?;
    let process = match rustix::process::pidfd_open(number, rustix::process::PidfdFlags::empty()) {
        // It has ended already, and is forgotten in a moment: nothing is wrong with the resolver.
        Err(rustix::io::Errno::SRCH) => return Ok(()),
        process => process?,
    };
    // Looked at afterwards: the number may have gone to another.
    if netns_of(id, pid).is_err() {
        return Ok(());
    }
    client.runs(id, process.as_fd())
}

/// A container as others see it.
pub(super) fn member(id: &str, endpoints: &[Endpoint], rules: NameRules) -> Member {
    let mut named: Vec<_> = endpoints.iter().filter(|endpoint| !endpoint.dns_names.is_empty()).collect();
    // Where its default route leads comes first.
    named.sort_by_key(|endpoint| (!endpoint.is_gateway, !endpoint.is_gateway6));
    let place = |endpoint: &&Endpoint| Place {
        network: endpoint.network_id.clone(),
        network_name: endpoint.network.clone(),
        ipv4: endpoint.ipv4,
        ipv6: endpoint.ipv6,
        names: endpoint.dns_names.clone(),
    };
    Member {
        id: id.to_owned(),
        places: named.iter().map(place).collect(),
        links: rules.links,
        servers: rules.servers,
        keeps_bare_names: rules.keeps_bare_names,
        leads_out: endpoints.iter().any(|endpoint| endpoint.is_gateway || endpoint.is_gateway6),
    }
}

pub(super) fn failed(error: &io::Error) -> NetworkError {
    NetworkError { class: Class::Internal, message: format!("names cannot be asked for: {error}") }
}

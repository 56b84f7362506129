//! What the containers do not know is asked elsewhere: of the host's servers, from the host, or of those that a
//! container was given (`--dns`), from the container's own namespace.
//!
//! A question goes on as it came, with an id of its own, from a port of its own. What comes back is believed when it
//! comes from that server and is about that question. The next server is asked, too, when one is slow or refuses; the
//! first good answer is the answer. All of it takes less time than clients wait.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, Query, ResponseCode};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, UdpSocket};
use tokio::task::JoinSet;

use crate::answer::{self, Question, random_u16};
use crate::cache::{Cache, Key};
use crate::host::Host;
use crate::protocol::Member;

/// Clients ask again after five seconds; they are to hear before.
const ALL_WAIT: Duration = Duration::from_secs(4);
/// A server that has said nothing for so long is asked together with the next.
const ONE_WAIT: Duration = Duration::from_millis(400);
/// Then the question may have been lost.
const SEND_AGAIN: Duration = Duration::from_millis(1200);
/// As `resolv.conf(5)`.
const SERVERS_MAX: usize = 3;
/// So long a server that did not answer in time is asked after the others.
const LAST: Duration = Duration::from_secs(30);
const PORT: u16 = 53;
/// Where containers ask us. Who is told to ask there instead of the host's servers is not sent in a circle.
const US: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11));

/// An answer, as it came and as it was understood.
type Heard = (Vec<u8>, Message);

/// Asks other servers.
#[derive(Debug)]
pub(crate) struct Forwarder {
    home: OwnedFd,
    port: u16,
    // Never held across an await.
    host: RefCell<Host>,
    cache: RefCell<Cache>,
    slow: RefCell<HashMap<SocketAddr, Instant>>,
}

impl Forwarder {
    /// In the host's network namespace.
    pub(crate) fn new() -> io::Result<Self> {
        let home = std::fs::File::open("/proc/thread-self/ns/net")?.into();
        Ok(Self {
            home,
            port: PORT,
            host: RefCell::default(),
            cache: RefCell::default(),
            slow: RefCell::default(),
        })
    }

    /// The answer for the client. `None`: nobody has one.
    pub(crate) async fn ask(
        self: &Rc<Self>,
        asker: &Member,
        netns: BorrowedFd<'_>,
        question: &Question,
        tcp: bool,
    ) -> Option<Vec<u8>> {
        let own = !asker.servers.is_empty();
        let servers: Vec<SocketAddr> = match own {
            true => {
                let others = asker.servers.iter().filter(|server| **server != US);
                others.map(|server| SocketAddr::new(*server, self.port)).collect()
            }
            // Who is kept from the world is not to reach it by questions.
            false if !asker.leads_out => return None,
            false => self.host.borrow_mut().servers(self.port).to_vec(),
        };
        let key = Key::of(question, servers.clone(), own.then(|| asker.id.clone()));
        let bytes_max = question.bytes_max(tcp);
        if let Some(kept) = self.cache.borrow().find(&key, question, Instant::now()) {
            return answer::write(kept, bytes_max);
        }
        let servers = self.in_order(servers);
        let (mut bytes, message) = self.race(servers, own.then_some(netns), question, tcp).await?;
        self.cache.borrow_mut().keep(key, &message, Instant::now());
        if bytes.len() > bytes_max {
            let mut message = message;
            message.metadata.id = question.message.metadata.id;
            return answer::write(message, bytes_max);
        }
        bytes[..2].copy_from_slice(&question.message.metadata.id.to_be_bytes());
        Some(bytes)
    }

    /// Those that answered in time come first.
    fn in_order(&self, mut servers: Vec<SocketAddr>) -> Vec<SocketAddr> {
        let mut slow = self.slow.borrow_mut();
        slow.retain(|_, since| since.elapsed() < LAST);
        servers.truncate(SERVERS_MAX);
        servers.sort_by_key(|server| slow.contains_key(server));
        servers
    }

    async fn race(
        self: &Rc<Self>,
        servers: Vec<SocketAddr>,
        netns: Option<BorrowedFd<'_>>,
        question: &Question,
        tcp: bool,
    ) -> Option<Heard> {
        let mut asked = JoinSet::<(SocketAddr, io::Result<Heard>)>::new();
        let mut silent = Vec::new();
        let mut next = servers.into_iter();
        let ends = tokio::time::sleep(ALL_WAIT);
        tokio::pin!(ends);
        let answer = loop {
            if let Some(server) = next.next() {
                match self.exchange(server, netns, question, tcp) {
                    Ok(exchange) => {
                        silent.push(server);
                        asked.spawn_local(async move { (server, exchange.await) });
                    }
                    // No such family here, say.
                    Err(_) => continue,
                }
            }
            if asked.is_empty() {
                break None;
            }
            tokio::select! {
                Some(Ok((server, answer))) = asked.join_next() => {
                    silent.retain(|other| *other != server);
                    let refuses = |message: &Message| {
                        matches!(message.metadata.response_code, ResponseCode::ServFail | ResponseCode::Refused)
                    };
                    if let Some(answer) = answer.ok().filter(|(_, message)| !refuses(message)) {
                        self.slow.borrow_mut().remove(&server);
                        break Some(answer);
                    }
                }
                () = tokio::time::sleep(ONE_WAIT), if next.len() > 0 => {}
                () = &mut ends => break None,
            }
        };
        self.slow.borrow_mut().extend(silent.into_iter().map(|server| (server, Instant::now())));
        answer
    }

    /// One question to one server. The socket is made before anything waits.
    fn exchange(
        &self,
        server: SocketAddr,
        netns: Option<BorrowedFd<'_>>,
        question: &Question,
        tcp: bool,
    ) -> io::Result<impl Future<Output = io::Result<Heard>> + 'static> {
        let family = if server.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let kind = if tcp { SocketType::STREAM } else { SocketType::DGRAM };
        let socket = self.socket(family, kind, netns)?;
        let mut message = question.message.clone();
        message.metadata.id = random_u16();
        let bytes = message.to_vec().map_err(io::Error::other)?;
        let asked = Asked { id: message.metadata.id, query: question.query.clone(), bytes };
        Ok(async move {
            match tcp {
                true => {
                    asked
                        .over_tcp(TcpSocket::from_std_stream(std::net::TcpStream::from(socket)), server)
                        .await
                }
                false => {
                    let socket = UdpSocket::from_std(socket.into())?;
                    // Whoever answers from elsewhere is not heard.
                    socket.connect(server).await?;
                    asked.over_udp(&socket).await
                }
            }
        })
    }

    fn socket(
        &self,
        family: AddressFamily,
        kind: SocketType,
        netns: Option<BorrowedFd<'_>>,
    ) -> io::Result<OwnedFd> {
        let make = || socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None);
        let Some(netns) = netns else { return Ok(make()?) };
        let network = Some(LinkNameSpaceType::Network);
        move_into_link_name_space(netns, network)?;
        let made = make();
        if move_into_link_name_space(self.home.as_fd(), network).is_err() {
            // Everybody's questions would go out of this container. The engine starts another.
            std::process::abort();
        }
        Ok(made?)
    }
}

/// A question on its way.
#[derive(Debug)]
struct Asked {
    id: u16,
    query: Query,
    bytes: Vec<u8>,
}

impl Asked {
    async fn over_udp(&self, socket: &UdpSocket) -> io::Result<Heard> {
        // Some servers say more than was asked to be said at once.
        let mut buffer = vec![0; usize::from(u16::MAX)];
        loop {
            socket.send(&self.bytes).await?;
            let again = tokio::time::sleep(SEND_AGAIN);
            tokio::pin!(again);
            loop {
                tokio::select! {
                    received = socket.recv(&mut buffer) => {
                        let bytes = &buffer[..received?];
                        if let Some(message) = self.is_answered_by(bytes) {
                            return Ok((bytes.to_vec(), message));
                        }
                    }
                    () = &mut again => break,
                }
            }
        }
    }

    async fn over_tcp(&self, socket: TcpSocket, server: SocketAddr) -> io::Result<Heard> {
        let mut stream = socket.connect(server).await?;
        let length = u16::try_from(self.bytes.len()).map_err(io::Error::other)?;
        stream.write_all(&[&length.to_be_bytes()[..], &self.bytes].concat()).await?;
        let mut bytes = vec![0; usize::from(stream.read_u16().await?)];
        stream.read_exact(&mut bytes).await?;
        let message = self.is_answered_by(&bytes);
        message.map(|message| (bytes, message)).ok_or_else(|| io::Error::other("an answer to something else"))
    }

    fn is_answered_by(&self, bytes: &[u8]) -> Option<Message> {
        if bytes.len() < 12 || bytes[..2] != self.id.to_be_bytes() || bytes[2] & 0x80 == 0 {
            return None;
        }
        let message = Message::from_vec(bytes).ok()?;
        let same = |other: &Query| {
            other.name().to_lowercase() == self.query.name().to_lowercase()
                && other.query_type() == self.query.query_type()
                && other.query_class() == self.query.query_class()
        };
        let is_ours = match &message.queries[..] {
            [other] => same(other),
            // Servers that do not understand say so without repeating.
            [] => message.metadata.response_code != ResponseCode::NoError && message.answers.is_empty(),
            _ => false,
        };
        is_ours.then_some(message)
    }
}

#[cfg(test)]
mod tests;

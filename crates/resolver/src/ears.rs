//! What is asked in one container, over UDP and TCP.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::answer::{self, Question};
use crate::state::State;

/// Of one container, so that it cannot use up what all have: connections at once, and questions that wait for others.
const CONNECTIONS_MAX: usize = 64;
const WAITING_MAX: usize = 256;
/// Clients that say nothing more.
const IDLE: Duration = Duration::from_secs(10);
/// After an error that is not a client's: so that it does not turn into a loop.
const PAUSE: Duration = Duration::from_millis(50);

/// Sockets in a container's network namespace, and that.
#[derive(Debug)]
pub(crate) struct Ears {
    udp: UdpSocket,
    tcp: TcpListener,
    netns: OwnedFd,
}

impl Ears {
    pub(crate) fn new(udp: OwnedFd, tcp: OwnedFd, netns: OwnedFd) -> io::Result<Self> {
        Ok(Self { udp: UdpSocket::from_std(udp.into())?, tcp: TcpListener::from_std(tcp.into())?, netns })
    }
}

/// Answers what container `id` asks, until it is dropped.
pub(crate) async fn listen(state: Rc<State>, id: Rc<str>, ears: Ears) {
    let ears = Rc::new(ears);
    let waiting = Arc::new(Semaphore::new(WAITING_MAX));
    tokio::join!(datagrams(&state, &id, &ears, &waiting), connections(&state, &id, &ears, &waiting));
}

async fn datagrams(state: &Rc<State>, id: &Rc<str>, ears: &Rc<Ears>, waiting: &Arc<Semaphore>) {
    let mut buffer = vec![0; 4096];
    // They end with this.
    let mut elsewhere = JoinSet::new();
    loop {
        let (length, client) = match ears.udp.recv_from(&mut buffer).await {
            Ok(received) => received,
            // That an earlier client is gone is told here, too.
            Err(_) => {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        match here(state, id, &buffer[..length], false) {
            Heard::Answer(bytes) => drop(ears.udp.send_to(&bytes, client).await),
            Heard::Nothing => {}
            Heard::Elsewhere(question) => {
                let (state, id, ears, waiting) = (state.clone(), id.clone(), ears.clone(), waiting.clone());
                // Those that ended while nobody asked do not count any more.
                while elsewhere.try_join_next().is_some() {}
                // One more than may wait is told so without waiting.
                if elsewhere.len() > WAITING_MAX {
                    if let Some(bytes) = refuse(&question) {
                        let _ = ears.udp.send_to(&bytes, client).await;
                    }
                    continue;
                }
                elsewhere.spawn_local(async move {
                    if let Some(bytes) = there(&state, &id, &ears, &waiting, &question, false).await {
                        let _ = ears.udp.send_to(&bytes, client).await;
                    }
                });
            }
        }
    }
}

async fn connections(state: &Rc<State>, id: &Rc<str>, ears: &Rc<Ears>, waiting: &Arc<Semaphore>) {
    let mut open = JoinSet::new();
    loop {
        while open.try_join_next().is_some() {}
        if open.len() >= CONNECTIONS_MAX {
            open.join_next().await;
        }
        match ears.tcp.accept().await {
            Ok((stream, _)) => {
                let (state, id, ears, waiting) = (state.clone(), id.clone(), ears.clone(), waiting.clone());
                // An error is a client that went.
                open.spawn_local(async move { drop(converse(&state, &id, &ears, &waiting, stream).await) });
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

/// One question after the other.
async fn converse(
    state: &Rc<State>,
    id: &Rc<str>,
    ears: &Ears,
    waiting: &Semaphore,
    mut stream: TcpStream,
) -> io::Result<()> {
    loop {
        let read = async {
            let mut bytes = vec![0; usize::from(stream.read_u16().await?)];
            stream.read_exact(&mut bytes).await?;
            io::Result::Ok(bytes)
        };
        let bytes = tokio::time::timeout(IDLE, read).await??;
        let answer = match here(state, id, &bytes, true) {
            Heard::Answer(bytes) => Some(bytes),
            Heard::Nothing => return Ok(()),
            Heard::Elsewhere(question) => there(state, id, ears, waiting, &question, true).await,
        };
        let Some(answer) = answer else { return Ok(()) };
        let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
        let framed = [&length.to_be_bytes()[..], &answer].concat();
        tokio::time::timeout(IDLE, stream.write_all(&framed)).await??;
    }
}

enum Heard {
    Answer(Vec<u8>),
    Elsewhere(Box<Question>),
    Nothing,
}

/// Without waiting.
fn here(state: &State, id: &str, bytes: &[u8], tcp: bool) -> Heard {
    let question = match Question::read(bytes) {
        Ok(question) => question,
        Err(said) => return said.map_or(Heard::Nothing, Heard::Answer),
    };
    let names = state.names.borrow();
    let Some(asker) = names.member(id) else { return Heard::Nothing };
    let mut answer = question.answer(&names, asker);
    let is_bare = || question.asks_for_an_address() && !question.name().contains('.');
    if answer.is_none() && asker.keeps_bare_names && is_bare() {
        answer = Some(question.reply(ResponseCode::NoError));
    }
    match answer {
        None => Heard::Elsewhere(Box::new(question)),
        Some(answer) => answer::write(answer, question.bytes_max(tcp)).map_or(Heard::Nothing, Heard::Answer),
    }
}

async fn there(
    state: &State,
    id: &str,
    ears: &Ears,
    waiting: &Semaphore,
    question: &Question,
    tcp: bool,
) -> Option<Vec<u8>> {
    let Ok(_turn) = waiting.try_acquire() else { return refuse(question) };
    let asker = state.names.borrow().member(id).cloned()?;
    match state.forwarder.ask(&asker, ears.netns.as_fd(), question, tcp).await {
        Some(answer) => Some(answer),
        None => question.reply(ResponseCode::ServFail).to_vec().ok(),
    }
}

fn refuse(question: &Question) -> Option<Vec<u8>> {
    question.reply(ResponseCode::Refused).to_vec().ok()
}

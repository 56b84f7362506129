//! The engines' connections: calls in, events out.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use rustix::event::epoll::EventFlags;
use rustix::fs::{Mode, OFlags};
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, listen as listen_on,
    socket_with,
};
use rustix::termios::{Winsize, tcsetwinsize};

use super::client::Place;
use super::{Monitor, Token};
use crate::error::doing;
use crate::protocol::{AnyCall, Event, Leave, Order, Reply, Size, Status, VERSION};
use crate::{Error, wire};

/// The address of `monitor.sock`, which works for directories of any length: a socket's own path has room for
/// 107 bytes only (unix(7)), less than many an exec root with a 64-digit id.
pub(crate) fn address(directory: &OwnedFd) -> Result<SocketAddrUnix, Error> {
    SocketAddrUnix::new(format!("/proc/self/fd/{}/monitor.sock", directory.as_raw_fd()))
        .map_err(doing("name a socket"))
}

pub(crate) fn open_directory(directory: &Path) -> Result<OwnedFd, Error> {
    rustix::fs::open(directory, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| Error::Path { what: "open", path: directory.into(), source: error.into() })
}

pub(super) fn listen(directory: &Path) -> Result<OwnedFd, Error> {
    let opened = open_directory(directory)?;
    let _ = rustix::fs::unlinkat(&opened, "monitor.sock", rustix::fs::AtFlags::empty());
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let listener = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
        .map_err(doing("create a socket"))?;
    bind(&listener, &address(&opened)?).map_err(doing("bind monitor.sock"))?;
    listen_on(&listener, 16).map_err(doing("listen on monitor.sock"))?;
    Ok(listener)
}

impl Monitor {
    pub(super) fn add_engine(&mut self, socket: OwnedFd) -> Result<u32, Error> {
        let number = self.number;
        self.number += 1;
        self.watch(&socket, Token::Engine(number), EventFlags::IN)?;
        self.engines.insert(number, socket);
        Ok(number)
    }

    pub(super) fn accept(&mut self) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        while let Ok(socket) = accept_with(&self.listener, flags) {
            let welcome = Event::Welcome(self.status());
            if wire::send(&socket, &welcome, &[]).is_ok() {
                let _ = self.add_engine(socket);
            }
        }
    }

    /// To every engine; one that does not listen (any more) is dropped, and may connect again.
    pub(super) fn tell(&mut self, event: &Event) {
        self.engines.retain(|_, socket| wire::send(&*socket, event, &[]).is_ok());
    }

    pub(super) fn serve_engine(&mut self, number: u32) {
        // Bounded, so that an engine cannot keep the monitor from its process.
        for _ in 0..16 {
            let Some(socket) = self.engines.get(&number) else { return };
            match wire::receive::<AnyCall>(socket) {
                Ok(Some((call, descriptors))) => {
                    let reply = match serde_json::from_value(call.order) {
                        Ok(Order::Checkpoint(wanted)) => {
                            match self.begin_checkpoint(wanted, (number, call.seq)) {
                                Some(reply) => reply,
                                None => continue,
                            }
                        }
                        Ok(order) => self.obey(order, descriptors),
                        // A later engine's.
                        Err(_) => Reply::Refused {
                            message: format!("the process's monitor (version {VERSION}) does not know how"),
                        },
                    };
                    let answer = Event::Answer { seq: call.seq, reply };
                    let sent = self.engines.get(&number).map(|socket| wire::send(socket, &answer, &[]));
                    if !matches!(sent, Some(Ok(()))) {
                        self.engines.remove(&number);
                    }
                }
                Err(error) if error.would_block() => return,
                // Not even a number to answer to.
                Err(Error::Message { .. }) => {}
                Ok(None) | Err(_) => {
                    self.engines.remove(&number);
                }
            }
        }
    }

    fn obey(&mut self, order: Order, descriptors: Vec<OwnedFd>) -> Reply {
        let done = |result: Result<(), String>| match result {
            Ok(()) => Reply::Done,
            Err(message) => Reply::Refused { message },
        };
        match order {
            Order::Status => Reply::Status(self.status()),
            Order::Attach(wants) => {
                let mut descriptors = descriptors.into_iter();
                let Some(socket) = descriptors.next() else {
                    return Reply::Refused { message: "attach: no socket came along".into() };
                };
                if self.exit.is_some() {
                    return Reply::Refused { message: "attach: the process has ended".into() };
                }
                let input = descriptors.next().filter(|_| wants.has_input);
                match self.add_client(wants, socket, input, Place::Beside) {
                    Ok(client) => Reply::Attached { client },
                    Err(error) => Reply::Refused { message: error.to_string() },
                }
            }
            Order::Detach { client } => {
                self.dismiss_client(client, Leave::Detached);
                Reply::Done
            }
            Order::Resize(size) => done(self.resize(size)),
            Order::CloseStdin => {
                self.end_stdin();
                Reply::Done
            }
            Order::ClearLog => done(self.log.clear().map_err(|error| error.to_string())),
            Order::Signal(number) => done(self.signal(number)),
            Order::HoldPorts => match descriptors.into_iter().next() {
                Some(_) if self.exit.is_some() => {
                    Reply::Refused { message: "hold ports: the process has ended".into() }
                }
                Some(holder) => {
                    self.ports.hold(holder);
                    Reply::Done
                }
                None => Reply::Refused { message: "hold ports: nothing that holds them came along".into() },
            },
            // Answered later, by whoever is here.
            Order::Checkpoint(_) => Reply::Refused { message: "checkpoint: not in order".into() },
            Order::LetGoPorts(which) => {
                done(self.ports.let_go(&which).map_err(|error| format!("let go of ports: {error}")))
            }
        }
    }

    fn resize(&self, size: Size) -> Result<(), String> {
        match &self.terminal {
            Some(terminal) => set_size(terminal, size).map_err(|error| error.to_string()),
            // As Docker: clients say the size of their window also to what has none.
            None => Ok(()),
        }
    }

    pub(super) fn status(&self) -> Status {
        Status {
            version: VERSION,
            state: self.state.clone(),
            clients: self.clients.len() as u32,
            exit: self.exit.clone(),
        }
    }
}

pub(super) fn set_size(terminal: &OwnedFd, size: Size) -> Result<(), rustix::io::Errno> {
    tcsetwinsize(terminal, Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 })
}

//! Attached clients: how they come, are served, waited for, and go.

use std::os::fd::OwnedFd;
use std::time::Instant;

use rustix::event::epoll::EventFlags;

use super::client::{self, Client, Input, Place};
use super::input::Stdin;
use super::{Monitor, Token};
use crate::Error;
use crate::protocol::{Client as Wants, Event, Leave};

impl Monitor {
    pub(super) fn add_client(
        &mut self,
        wants: Wants,
        socket: OwnedFd,
        input: Option<OwnedFd>,
        place: Place,
    ) -> Result<u32, Error> {
        let number = self.number;
        self.number += 1;
        let (mut client, early) = Client::new(wants, socket, input, place, self.stdin.is_some());
        self.watch(&client, Token::Client(number), EventFlags::empty())?;
        let mut through = Vec::new();
        let input = client.typed(&early, &mut through);
        let reads = client.reads;
        self.clients.insert(number, client);
        if reads {
            self.feed(&through);
            if input == Input::Detached {
                self.dismiss_client(number, Leave::Detached);
            }
        }
        Ok(number)
    }

    pub(super) fn serve_client(&mut self, number: u32, flags: EventFlags) {
        let mut scratch = self.scratch();
        self.serve_client_with(number, flags, &mut scratch);
        self.scratch = scratch;
    }

    fn serve_client_with(&mut self, number: u32, flags: EventFlags, scratch: &mut [u8]) {
        let Some(client) = self.clients.get_mut(&number) else { return };
        let gone = flags.intersects(EventFlags::HUP | EventFlags::ERR);
        if client.is_behind() && flags.intersects(EventFlags::OUT | EventFlags::HUP | EventFlags::ERR) {
            match client.flush() {
                Ok(true) if self.exit.is_some() => client.end(scratch),
                Ok(_) => {}
                Err(client::Broken) => return self.drop_client(number, Leave::Hangup),
            }
        }
        if client.farewell {
            if client.discard_input(scratch) || gone {
                self.drop_client(number, Leave::Hangup);
            }
            return;
        }
        // What was sent before the connection went is still read.
        while let Some(client) = self.clients.get_mut(&number).filter(|client| client.reads) {
            if self.stdin.as_ref().is_some_and(Stdin::is_full) && !gone {
                break;
            }
            let mut through = Vec::new();
            let input = client.read(scratch, &mut through);
            self.feed(&through);
            match input {
                Input::Some => {}
                Input::Nothing => break,
                Input::End => self.end_of_client_input(number),
                Input::Detached => self.dismiss_client(number, Leave::Detached),
            }
        }
        if gone {
            self.drop_client(number, Leave::Hangup);
        }
    }

    /// Ends the container's input if it lives only once (a terminal's never ends so); otherwise the client has
    /// left, as in Docker.
    fn end_of_client_input(&mut self, number: u32) {
        if self.stdin_once && self.terminal.is_none() {
            self.end_stdin();
            let Some(client) = self.clients.get_mut(&number) else { return };
            client.reads = false;
            if !client.wants_output() {
                self.dismiss_client(number, Leave::Hangup);
            }
        } else {
            self.dismiss_client(number, Leave::InputEnded);
        }
    }

    /// Lets a client go that is still connected: it reads to the end of file.
    pub(super) fn dismiss_client(&mut self, number: u32, why: Leave) {
        let mut scratch = vec![0; 4096];
        if let Some(client) = self.clients.get_mut(&number) {
            client.end(&mut scratch);
        }
        self.drop_client(number, why);
    }

    pub(super) fn drop_client(&mut self, number: u32, why: Leave) {
        if self.clients.remove(&number).is_some() {
            // After the end, leaving is no news.
            if self.exit.is_none() {
                self.tell(&Event::ClientLeft { client: number, why });
            }
        }
    }

    /// When the next client that is waited for has had its time.
    pub(super) fn patience_ends(&self) -> Option<Instant> {
        if self.exit.is_some() {
            return None;
        }
        self.clients.values().filter_map(Client::patience_ends).min()
    }

    /// Nobody waits any longer for who has had its time.
    pub(super) fn lose_patience(&mut self) {
        let now = Instant::now();
        if self.patience_ends().is_some_and(|until| until <= now) {
            self.clients.values_mut().for_each(|client| client.lose_patience(now));
            self.settle();
        }
    }
}

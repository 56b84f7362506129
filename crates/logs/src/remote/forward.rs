//! The life of a forwarder.

use std::io;

use rustix::net::{SendFlags, send};

use super::inbox::{Inbox, Record};
use super::pipe::{FAILED, Pipe, READY};
use super::{Driver, RemoteDestination, Sender, fluentd, gelf, journald, syslog};

/// Connects, says so, and sends what comes, until the monitor has ended. A record that cannot be sent is lost to the
/// collector, as in Docker; it is in the cache.
pub fn forward(destination: &RemoteDestination, pipe: Pipe) {
    let mut inbox = Inbox::new(pipe);
    let mut sender = match open(&destination.driver, &mut inbox) {
        Ok(sender) => sender,
        Err(why) => {
            let text = [&[FAILED], why.to_string().as_bytes()].concat();
            let _ = send(inbox.socket(), &text, SendFlags::NOSIGNAL);
            return;
        }
    };
    if send(inbox.socket(), &[READY], SendFlags::NOSIGNAL).is_err() {
        return;
    }
    let mut record = Record::new();
    while !inbox.is_over() && inbox.next(&mut record).unwrap_or(false) {
        let _ = sender.send(&record, &mut inbox);
    }
}

fn open(driver: &Driver, inbox: &mut Inbox) -> io::Result<Box<dyn Sender>> {
    Ok(match driver {
        Driver::Fluentd(config) => Box::new(fluentd::Fluentd::open(config.clone(), inbox)?),
        Driver::Gelf(config) => Box::new(gelf::Gelf::open(config.clone(), inbox)?),
        Driver::Journald(config) => Box::new(journald::Journald::open(config.clone())?),
        Driver::Syslog(config) => Box::new(syslog::Syslog::open(config.clone(), inbox)?),
    })
}

//! Drivers that send records to a collector.
//!
//! ```text
//!  monitor                                   forwarder (a forked copy, one per container that needs one)
//!   chunks ─► lines ─► kept records (cache)
//!                  └─► Pipe ──── records ───► driver ─► collector
//! ```
//!
//! A collector may be slow, dead or behind a name server that does not answer, and a monitor waits for nobody. So the
//! driver lives in a process of its own, that may wait: [`forward`], which ends when its monitor has and all is sent. What the
//! monitor does when the pipe is full is its user's choice: `mode=blocking` stops reading from the container, as Docker does,
//! `mode=non-blocking` buffers up to `max-buffer-size` and then drops.
//!
//! What goes to a collector is kept in files of the `local` driver as well, so that `logs` works (Docker's cache).

mod dial;
mod fluentd;
mod forward;
mod gelf;
mod inbox;
mod journald;
mod msgpack;
mod pipe;
mod syslog;
mod tls;
mod writer;

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};

pub use self::forward::forward;
use self::inbox::{Inbox, Record};
pub use self::pipe::Pipe;
pub(crate) use self::writer::RemoteWriter;
use crate::facts::{ConfigError, ContainerFacts};
use crate::file::FileDestination;

/// A resolved remote log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteDestination {
    pub(crate) driver: Driver,
    /// `mode=non-blocking`: how much waits for the forwarder before records are dropped.
    pub(crate) buffer_bytes: Option<u64>,
    pub(crate) cache: Option<FileDestination>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Driver {
    Fluentd(fluentd::Config),
    Gelf(gelf::Config),
    Journald(journald::Config),
    Syslog(syslog::Config),
}

impl Driver {
    /// The options that only this driver has.
    pub(crate) fn options(driver: &str) -> &'static [&'static str] {
        match driver {
            "fluentd" => fluentd::OPTIONS,
            "gelf" => gelf::OPTIONS,
            "syslog" => syslog::OPTIONS,
            _ => &[],
        }
    }

    pub(crate) fn resolve(
        driver: &str,
        options: &BTreeMap<String, String>,
        attrs: &BTreeMap<String, String>,
        tag: String,
        facts: &ContainerFacts<'_>,
    ) -> Result<Self, ConfigError> {
        Ok(match driver {
            "fluentd" => Self::Fluentd(fluentd::Config::resolve(options, attrs, tag, facts)?),
            "gelf" => Self::Gelf(gelf::Config::resolve(options, attrs, &tag, facts)?),
            "journald" => Self::Journald(journald::Config::resolve(attrs, &tag, facts)),
            _ => Self::Syslog(syslog::Config::resolve(options, tag)?),
        })
    }
}

/// A driver at work, in the forwarder.
trait Sender {
    /// Sends one record, or says why it is lost. All waiting is done through the inbox.
    fn send(&mut self, record: &Record, inbox: &mut Inbox) -> io::Result<()>;
}

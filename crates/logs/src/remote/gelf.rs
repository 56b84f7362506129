//! The `gelf` driver: Graylog's JSON over UDP (compressed, cut into chunks) or TCP.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::time::Duration;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use serde::{Deserialize, Serialize};

use super::dial::{Connection, DIAL_TIMEOUT, Endpoint, Network};
use super::{Inbox, Record, Sender};
use crate::facts::{ConfigError, ContainerFacts};
use crate::json_file::escape;
use crate::options::{host_port, url};
use crate::stream::Stream;
use crate::tag::hostname;

pub(super) const OPTIONS: &[&str] = &[
    "gelf-address",
    "gelf-compression-level",
    "gelf-compression-type",
    "gelf-tcp-max-reconnect",
    "gelf-tcp-reconnect-delay",
];

/// A datagram, with its header of 12 bytes.
const CHUNK_BYTES: usize = 1420;
const CHUNK_HEADER_BYTES: usize = 12;
const CHUNKS_MAX: usize = 128;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Config {
    to: Endpoint,
    compression: Packing,
    /// -1 for zlib's own.
    level: i32,
    reconnects_max: u32,
    reconnect_delay_s: u64,
    /// The constant fields of every message: `,"_container_id":"..."`.
    fields: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Packing {
    Gzip,
    Zlib,
    None,
}

impl Config {
    pub(super) fn resolve(
        options: &BTreeMap<String, String>,
        attrs: &BTreeMap<String, String>,
        tag: &str,
        facts: &ContainerFacts<'_>,
    ) -> Result<Self, ConfigError> {
        let to = address(options.get("gelf-address").map_or("", String::as_str))?;
        let udp = to.network == Network::Udp;
        let mut config = Self {
            to,
            compression: Packing::Gzip,
            level: 1,
            reconnects_max: 3,
            reconnect_delay_s: 1,
            fields: String::new(),
        };
        for (option, value) in options {
            let unknown = || {
                ConfigError::new(format!(
                    "unknown value {value:?} for log opt {option:?} for gelf log driver"
                ))
            };
            let positive = || ConfigError::new(format!("{option:?} must be a positive integer"));
            match option.as_str() {
                "gelf-compression-level" | "gelf-compression-type" if !udp => {
                    return Err(ConfigError::new("compression is only supported on UDP"));
                }
                "gelf-tcp-max-reconnect" | "gelf-tcp-reconnect-delay" if udp => {
                    return Err(ConfigError::new(format!("{option:?} is only valid for TCP")));
                }
                "gelf-compression-level" => {
                    config.level =
                        value.parse().ok().filter(|level| (-1..=9).contains(level)).ok_or_else(unknown)?;
                }
                "gelf-compression-type" => {
                    config.compression = match value.as_str() {
                        "gzip" => Packing::Gzip,
                        "zlib" => Packing::Zlib,
                        "none" => Packing::None,
                        _ => return Err(unknown()),
                    };
                }
                "gelf-tcp-max-reconnect" => config.reconnects_max = value.parse().map_err(|_| positive())?,
                "gelf-tcp-reconnect-delay" => {
                    config.reconnect_delay_s = value.parse().map_err(|_| positive())?
                }
                _ => {}
            }
        }
        let mut fields = BTreeMap::from([
            ("_container_id".to_owned(), facts.id.to_owned()),
            ("_container_name".to_owned(), facts.name.trim_start_matches('/').to_owned()),
            ("_image_id".to_owned(), facts.image_id.to_owned()),
            ("_image_name".to_owned(), facts.image_name.to_owned()),
            ("_command".to_owned(), facts.command.join(" ")),
            ("_tag".to_owned(), tag.to_owned()),
            ("_created".to_owned(), facts.created.to_owned()),
        ]);
        for (key, value) in attrs {
            let key = if key.starts_with('_') { key.clone() } else { format!("_{key}") };
            fields.insert(key, value.clone());
        }
        for (key, value) in &fields {
            config.fields.push_str(&format!(",{}:{}", quoted(key.as_bytes()), quoted(value.as_bytes())));
        }
        Ok(config)
    }
}

fn address(text: &str) -> Result<Endpoint, ConfigError> {
    if text.is_empty() {
        return Err(ConfigError::new("gelf-address is a required parameter"));
    }
    let url = url(text)?;
    let network = match url.scheme {
        "udp" => Network::Udp,
        "tcp" => Network::Tcp,
        _ => return Err(ConfigError::new("gelf: endpoint needs to be TCP or UDP")),
    };
    if host_port(url.host).is_err() {
        return Err(ConfigError::new("gelf: please provide gelf-address as proto://host:port"));
    }
    Ok(Endpoint { network, address: url.host.to_owned() })
}

fn quoted(text: &[u8]) -> String {
    let mut out = vec![b'"'];
    escape(&mut out, text);
    out.push(b'"');
    // What is not UTF-8 has been replaced.
    String::from_utf8(out).unwrap_or_default()
}

#[derive(Debug)]
pub(super) struct Gelf {
    config: Config,
    connection: Option<Connection>,
    hostname: String,
    message: Vec<u8>,
}

impl Gelf {
    pub(super) fn open(config: Config, inbox: &mut Inbox) -> io::Result<Self> {
        let connection = Connection::dial(&config.to, None, inbox, DIAL_TIMEOUT).map_err(|e| {
            io::Error::new(
                e.kind(),
                format!("gelf: cannot connect to GELF endpoint: {} {e}", config.to.address),
            )
        })?;
        let hostname = quoted(hostname().as_bytes());
        Ok(Self { config, connection: Some(connection), hostname, message: Vec::new() })
    }

    fn format(&mut self, record: &Record) {
        let message = &mut self.message;
        message.clear();
        message.extend_from_slice(b"{\"version\":\"1.1\",\"host\":");
        message.extend_from_slice(self.hostname.as_bytes());
        message.extend_from_slice(b",\"short_message\":\"");
        escape(message, &record.text);
        let level = if record.stream == Stream::Stderr { 3 } else { 6 };
        let seconds = record.time.as_millisecond() as f64 / 1000.0;
        let rest = format!("\",\"timestamp\":{seconds},\"level\":{level}{}}}", self.config.fields);
        message.extend_from_slice(rest.as_bytes());
    }

    fn send_datagrams(&mut self, inbox: &mut Inbox) -> io::Result<()> {
        let level = match u32::try_from(self.config.level) {
            Ok(level) => Compression::new(level),
            Err(_) => Compression::default(),
        };
        let packed = match self.config.compression {
            Packing::None => std::mem::take(&mut self.message),
            Packing::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), level);
                encoder.write_all(&self.message)?;
                encoder.finish()?
            }
            Packing::Zlib => {
                let mut encoder = ZlibEncoder::new(Vec::new(), level);
                encoder.write_all(&self.message)?;
                encoder.finish()?
            }
        };
        if packed.len() <= CHUNK_BYTES {
            return self.send_datagram(&packed, inbox);
        }
        let chunks = packed.chunks(CHUNK_BYTES - CHUNK_HEADER_BYTES);
        let count = chunks.len();
        if count > CHUNKS_MAX {
            return Err(io::Error::other(format!("msg too large, would need {count} chunks")));
        }
        let mut id = [0; 8];
        rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty())?;
        let mut datagram = Vec::with_capacity(CHUNK_BYTES);
        for (number, chunk) in chunks.enumerate() {
            datagram.clear();
            datagram.extend_from_slice(&[0x1e, 0x0f]);
            datagram.extend_from_slice(&id);
            datagram.extend_from_slice(&[number as u8, count as u8]);
            datagram.extend_from_slice(chunk);
            self.send_datagram(&datagram, inbox)?;
        }
        Ok(())
    }

    fn send_datagram(&mut self, bytes: &[u8], inbox: &mut Inbox) -> io::Result<()> {
        let Some(connection) = &mut self.connection else { return Err(io::ErrorKind::NotConnected.into()) };
        // An answer to the datagram before ("nobody listens there") is told with this one, which was not sent then.
        match connection.write_all(bytes, inbox, None) {
            Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {
                connection.write_all(bytes, inbox, None)
            }
            other => other,
        }
    }

    fn send_stream(&mut self, inbox: &mut Inbox) -> io::Result<()> {
        self.message.push(0);
        for attempt in 0..=self.config.reconnects_max {
            if let Some(connection) = &mut self.connection
                && !connection.is_gone()
                && connection.write_all(&self.message, inbox, None).is_ok()
            {
                return Ok(());
            }
            self.connection = None;
            // The first time at once: that it has gone was seen without losing anything.
            if attempt > 0 {
                inbox.sleep(Duration::from_secs(self.config.reconnect_delay_s))?;
            }
            self.connection = Connection::dial(&self.config.to, None, inbox, DIAL_TIMEOUT).ok();
        }
        if let Some(connection) = &mut self.connection {
            return connection.write_all(&self.message, inbox, None);
        }
        Err(io::Error::other("Maximum reconnection attempts was reached; giving up"))
    }
}

impl Sender for Gelf {
    fn send(&mut self, record: &Record, inbox: &mut Inbox) -> io::Result<()> {
        if record.text.is_empty() {
            return Ok(());
        }
        self.format(record);
        match self.config.to.network {
            Network::Udp => self.send_datagrams(inbox),
            _ => self.send_stream(inbox),
        }
    }
}

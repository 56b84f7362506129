//! The `syslog` driver: RFC 3164 and RFC 5424 over UDP, TCP, TLS and Unix sockets.

use std::collections::BTreeMap;
use std::io::{self, Write as _};

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::dial::{Connection, DIAL_TIMEOUT, Endpoint, Network, reason};
use super::{Inbox, Record, Sender, tls};
use crate::facts::ConfigError;
use crate::options::{host_port, url};
use crate::stream::Stream;
use crate::tag::hostname;

pub(super) const OPTIONS: &[&str] = &[
    "syslog-address",
    "syslog-facility",
    "syslog-format",
    "syslog-tls-ca-cert",
    "syslog-tls-cert",
    "syslog-tls-key",
    "syslog-tls-skip-verify",
];

/// In the order of their numbers.
const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "",
    "", "", "", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];
const DAEMON: u8 = 3;
const ERROR: u8 = 3;
const INFO: u8 = 6;

/// Where a syslog daemon of this machine may listen.
const LOCAL: [&str; 3] = ["/dev/log", "/var/run/syslog", "/var/run/log"];

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Config {
    /// `None`: the daemon of this machine.
    to: Option<Endpoint>,
    tls: Option<tls::Files>,
    facility: u8,
    format: Format,
    tag: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Format {
    /// As libc's syslog(3) writes to the local daemon: without a host name.
    Unix,
    Rfc3164,
    Rfc5424,
    Rfc5424Micro,
}

impl Config {
    pub(super) fn resolve(options: &BTreeMap<String, String>, tag: String) -> Result<Self, ConfigError> {
        let get = |name: &str| options.get(name).map_or("", String::as_str);
        let to = address(get("syslog-address"))?;
        let facility = facility(get("syslog-facility"))?;
        let format = match get("syslog-format") {
            "" => Format::Unix,
            "rfc3164" => Format::Rfc3164,
            "rfc5424" => Format::Rfc5424,
            "rfc5424micro" => Format::Rfc5424Micro,
            _ => return Err(ConfigError::new("Invalid syslog format")),
        };
        let tls = to.as_ref().is_some_and(|to| to.network == Network::Tls).then(|| tls::Files {
            ca: get("syslog-tls-ca-cert").to_owned(),
            cert: get("syslog-tls-cert").to_owned(),
            key: get("syslog-tls-key").to_owned(),
            skip_verify: options.contains_key("syslog-tls-skip-verify"),
        });
        Ok(Self { to, tls, facility, format, tag })
    }
}

fn address(text: &str) -> Result<Option<Endpoint>, ConfigError> {
    if text.is_empty() {
        return Ok(None);
    }
    let url = url(text)?;
    let network = match url.scheme {
        "unix" => Network::Unix,
        "unixgram" => Network::Unixgram,
        "udp" => Network::Udp,
        "tcp" => Network::Tcp,
        "tcp+tls" => Network::Tls,
        other => return Err(ConfigError::new(format!("unsupported scheme: '{other}'"))),
    };
    let address = match network {
        Network::Unix | Network::Unixgram => {
            std::fs::metadata(url.path)
                .map_err(|e| ConfigError::new(format!("stat {}: {}", url.path, reason(&e))))?;
            url.path.to_owned()
        }
        _ => match host_port(url.host) {
            Ok(_) => url.host.to_owned(),
            Err(why) if why.starts_with("missing port") => format!("{}:514", url.host),
            Err(why) => return Err(ConfigError::new(format!("address {}: {why}", url.host))),
        },
    };
    Ok(Some(Endpoint { network, address }))
}

fn facility(text: &str) -> Result<u8, ConfigError> {
    if text.is_empty() {
        return Ok(DAEMON);
    }
    let named = FACILITIES.iter().position(|name| *name == text).map(|at| at as u8);
    let number = text.parse::<u8>().ok().filter(|number| *number <= 23);
    named.or(number).ok_or_else(|| ConfigError::new("invalid syslog facility"))
}

#[derive(Debug)]
pub(super) struct Syslog {
    config: Config,
    trust: Option<std::sync::Arc<rustls::ClientConfig>>,
    connection: Option<Connection>,
    hostname: String,
    zone: TimeZone,
    message: Vec<u8>,
}

impl Syslog {
    pub(super) fn open(config: Config, inbox: &mut Inbox) -> io::Result<Self> {
        let trust = config.tls.as_ref().map(tls::config).transpose()?;
        let (hostname, zone) = (hostname(), TimeZone::system());
        let mut syslog = Self { config, trust, connection: None, hostname, zone, message: Vec::new() };
        syslog.connection = Some(syslog.dial(inbox)?);
        Ok(syslog)
    }

    fn dial(&self, inbox: &mut Inbox) -> io::Result<Connection> {
        if let Some(to) = &self.config.to {
            return Connection::dial(to, self.trust.as_ref(), inbox, DIAL_TIMEOUT);
        }
        for network in [Network::Unixgram, Network::Unix] {
            for path in LOCAL {
                let to = Endpoint { network, address: path.to_owned() };
                if let Ok(connection) = Connection::dial(&to, None, inbox, DIAL_TIMEOUT) {
                    return Ok(connection);
                }
            }
        }
        Err(io::Error::other("Unix syslog delivery error"))
    }

    fn format(&mut self, record: &Record) {
        let Self { config, hostname, zone, message, .. } = self;
        let severity = if record.stream == Stream::Stderr { ERROR } else { INFO };
        let priority = config.facility << 3 | severity;
        let (tag, pid, time) = (&config.tag, std::process::id(), record.time.to_zoned_datetime(zone.clone()));
        message.clear();
        let written = match config.format {
            Format::Unix => write!(message, "<{priority}>{} {tag}[{pid}]: ", time.strftime("%b %e %H:%M:%S")),
            Format::Rfc3164 => {
                write!(message, "<{priority}>{} {hostname} {tag}[{pid}]: ", time.strftime("%b %e %H:%M:%S"))
            }
            Format::Rfc5424 | Format::Rfc5424Micro => {
                let offset = time.offset();
                let zone = if offset.is_zero() { "Z".to_owned() } else { time.strftime("%:z").to_string() };
                let micro = config.format == Format::Rfc5424Micro;
                let time = time.strftime(if micro { "%Y-%m-%dT%H:%M:%S.%6f" } else { "%Y-%m-%dT%H:%M:%S" });
                write!(message, "<{priority}>1 {time}{zone} {hostname} {tag} {pid} {tag} - ")
            }
        };
        // Into memory: it does not fail.
        let _ = written;
        message.extend_from_slice(&record.text);
        if !message.ends_with(b"\n") {
            message.push(b'\n');
        }
        // RFC 5425, as Docker uses it: with TLS and RFC 5424 only.
        let counted = matches!(config.format, Format::Rfc5424 | Format::Rfc5424Micro);
        if counted && config.to.as_ref().is_some_and(|to| to.network == Network::Tls) {
            let length = format!("{} ", message.len());
            message.splice(..0, length.into_bytes());
        }
    }
}

impl Sender for Syslog {
    fn send(&mut self, record: &Record, inbox: &mut Inbox) -> io::Result<()> {
        if record.text.is_empty() {
            return Ok(());
        }
        self.format(record);
        if let Some(connection) = &mut self.connection
            && !connection.is_gone()
            && connection.write_all(&self.message, inbox, None).is_ok()
        {
            return Ok(());
        }
        self.connection = None;
        let connection = self.dial(inbox)?;
        self.connection.insert(connection).write_all(&self.message, inbox, None)
    }
}

//! The `fluentd` driver: the forward protocol, one event per message.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::dial::{Connection, Endpoint, Network};
use super::{Inbox, Record, Sender, msgpack, tls};
use crate::facts::{ConfigError, ContainerFacts};
use crate::options::{boolean, duration, host_port, size, url};

pub(super) const OPTIONS: &[&str] = &[
    "fluentd-address",
    "fluentd-async",
    "fluentd-async-reconnect-interval",
    "fluentd-buffer-limit",
    "fluentd-max-retries",
    "fluentd-read-timeout",
    "fluentd-request-ack",
    "fluentd-retry-wait",
    "fluentd-sub-second-precision",
    "fluentd-write-timeout",
];

const DEFAULT_PORT: u16 = 24224;
const DIAL_TIMEOUT: Duration = Duration::from_secs(3);
const RETRY_WAIT_MAX: Duration = Duration::from_secs(60);
const RETRY_GROWTH: f64 = 1.5;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Config {
    to: Endpoint,
    /// Events that wait while there is no connection.
    buffer_events_max: u64,
    retry_wait: Duration,
    retries_max: u32,
    /// Start without a connection, and buffer.
    asynchronous: bool,
    /// Connect anew after so long, as the name may stand for another address.
    reconnect_after: Option<Duration>,
    nanoseconds: bool,
    acknowledge: bool,
    write_timeout: Option<Duration>,
    read_timeout: Option<Duration>,
    tag: String,
    /// Of every record.
    fields: BTreeMap<String, String>,
}

impl Config {
    pub(super) fn resolve(
        options: &BTreeMap<String, String>,
        attrs: &BTreeMap<String, String>,
        tag: String,
        facts: &ContainerFacts<'_>,
    ) -> Result<Self, ConfigError> {
        let get = |name: &str| options.get(name).map(String::as_str).filter(|text| !text.is_empty());
        let text = get("fluentd-address").unwrap_or_default();
        let to = address(text)
            .map_err(|why| ConfigError::new(format!("invalid fluentd-address ({text}): {why}")))?;
        let flag = |name: &str| get(name).map_or(Ok(false), boolean);
        let interval = "fluentd-async-reconnect-interval";
        let reconnect_after = match get(interval) {
            None => None,
            Some(text) => {
                let wrong = |why: &str| ConfigError::new(format!("invalid value for {interval}: {why}"));
                let after = duration(text).map_err(|why| wrong(&why))?;
                let allowed = Duration::from_millis(100)..=Duration::from_secs(10);
                if !after.is_zero() && !allowed.contains(&after) {
                    return Err(wrong(&format!("value ({text:?}) must be between 100ms and 10s")));
                }
                Some(after).filter(|after| !after.is_zero())
            }
        };
        let timeout = |name: &str| -> Result<Option<Duration>, ConfigError> {
            let Some(text) = get(name) else { return Ok(None) };
            let wrong = |why: &str| {
                ConfigError::new(format!("invalid value for {name}: value must be a duration{why}"))
            };
            if text.strip_prefix('-').is_some_and(|text| duration(text).is_ok()) {
                return Err(wrong(" that is non-negative"));
            }
            let given = duration(text).map_err(|why| wrong(&format!(": {why}")))?;
            Ok(Some(given).filter(|given| !given.is_zero()))
        };
        let retries_max = match get("fluentd-max-retries").map(|text| (text, text.parse::<u64>())) {
            None => i32::MAX as u32,
            Some((_, Ok(number))) if number <= i32::MAX as u64 => number as u32,
            Some((_, Ok(number))) if number <= u64::from(u32::MAX) => {
                return Err(ConfigError::new("invalid fluentd-max-retries: value out of range"));
            }
            Some((text, parsed)) => {
                let why = if parsed.is_ok() { "value out of range" } else { "invalid syntax" };
                return Err(ConfigError::new(format!("strconv.ParseUint: parsing {text:?}: {why}")));
            }
        };
        let mut fields = BTreeMap::from([
            ("container_id".to_owned(), facts.id.to_owned()),
            ("container_name".to_owned(), facts.name.to_owned()),
        ]);
        fields.extend(attrs.clone());
        Ok(Self {
            to,
            buffer_events_max: get("fluentd-buffer-limit").map_or(Ok(1 << 20), |text| size(text, 1024))?,
            retry_wait: get("fluentd-retry-wait").map_or(Ok(Duration::from_secs(1)), duration)?,
            // With 0, and so in Docker, the library's own default holds.
            retries_max: if retries_max == 0 { 13 } else { retries_max },
            asynchronous: flag("fluentd-async")?,
            reconnect_after,
            nanoseconds: flag("fluentd-sub-second-precision")?,
            acknowledge: flag("fluentd-request-ack")?,
            write_timeout: timeout("fluentd-write-timeout")?,
            read_timeout: timeout("fluentd-read-timeout")?,
            tag,
            fields,
        })
    }
}

fn address(text: &str) -> Result<Endpoint, String> {
    let with_scheme =
        if text.contains("://") || text.is_empty() { text.to_owned() } else { format!("tcp://{text}") };
    let url = if text.is_empty() { url("tcp://")? } else { url(&with_scheme)? };
    let network = match url.scheme {
        "unix" if url.path.trim_start_matches('/').is_empty() => return Err("path is empty".to_owned()),
        "unix" => return Ok(Endpoint { network: Network::Unix, address: url.path.to_owned() }),
        "tcp" => Network::Tcp,
        "tls" => Network::Tls,
        other => return Err(format!("unsupported scheme: '{other}'")),
    };
    if !url.path.is_empty() {
        return Err("should not contain a path element".to_owned());
    }
    let (host, port) = host_port(url.host).unwrap_or((url.host.trim_matches(['[', ']']), ""));
    let host = if host.is_empty() { "127.0.0.1" } else { host };
    let port = match port {
        "" => DEFAULT_PORT,
        port => port
            .parse::<u16>()
            .map_err(|_| format!("invalid port: strconv.ParseUint: parsing {port:?}: value out of range"))?,
    };
    let address = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    Ok(Endpoint { network, address })
}

#[derive(Debug)]
pub(super) struct Fluentd {
    config: Config,
    trust: Option<Arc<rustls::ClientConfig>>,
    connection: Option<(Connection, Instant)>,
    message: Vec<u8>,
}

impl Fluentd {
    pub(super) fn open(config: Config, inbox: &mut Inbox) -> io::Result<Self> {
        let trust =
            (config.to.network == Network::Tls).then(|| tls::config(&tls::Files::default())).transpose()?;
        let mut fluentd = Self { config, trust, connection: None, message: Vec::new() };
        if fluentd.config.asynchronous {
            inbox
                .buffer_up_to(usize::try_from(fluentd.config.buffer_events_max).unwrap_or(usize::MAX).max(1));
        } else {
            fluentd.connect(inbox)?;
        }
        Ok(fluentd)
    }

    fn connect(&mut self, inbox: &mut Inbox) -> io::Result<()> {
        self.connection = None;
        let connection = Connection::dial(&self.config.to, self.trust.as_ref(), inbox, DIAL_TIMEOUT)?;
        self.connection = Some((connection, Instant::now()));
        Ok(())
    }

    fn connect_with_retries(&mut self, inbox: &mut Inbox) -> io::Result<()> {
        let mut wait = self.config.retry_wait;
        for _ in 0..self.config.retries_max {
            if self.connect(inbox).is_ok() {
                return Ok(());
            }
            inbox.sleep(wait)?;
            wait = wait.mul_f64(RETRY_GROWTH).min(RETRY_WAIT_MAX);
        }
        Err(io::Error::other(format!(
            "fluent#write: could not connect to fluentd after {} retries",
            self.config.retries_max
        )))
    }

    /// Answers the id that the collector is to acknowledge.
    fn format(&mut self, record: &Record) -> io::Result<String> {
        let Self { config, message: out, .. } = self;
        out.clear();
        msgpack::array(out, 4);
        msgpack::text(out, config.tag.as_bytes());
        let seconds = record.time.as_nanosecond().div_euclid(1_000_000_000) as i64;
        if config.nanoseconds {
            let nanos = record.time.as_nanosecond().rem_euclid(1_000_000_000) as u32;
            msgpack::event_time(out, seconds, nanos);
        } else {
            msgpack::integer(out, seconds);
        }
        let partial = record.partial.as_ref();
        // What a user names so hides what is ours, as in Docker.
        let own = ["source", "log"].into_iter().filter(|key| !config.fields.contains_key(*key)).count();
        msgpack::map(out, config.fields.len() + own + if partial.is_some() { 4 } else { 0 });
        let mut pair = |key: &str, value: &[u8]| {
            msgpack::text(out, key.as_bytes());
            msgpack::text(out, value);
        };
        for (key, value) in [("source", record.stream.as_str().as_bytes()), ("log", &record.text)] {
            if !config.fields.contains_key(key) {
                pair(key, value);
            }
        }
        for (key, value) in &config.fields {
            pair(key, value.as_bytes());
        }
        if let Some(partial) = partial {
            pair("partial_message", b"true");
            pair("partial_id", hex(&partial.id).as_bytes());
            pair("partial_ordinal", partial.ordinal.to_string().as_bytes());
            pair("partial_last", partial.last.to_string().as_bytes());
        }
        let mut chunk = String::new();
        if config.acknowledge {
            let mut id = [0; 16];
            rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty())?;
            chunk = hex(&id);
        }
        msgpack::map(out, usize::from(config.acknowledge));
        if config.acknowledge {
            msgpack::text(out, b"chunk");
            msgpack::text(out, chunk.as_bytes());
        }
        Ok(chunk)
    }

    fn write(&mut self, chunk: &str, inbox: &mut Inbox) -> io::Result<()> {
        let Some((connection, _)) = &mut self.connection else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        // With acknowledgements, what the collector sends is read where it is waited for.
        if chunk.is_empty() && connection.is_gone() {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        connection.write_all(&self.message, inbox, self.config.write_timeout)?;
        if chunk.is_empty() {
            return Ok(());
        }
        let mut answer = Vec::new();
        let mut buffer = [0; 256];
        loop {
            match msgpack::ack(&answer) {
                Some(Ok(ack)) if ack == chunk.as_bytes() => return Ok(()),
                Some(_) => {
                    return Err(io::Error::other("fluent#write: message ack doesn't match expected one"));
                }
                None => {}
            }
            match connection.read(&mut buffer, inbox, self.config.read_timeout)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                length => answer.extend_from_slice(&buffer[..length]),
            }
        }
    }
}

impl Sender for Fluentd {
    fn send(&mut self, record: &Record, inbox: &mut Inbox) -> io::Result<()> {
        let chunk = self.format(record)?;
        let is_old =
            |since: &Instant| self.config.reconnect_after.is_some_and(|after| since.elapsed() > after);
        if self.config.asynchronous && self.connection.as_ref().is_some_and(|(_, since)| is_old(since)) {
            self.connection = None;
        }
        for _ in 0..self.config.retries_max {
            if self.connection.is_none() {
                self.connect_with_retries(inbox)?;
            }
            match self.write(&chunk, inbox) {
                Ok(()) => return Ok(()),
                Err(e) => {
                    self.connection = None;
                    if inbox.is_over() {
                        return Err(e);
                    }
                }
            }
        }
        Err(io::Error::other(format!(
            "fluent#write: failed to write after {} attempts",
            self.config.retries_max
        )))
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

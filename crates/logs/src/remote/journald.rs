//! The `journald` driver: systemd's native protocol, a datagram per entry; what is too long for one goes as a file.

use std::collections::BTreeMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
    SocketType, connect, sendmsg, socket_with,
};
use serde::{Deserialize, Serialize};

use super::fluentd::hex;
use super::{Inbox, Record, Sender};
use crate::facts::ContainerFacts;
use crate::stream::Stream;
use crate::tag::short;
use crate::time::{self, Fraction};

const SOCKET: &str = "/run/systemd/journal/socket";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Config {
    pub(super) socket: String,
    /// Of every entry.
    fields: BTreeMap<String, String>,
}

impl Config {
    pub(super) fn resolve(attrs: &BTreeMap<String, String>, tag: &str, facts: &ContainerFacts<'_>) -> Self {
        let mut fields: BTreeMap<String, String> = [
            ("CONTAINER_ID", short(facts.id)),
            ("CONTAINER_ID_FULL", facts.id),
            ("CONTAINER_NAME", facts.name.trim_start_matches('/')),
            ("CONTAINER_TAG", tag),
            ("IMAGE_NAME", facts.image_name),
            ("SYSLOG_IDENTIFIER", tag),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
        for (key, value) in attrs {
            let key = field_name(key);
            // Of a name without a letter or digit nothing is left.
            if !key.is_empty() {
                fields.insert(key, value.clone());
            }
        }
        Self { socket: SOCKET.to_owned(), fields }
    }
}

/// A name as the journal has them: capitals, digits and `_`, which is not first.
fn field_name(name: &str) -> String {
    let sane = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    let name: String = name.chars().map(sane).collect();
    name.trim_start_matches('_').to_owned()
}

#[derive(Debug)]
pub(super) struct Journald {
    config: Config,
    socket: OwnedFd,
    /// Tells the entries of this run from those of another with the same numbers.
    epoch: String,
    ordinal: u64,
    entry: Vec<u8>,
}

impl Journald {
    pub(super) fn open(config: Config) -> io::Result<Self> {
        let socket =
            dial(&config.socket).map_err(|_| io::Error::other("journald is not enabled on this host"))?;
        let mut epoch = [0; 32];
        rustix::rand::getrandom(&mut epoch, rustix::rand::GetRandomFlags::empty())?;
        Ok(Self { config, socket, epoch: hex(&epoch), ordinal: 0, entry: Vec::new() })
    }

    fn format(&mut self, record: &Record) {
        self.ordinal += 1;
        let mut time = Vec::new();
        time::format(&mut time, record.time, Fraction::Trimmed);
        let ordinal = self.ordinal.to_string();
        let entry = &mut self.entry;
        entry.clear();
        let priority: &[u8] = if record.stream == Stream::Stderr { b"3" } else { b"6" };
        field(entry, "PRIORITY", priority);
        field(entry, "MESSAGE", &record.text);
        for (key, value) in &self.config.fields {
            field(entry, key, value.as_bytes());
        }
        field(entry, "CONTAINER_LOG_EPOCH", self.epoch.as_bytes());
        field(entry, "CONTAINER_LOG_ORDINAL", ordinal.as_bytes());
        field(entry, "SYSLOG_TIMESTAMP", &time);
        if let Some(partial) = &record.partial {
            field(entry, "CONTAINER_PARTIAL_ID", hex(&partial.id).as_bytes());
            field(entry, "CONTAINER_PARTIAL_ORDINAL", partial.ordinal.to_string().as_bytes());
            field(entry, "CONTAINER_PARTIAL_LAST", partial.last.to_string().as_bytes());
            if !partial.last {
                field(entry, "CONTAINER_PARTIAL_MESSAGE", b"true");
            }
        }
    }

    fn send_entry(&mut self, inbox: &mut Inbox) -> io::Result<()> {
        loop {
            let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
            match rustix::net::send(&self.socket, &self.entry, flags) {
                Ok(_) => return Ok(()),
                Err(Errno::MSGSIZE | Errno::NOBUFS) => return self.send_file(inbox),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => inbox.wait(self.socket.as_fd(), rustix::event::PollFlags::OUT, None)?,
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// journald takes a memfd when nobody can change it any more.
    fn send_file(&mut self, inbox: &mut Inbox) -> io::Result<()> {
        let memfd =
            rustix::fs::memfd_create("journal-entry", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        let mut written = 0;
        while written < self.entry.len() {
            written += rustix::io::retry_on_intr(|| rustix::io::write(&memfd, &self.entry[written..]))?;
        }
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
        rustix::fs::fcntl_add_seals(&memfd, seals)?;
        loop {
            let descriptors = [memfd.as_fd()];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut rights = SendAncillaryBuffer::new(&mut space);
            rights.push(SendAncillaryMessage::ScmRights(&descriptors));
            match sendmsg(&self.socket, &[], &mut rights, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => inbox.wait(self.socket.as_fd(), rustix::event::PollFlags::OUT, None)?,
                Err(e) => return Err(e.into()),
            }
        }
    }
}

fn dial(path: &str) -> io::Result<OwnedFd> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket)
}

impl Sender for Journald {
    fn send(&mut self, record: &Record, inbox: &mut Inbox) -> io::Result<()> {
        self.format(record);
        if self.send_entry(inbox).is_ok() {
            return Ok(());
        }
        // Started anew, it listens on a new socket.
        self.socket = dial(&self.config.socket)?;
        self.send_entry(inbox)
    }
}

/// `NAME=value`, or where the value has several lines: name, length (u64, little-endian) and value.
fn field(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    if memchr::memchr(b'\n', value).is_some() {
        out.push(b'\n');
        out.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        out.push(b'=');
    }
    out.extend_from_slice(value);
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::os::unix::net::UnixDatagram;

    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

    use super::*;
    use crate::remote::Pipe;
    use crate::split::Partial;

    /// One entry, sent to a journal of ours: the datagram, or the file that came instead.
    fn entry(record: &Record) -> (bool, Vec<u8>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let journal = UnixDatagram::bind(&path).unwrap();
        let labels = BTreeMap::from([("_com.x-y".to_owned(), "one\ntwo".to_owned())]);
        let facts = ContainerFacts {
            id: &"ab".repeat(32),
            name: "/web",
            image_id: "",
            image_name: "image",
            command: &[],
            labels: &labels,
            env: &[],
            created: "",
        };
        let mut config = Config::resolve(&labels, "tag", &facts);
        config.socket = path.to_str().unwrap().to_owned();
        let (_ours, theirs) = Pipe::pair().unwrap();
        Journald::open(config).unwrap().send(record, &mut Inbox::new(theirs)).unwrap();
        let mut buffer = vec![0; 1 << 20];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut rights = RecvAncillaryBuffer::new(&mut space);
        let length =
            recvmsg(&journal, &mut [io::IoSliceMut::new(&mut buffer)], &mut rights, RecvFlags::empty())
                .unwrap()
                .bytes;
        for message in rights.drain() {
            if let RecvAncillaryMessage::ScmRights(mut files) = message {
                let file = files.next().unwrap();
                assert!(rustix::fs::fcntl_get_seals(&file).unwrap().contains(SealFlags::WRITE));
                let mut text = Vec::new();
                rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0)).unwrap();
                File::from(file).read_to_end(&mut text).unwrap();
                return (true, text);
            }
        }
        (false, buffer[..length].to_vec())
    }

    #[test]
    fn an_entry_has_docker_s_fields() {
        let mut record = Record::new();
        record.stream = Stream::Stderr;
        record.text = b"hello".to_vec();
        record.partial = Some(Partial { id: [1; 32], ordinal: 2, last: true });
        let (as_file, text) = entry(&record);
        assert!(!as_file);
        let text = String::from_utf8(text).unwrap();
        let begin =
            "PRIORITY=3\nMESSAGE=hello\nCOM_X_Y\n\u{7}\0\0\0\0\0\0\0one\ntwo\nCONTAINER_ID=abababababab\n";
        assert!(text.starts_with(begin), "{text}");
        for field in [
            "CONTAINER_NAME=web\n",
            "CONTAINER_TAG=tag\n",
            "SYSLOG_IDENTIFIER=tag\n",
            "IMAGE_NAME=image\n",
            "CONTAINER_LOG_ORDINAL=1\n",
            "SYSLOG_TIMESTAMP=1970-01-01T00:00:00Z\n",
            "CONTAINER_PARTIAL_ORDINAL=2\nCONTAINER_PARTIAL_LAST=true\n",
        ] {
            assert!(text.contains(field), "{field} {text}");
        }
    }

    #[test]
    fn what_is_too_long_for_a_datagram_goes_as_a_sealed_file() {
        let mut record = Record::new();
        record.text = vec![b'x'; 4 << 20];
        let (as_file, text) = entry(&record);
        assert!(as_file && text.len() > 4 << 20);
        assert!(text.starts_with(b"PRIORITY=6\nMESSAGE=xxx"));
    }

    #[test]
    fn no_journal_is_told() {
        let config = Config { socket: "/nonexistent/journal".to_owned(), fields: BTreeMap::new() };
        assert_eq!(Journald::open(config).unwrap_err().to_string(), "journald is not enabled on this host");
    }
}

//! Events on disk: a line of JSON each, in two files that take turns, so that there is always a past and never too much
//! of it.
//!
//! ```text
//! <data-root>/events.jsonl      written until it is full, then renamed to
//! <data-root>/events.jsonl.1    the one before, which is replaced
//! ```
//!
//! One thread owns the files. Whoever publishes only sends: no container waits for the disk, and nothing is synced.
//! Reading is asked of the same thread, and so comes after all that was published before. A line that an engine did not
//! live to finish is passed over, and the next begins behind it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::Event;

/// Of one of the two files: some twenty thousand events.
const FILE_BYTES: u64 = 8 << 20;
/// Where the last number is looked for at start.
const TAIL_BYTES: u64 = 64 << 10;
/// Lines that are waiting are written together, up to this much.
const BATCH_BYTES: usize = 256 << 10;

/// An event with its place among all.
#[derive(Debug, Clone)]
pub(super) struct Numbered {
    pub(super) number: u64,
    pub(super) event: Event,
}

/// Which of the past.
pub(super) type Wanted = Box<dyn Fn(&Event) -> bool + Send>;

enum Order {
    Keep(Numbered),
    /// Those with a smaller number.
    Read {
        before: u64,
        wanted: Wanted,
        reply: oneshot::Sender<Vec<Event>>,
    },
    /// Answered when all that came before is written.
    Flush(oneshot::Sender<()>),
}

/// For so long after a write nobody has to wake the thread, which costs the one who publishes more than the sending: what
/// comes meanwhile (events come in crowds) is found when it looks next.
const REST: Duration = Duration::from_millis(5);

/// The way to the thread; it ends with this.
#[derive(Debug)]
pub(super) struct Journal {
    orders: Sender<Order>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    number: u64,
    at: Timestamp,
    kind: String,
    action: String,
    id: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

impl Journal {
    /// Answers the next number, too.
    pub(super) fn open(path: PathBuf) -> (Self, u64) {
        Self::with_size(path, FILE_BYTES)
    }

    fn with_size(path: PathBuf, file_bytes: u64) -> (Self, u64) {
        let next =
            [path.clone(), older(&path)].iter().find_map(|path| last_number(path)).map_or(0, |n| n + 1);
        let (orders, received) = channel();
        let files = Files { path, file_bytes, current: None, failed: false };
        let thread = std::thread::Builder::new().name("events".into()).spawn(move || files.serve(&received));
        if let Err(error) = thread {
            tracing::warn!(%error, "events are not kept on disk: there is no thread for it");
        }
        (Self { orders }, next)
    }

    pub(super) fn keep(&self, event: Numbered) {
        // An error: there is no thread, which was said.
        let _ = self.orders.send(Order::Keep(event));
    }

    pub(super) async fn read(&self, before: u64, wanted: Wanted) -> Vec<Event> {
        let (reply, answer) = oneshot::channel();
        let _ = self.orders.send(Order::Read { before, wanted, reply });
        answer.await.unwrap_or_default()
    }

    pub(super) async fn flush(&self) {
        let (reply, answer) = oneshot::channel();
        let _ = self.orders.send(Order::Flush(reply));
        let _ = answer.await;
    }
}

struct Files {
    path: PathBuf,
    file_bytes: u64,
    /// Open for appending, and how long it is.
    current: Option<(File, u64)>,
    /// The last write did not succeed: said once.
    failed: bool,
}

impl Files {
    fn serve(mut self, orders: &Receiver<Order>) {
        let mut batch = Vec::new();
        let mut next = orders.recv().ok();
        while let Some(order) = next.take() {
            match order {
                Order::Keep(event) => {
                    put_line(&mut batch, event);
                    // What else is there already goes with it.
                    next = orders.try_recv().ok();
                    let goes_on = matches!(next, Some(Order::Keep(_))) && batch.len() < BATCH_BYTES;
                    if !goes_on {
                        self.write(&batch);
                        batch.clear();
                        std::thread::sleep(REST);
                        next = next.or_else(|| orders.try_recv().ok());
                    }
                }
                // Nobody may be waiting any more.
                Order::Read { before, wanted, reply } => drop(reply.send(self.read(before, &wanted))),
                Order::Flush(reply) => drop(reply.send(())),
            }
            next = next.or_else(|| orders.recv().ok());
        }
    }

    fn write(&mut self, lines: &[u8]) {
        match self.try_write(lines) {
            Ok(()) => self.failed = false,
            Err(error) => {
                // What was written of it is no whole line, perhaps: it is opened again, which closes it.
                self.current = None;
                if !std::mem::replace(&mut self.failed, true) {
                    tracing::warn!(path = %self.path.display(), %error, "events are not kept on disk");
                }
            }
        }
    }

    fn try_write(&mut self, lines: &[u8]) -> std::io::Result<()> {
        let length = lines.len() as u64;
        if self.current.as_ref().is_some_and(|(_, size)| size + length > self.file_bytes) {
            self.current = None;
            std::fs::rename(&self.path, older(&self.path))?;
        }
        let (file, size) = match &mut self.current {
            Some(current) => current,
            None => self.current.insert(append(&self.path)?),
        };
        file.write_all(lines)?;
        *size += length;
        Ok(())
    }

    fn read(&self, before: u64, wanted: &Wanted) -> Vec<Event> {
        let mut events = Vec::new();
        for path in [older(&self.path), self.path.clone()] {
            // One that is not there has nothing.
            let Ok(bytes) = std::fs::read(path) else { continue };
            let lines = bytes.split(|byte| *byte == b'\n').filter_map(read_line);
            events.extend(lines.filter(|line| line.number < before).map(|line| line.event).filter(wanted));
        }
        events
    }
}

/// The file, and its length; a line that was not finished is, so that it spoils no other.
fn append(path: &Path) -> std::io::Result<(File, u64)> {
    let mut options = File::options();
    let mut file = options.read(true).append(true).create(true).open(path)?;
    let mut size = file.metadata()?.len();
    if size > 0 {
        let mut last = [0];
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            file.write_all(b"\n")?;
            size += 1;
        }
    }
    Ok((file, size))
}

fn older(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    name.into()
}

fn put_line(to: &mut Vec<u8>, Numbered { number, event }: Numbered) {
    let Event { kind, action, actor_id, attributes, at } = event;
    let line = Line { number, at, kind: kind.to_owned(), action, id: actor_id, attributes };
    // Strings, numbers and a time have a JSON form.
    if serde_json::to_writer(&mut *to, &line).is_ok() {
        to.push(b'\n');
    }
}

fn read_line(text: &[u8]) -> Option<Numbered> {
    let line: Line = serde_json::from_slice(text).ok()?;
    let event = Event {
        kind: super::KINDS.iter().find(|kind| **kind == line.kind)?,
        action: line.action,
        actor_id: line.id,
        attributes: line.attributes,
        at: line.at,
    };
    Some(Numbered { number: line.number, event })
}

/// `None`: there is no line that can be read.
fn last_number(path: &Path) -> Option<u64> {
    let mut file = File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    for tail in [TAIL_BYTES, u64::MAX] {
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(length.saturating_sub(tail))).ok()?;
        file.read_to_end(&mut bytes).ok()?;
        let last = bytes.rsplit(|byte| *byte == b'\n').find_map(read_line);
        if last.is_some() || tail >= length {
            return last.map(|line| line.number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(action: &str) -> Event {
        Event {
            kind: "container",
            action: action.into(),
            actor_id: "abc".into(),
            attributes: [("name".to_owned(), "web".to_owned())].into(),
            at: "2026-01-02T03:04:05.000000006Z".parse().unwrap(),
        }
    }

    fn keep(journal: &Journal, number: u64, action: &str) {
        journal.keep(Numbered { number, event: event(action) });
    }

    async fn actions(journal: &Journal, before: u64) -> Vec<String> {
        let events = journal.read(before, Box::new(|event| event.action != "unwanted")).await;
        events.into_iter().map(|event| event.action).collect()
    }

    #[tokio::test]
    async fn what_one_engine_kept_the_next_reads() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.jsonl");
        let (journal, next) = Journal::open(path.clone());
        assert_eq!(next, 0);
        for (number, action) in ["create", "unwanted", "start"].into_iter().enumerate() {
            keep(&journal, number as u64, action);
        }
        let read = journal.read(9, Box::new(|event| event.action == "start")).await;
        assert_eq!(read, [event("start")]);
        journal.flush().await;
        drop(journal);

        // Killed in the middle of a line.
        let mut file = File::options().append(true).open(&path).unwrap();
        file.write_all(b"{\"number\":3,\"at\":\"2026").unwrap();
        let (journal, next) = Journal::open(path.clone());
        assert_eq!(next, 3);
        keep(&journal, 3, "die");
        assert_eq!(actions(&journal, 9).await, ["create", "start", "die"]);
        assert_eq!(actions(&journal, 3).await, ["create", "start"], "the rest is in memory");
        // And bytes that are no text.
        std::fs::write(&path, b"\xff\xfe\n").unwrap();
        assert_eq!(last_number(&path), None);
    }

    #[tokio::test]
    async fn two_files_take_turns() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events.jsonl");
        let (journal, _) = Journal::with_size(path.clone(), 2000);
        for number in 0..100 {
            keep(&journal, number, &format!("action-{number}"));
            journal.flush().await;
        }
        let kept = actions(&journal, u64::MAX).await;
        assert!((15..60).contains(&kept.len()), "{}", kept.len());
        let expected: Vec<String> =
            (100 - kept.len()..100).map(|number| format!("action-{number}")).collect();
        assert_eq!(kept, expected, "the newest, in order, without a gap");
        for path in [path.clone(), older(&path)] {
            assert!(std::fs::metadata(path).unwrap().len() <= 2000);
        }
        drop(journal);
        std::fs::remove_file(&path).unwrap();
        let (_, next) = Journal::open(path);
        assert!(next > 50 && next < 100, "from the older one: {next}");
    }

    #[tokio::test]
    async fn a_directory_that_is_not_there_costs_the_past_and_nothing_else() {
        let (journal, next) = Journal::open("/nowhere/at/all/events.jsonl".into());
        keep(&journal, next, "create");
        assert_eq!(actions(&journal, 9).await, Vec::<String>::new());
    }
}

//! The record store: typed, versioned values by namespace and key, in one SQLite file in WAL mode.
//!
//! A record type implements [`Record`]; its JSON is stored with its version, and an older version is
//! upgraded when it is read. Writes are grouped in a [`Batch`] and committed at once. [`Durability::Full`]
//! has reached the disk when `commit` returns (one `fdatasync`, about 0.3 ms); [`Durability::Relaxed`]
//! survives a crash of the engine but perhaps not of the machine (about 30 us), for what `--rm` containers
//! leave. A later full commit makes earlier relaxed ones durable too: they share the log.
//!
//! Full commits that come while another waits for the disk go together in the next transaction: however many
//! containers are created at once, the disk is waited for twice.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{Error, Result};

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS records (
    namespace TEXT NOT NULL,
    key       TEXT NOT NULL,
    version   INTEGER NOT NULL,
    value     TEXT NOT NULL,
    PRIMARY KEY (namespace, key)
) WITHOUT ROWID;
";
/// `PRAGMA user_version`: the layout of the table itself.
const SCHEMA_VERSION: i64 = 1;

/// A type that is kept on disk.
pub trait Record: Serialize + DeserializeOwned {
    const NAMESPACE: &'static str;
    /// Grows when the JSON changes its shape.
    const VERSION: u32;

    /// Turns the JSON of an older version into today's. Called only for `version != VERSION`.
    fn upgrade(version: u32, value: Value) -> Result<Value, String> {
        let _ = value;
        Err(format!("version {version} cannot be read by this engine (it writes {})", Self::VERSION))
    }
}

/// How long a commit waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Until the disk has it.
    Full,
    /// Until the kernel has it.
    Relaxed,
}

/// The open database. Cheap to share behind an `Arc`; calls block, for the disk at worst.
#[derive(Debug)]
pub struct Records {
    // One connection: SQLite has one writer anyway, and reads are from the engine's memory, not from here.
    // The mutex is held for one statement or one transaction, never across a call to the outside.
    connection: Mutex<State>,
    // Held to queue a batch or to take the queue; who commits for all holds only the connection meanwhile.
    waiting: Mutex<Group>,
    committed: Condvar,
}

/// Full commits on their way. Whoever finds nobody at work takes all that wait, and commits for them.
#[derive(Debug, Default)]
struct Group {
    at_work: bool,
    next: u64,
    queued: Vec<(u64, Batch)>,
    /// What became of those that somebody else committed.
    done: HashMap<u64, Result<()>>,
}

#[derive(Debug)]
struct State {
    connection: Connection,
    durability: Durability,
    /// For errors.
    path: PathBuf,
}

impl State {
    /// Key, version and value of each record of a namespace.
    fn rows(&self, namespace: &str) -> rusqlite::Result<Vec<(String, u32, String)>> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT key, version, value FROM records WHERE namespace = ?1 ORDER BY key")?;
        let rows = statement.query_map([namespace], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        rows.collect()
    }

    fn row(&self, namespace: &str, key: &str) -> rusqlite::Result<Option<(u32, String)>> {
        self.connection
            .prepare_cached("SELECT version, value FROM records WHERE namespace = ?1 AND key = ?2")?
            .query_row(params![namespace, key], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
    }

    fn write(&mut self, batches: &[&Batch], durability: Durability) -> rusqlite::Result<()> {
        if self.durability != durability {
            let level = match durability {
                Durability::Full => "FULL",
                Durability::Relaxed => "NORMAL",
            };
            self.connection.pragma_update(None, "synchronous", level)?;
            self.durability = durability;
        }
        let transaction =
            self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        for write in batches.iter().flat_map(|batch| &batch.writes) {
            match write {
                Write::Put { namespace, key, version, value } => transaction
                    .prepare_cached("INSERT OR REPLACE INTO records (namespace, key, version, value) VALUES (?1, ?2, ?3, ?4)")?
                    .execute(params![namespace, key, version, value])?,
                Write::Delete { namespace, key } => transaction
                    .prepare_cached("DELETE FROM records WHERE namespace = ?1 AND key = ?2")?
                    .execute(params![namespace, key])?,
            };
        }
        transaction.commit()
    }
}

impl Records {
    /// Opens or creates the database.
    pub fn open(path: &Path) -> Result<Records> {
        let (connection, version) = Self::connect(path).map_err(database(path))?;
        if version > SCHEMA_VERSION {
            return Err(Error::Unsupported(format!(
                "{}: database version {version} (this engine knows {SCHEMA_VERSION})",
                path.display()
            )));
        }
        Self::prepare(&connection, version).map_err(database(path))?;
        let state = State { connection, durability: Durability::Full, path: path.to_owned() };
        Ok(Records { connection: Mutex::new(state), waiting: Mutex::default(), committed: Condvar::new() })
    }

    fn connect(path: &Path) -> rusqlite::Result<(Connection, i64)> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        let version = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        Ok((connection, version))
    }

    fn prepare(connection: &Connection, version: i64) -> rusqlite::Result<()> {
        connection.execute_batch(SCHEMA)?;
        if version != SCHEMA_VERSION {
            connection.pragma_update(None, "user_version", SCHEMA_VERSION)?;
        }
        connection.set_prepared_statement_cache_capacity(32);
        Ok(())
    }

    pub fn get<R: Record>(&self, key: &str) -> Result<Option<R>> {
        Self::read(&self.state(), key)
    }

    /// All records of a type, by key. One that cannot be read is an error of its own, and no reason to lose the others.
    pub fn list<R: Record>(&self) -> Result<Vec<(String, Result<R>)>> {
        let rows = {
            let state = self.state();
            state.rows(R::NAMESPACE).map_err(database(&state.path))?
        };
        let decoded = rows.into_iter().map(|(key, version, value)| {
            let record = decode::<R>(&key, version, &value);
            (key, record)
        });
        Ok(decoded.collect())
    }

    /// One record in a transaction of its own.
    pub fn put<R: Record>(&self, key: &str, record: &R, durability: Durability) -> Result<()> {
        let mut batch = Batch::new();
        batch.put(key, record)?;
        self.commit(batch, durability)
    }

    /// Deleting what is not there is fine.
    pub fn delete<R: Record>(&self, key: &str, durability: Durability) -> Result<()> {
        let mut batch = Batch::new();
        batch.delete::<R>(key);
        self.commit(batch, durability)
    }

    /// All of the batch, or nothing.
    pub fn commit(&self, batch: Batch, durability: Durability) -> Result<()> {
        if batch.writes.is_empty() {
            return Ok(());
        }
        match durability {
            Durability::Relaxed => Self::write(&mut self.state(), &[&batch], durability),
            Durability::Full => self.commit_with_others(batch),
        }
    }

    fn commit_with_others(&self, batch: Batch) -> Result<()> {
        let mut group = self.group();
        let number = group.next;
        group.next += 1;
        group.queued.push((number, batch));
        while group.at_work {
            group = self.committed.wait(group).unwrap_or_else(PoisonError::into_inner);
            if let Some(outcome) = group.done.remove(&number) {
                return outcome;
            }
        }
        group.at_work = true;
        let queued = std::mem::take(&mut group.queued);
        drop(group);
        let outcomes = self.commit_group(&queued);
        let mut group = self.group();
        group.at_work = false;
        let mut own = Ok(());
        for ((waiter, _), outcome) in queued.into_iter().zip(outcomes) {
            if waiter == number {
                own = outcome;
            } else {
                group.done.insert(waiter, outcome);
            }
        }
        drop(group);
        self.committed.notify_all();
        own
    }

    /// One transaction; if it fails, each on its own, so that nobody suffers for another's batch.
    fn commit_group(&self, queued: &[(u64, Batch)]) -> Vec<Result<()>> {
        let mut state = self.state();
        let batches: Vec<&Batch> = queued.iter().map(|(_, batch)| batch).collect();
        match (Self::write(&mut state, &batches, Durability::Full), &batches[..]) {
            (Ok(()), batches) => batches.iter().map(|_| Ok(())).collect(),
            (Err(error), [_]) => vec![Err(error)],
            (Err(_), batches) => {
                batches.iter().map(|batch| Self::write(&mut state, &[batch], Durability::Full)).collect()
            }
        }
    }

    /// Reads a record and writes what `change` makes of it, with no other write in between.
    /// Nothing happens if there is no record, or if `change` answers `None`.
    pub fn modify<R: Record>(
        &self,
        key: &str,
        durability: Durability,
        change: impl FnOnce(R) -> Option<R>,
    ) -> Result<()> {
        let mut state = self.state();
        let Some(changed) = Self::read::<R>(&state, key)?.and_then(change) else { return Ok(()) };
        let mut batch = Batch::new();
        batch.put(key, &changed)?;
        Self::write(&mut state, &[&batch], durability)
    }

    fn read<R: Record>(state: &State, key: &str) -> Result<Option<R>> {
        let row = state.row(R::NAMESPACE, key).map_err(database(&state.path))?;
        row.map(|(version, value)| decode::<R>(key, version, &value)).transpose()
    }

    fn write(state: &mut State, batches: &[&Batch], durability: Durability) -> Result<()> {
        state.write(batches, durability).map_err(|source| database(&state.path)(source))
    }

    fn group(&self) -> MutexGuard<'_, Group> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while it was held rolled the transaction back; the connection is fine.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes to be committed together.
#[derive(Debug, Default)]
pub struct Batch {
    writes: Vec<Write>,
}

#[derive(Debug)]
enum Write {
    Put { namespace: &'static str, key: String, version: u32, value: String },
    Delete { namespace: &'static str, key: String },
}

impl Batch {
    pub fn new() -> Batch {
        Batch::default()
    }

    pub fn put<R: Record>(&mut self, key: &str, record: &R) -> Result<()> {
        let value =
            serde_json::to_string(record).map_err(|error| record_error::<R>(key, error.to_string()))?;
        self.writes.push(Write::Put { namespace: R::NAMESPACE, key: key.into(), version: R::VERSION, value });
        Ok(())
    }

    pub fn delete<R: Record>(&mut self, key: &str) {
        self.writes.push(Write::Delete { namespace: R::NAMESPACE, key: key.into() });
    }
}

/// SQLite's own words do not say which file they are about.
fn database(path: &Path) -> impl FnOnce(rusqlite::Error) -> Error {
    move |source| Error::Database { path: path.to_owned(), source }
}

fn decode<R: Record>(key: &str, version: u32, value: &str) -> Result<R> {
    let record = if version == R::VERSION {
        serde_json::from_str(value).map_err(|error| error.to_string())
    } else {
        serde_json::from_str(value)
            .map_err(|error| error.to_string())
            .and_then(|value| R::upgrade(version, value))
            .and_then(|value| serde_json::from_value(value).map_err(|error| error.to_string()))
    };
    record.map_err(|cause| record_error::<R>(key, cause))
}

fn record_error<R: Record>(key: &str, cause: String) -> Error {
    Error::Record { namespace: R::NAMESPACE, key: key.into(), cause }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Boat {
        length: u32,
    }

    impl Record for Boat {
        const NAMESPACE: &'static str = "boats";
        const VERSION: u32 = 2;

        fn upgrade(version: u32, mut value: Value) -> Result<Value, String> {
            assert_eq!(version, 1);
            let length = value["len"].take();
            Ok(serde_json::json!({ "length": length }))
        }
    }

    #[test]
    fn what_was_committed_is_there_after_reopening() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        let records = Records::open(&path).unwrap();
        records.put("a", &Boat { length: 3 }, Durability::Full).unwrap();
        records.put("b", &Boat { length: 4 }, Durability::Relaxed).unwrap();
        let mut batch = Batch::new();
        batch.delete::<Boat>("a");
        batch.put("c", &Boat { length: 5 }).unwrap();
        records.commit(batch, Durability::Full).unwrap();
        drop(records);
        let records = Records::open(&path).unwrap();
        assert_eq!(records.get::<Boat>("a").unwrap(), None);
        let all: Vec<_> =
            records.list::<Boat>().unwrap().into_iter().map(|(key, boat)| (key, boat.unwrap())).collect();
        assert_eq!(all, [("b".into(), Boat { length: 4 }), ("c".into(), Boat { length: 5 })]);
    }

    #[test]
    fn full_commits_at_once_are_all_there_and_none_is_lost_to_another() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        let records = Records::open(&path).unwrap();
        std::thread::scope(|scope| {
            for worker in 0..8u32 {
                let records = &records;
                scope.spawn(move || {
                    for n in 0..20 {
                        let key = format!("{worker}-{n}");
                        records.put(&key, &Boat { length: n }, Durability::Full).unwrap();
                        // It is there when the commit returns, not soon after.
                        assert_eq!(records.get::<Boat>(&key).unwrap(), Some(Boat { length: n }));
                    }
                });
            }
        });
        assert!(records.group().done.is_empty() && records.group().queued.is_empty());
        drop(records);
        assert_eq!(Records::open(&path).unwrap().list::<Boat>().unwrap().len(), 160);
    }

    #[test]
    fn an_older_version_is_upgraded_and_a_broken_one_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::open(&dir.path().join("db")).unwrap();
        let insert = |key: &str, version: u32, value: &str| {
            records
                .state()
                .connection
                .execute("INSERT INTO records VALUES ('boats', ?1, ?2, ?3)", params![key, version, value])
                .unwrap();
        };
        insert("old", 1, r#"{"len": 7}"#);
        insert("broken", 2, "{");
        assert_eq!(records.get::<Boat>("old").unwrap(), Some(Boat { length: 7 }));
        let error = records.get::<Boat>("broken").unwrap_err().to_string();
        assert!(error.starts_with("record boats/broken: "), "{error}");
        let readable: Vec<_> =
            records.list::<Boat>().unwrap().into_iter().map(|(_, boat)| boat.ok()).collect();
        assert_eq!(readable, [None, Some(Boat { length: 7 })]);
    }
}

//! Things in a bucket of S3: the names of objects are the paths of the layout, as Docker's registry has them there.
//!
//! What a directory is on a file system is a common beginning of names here. Times are those of objects; what is wanted again
//! gets a small object beside it (`.kept`), since an object cannot be touched without copying it.

mod client;
mod multipart;
mod settings;

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use rusty_s3::actions::{ListObjectsV2, ListObjectsV2Response, S3Action};
use rusty_s3::{Bucket as Place, Credentials, UrlStyle};
use tokio::sync::mpsc;

use super::medium::{Blob, Bytes as From, Entry, Medium, Sink, Taken};
use crate::body::Body;
use crate::error::{Code, Error, Result};

pub use settings::BucketSettings;

use client::{Answer, Asked, Client};
use multipart::Multipart;

/// How long a signed address holds: longer than one request takes.
const SIGNED: Duration = Duration::from_secs(3600);
/// One that is given to a client, as by Docker's registry.
const GIVEN: Duration = Duration::from_secs(20 * 60);
/// Beside a blob: when somebody last wanted it.
const KEPT: &str = ".kept";
/// As many pieces may wait for a client that reads slowly.
const PIECES_AHEAD: usize = 16;

#[derive(Clone, Debug)]
pub(super) struct Bucket {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    place: Place,
    credentials: Credentials,
    client: Client,
    settings: BucketSettings,
    /// Uploads that requests of this process write to. Held for a look or a change.
    taken: Mutex<HashSet<String>>,
    let_go: Condvar,
}

impl Bucket {
    pub(super) fn open(settings: &BucketSettings) -> Result<Bucket> {
        let wrong = |why: String| Error::new(Code::Unknown, format!("storage.s3: {why}"));
        let endpoint =
            settings.endpoint.parse().map_err(|error| wrong(format!("{}: {error}", settings.endpoint)))?;
        let style = if settings.path_style { UrlStyle::Path } else { UrlStyle::VirtualHost };
        let place = Place::new(endpoint, style, settings.bucket.clone(), settings.region.clone())
            .map_err(|error| wrong(format!("{}: {error}", settings.endpoint)))?;
        let origin = crate::web::Place::parse(place.base_url().as_str()).map_err(wrong)?.origin().clone();
        let client = Client::new(origin).map_err(|error| wrong(error.to_string()))?;
        let credentials = match &settings.session_token {
            Some(token) => Credentials::new_with_token(&settings.access_key, &settings.secret_key, token),
            None => Credentials::new(&settings.access_key, &settings.secret_key),
        };
        let (taken, let_go) = (Mutex::default(), Condvar::new());
        let inner = Inner { place, credentials, client, settings: settings.clone(), taken, let_go };
        let bucket = Bucket { inner: Arc::new(inner) };
        bucket.check()?;
        Ok(bucket)
    }

    /// A request, signed. `headers` are of the action, too.
    fn asked<'a, A: S3Action<'a>>(action: &A, method: Method, headers: HeaderMap, body: Bytes) -> Asked {
        let url = action.sign(SIGNED);
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        Asked { method, target: format!("{}{query}", url.path()), headers, body }
    }

    fn put(&self, key: &str, bytes: Bytes, more: &[(&'static str, String)]) -> Asked {
        let mut action = self.inner.place.put_object(Some(&self.inner.credentials), key);
        let mut headers = HeaderMap::new();
        let own = self.inner.settings.headers();
        for (name, value) in own.iter().chain(more) {
            action.headers_mut().insert(*name, value.clone());
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        Self::asked(&action, Method::PUT, headers, bytes)
    }

    fn write(&self, key: &str, bytes: Bytes) -> Result<()> {
        good("write", key, self.inner.client.ask(self.put(key, bytes, &[])))?;
        Ok(())
    }

    fn get(&self, key: &str, range: Option<(u64, u64)>) -> Asked {
        let action = self.inner.place.get_object(Some(&self.inner.credentials), key);
        let mut headers = HeaderMap::new();
        if let Some((first, last)) = range
            && let Ok(value) = HeaderValue::from_str(&format!("bytes={first}-{last}"))
        {
            headers.insert(http::header::RANGE, value);
        }
        Self::asked(&action, Method::GET, headers, Bytes::new())
    }

    fn head(&self, key: &str) -> Result<Option<Answer>> {
        let action = self.inner.place.head_object(Some(&self.inner.credentials), key);
        let asked = Self::asked(&action, Method::HEAD, HeaderMap::new(), Bytes::new());
        found("look at", key, self.inner.client.ask(asked))
    }

    fn delete(&self, key: &str) -> Result<()> {
        let action = self.inner.place.delete_object(Some(&self.inner.credentials), key);
        let asked = Self::asked(&action, Method::DELETE, HeaderMap::new(), Bytes::new());
        found("remove", key, self.inner.client.ask(asked)).map(drop)
    }

    /// Pages of a list, to a function that says whether it wants more.
    fn list(
        &self,
        prefix: &str,
        directly: bool,
        most: Option<usize>,
        take: &mut dyn FnMut(ListObjectsV2Response) -> bool,
    ) -> Result<()> {
        let mut next: Option<String> = None;
        loop {
            let mut action = ListObjectsV2::new(&self.inner.place, Some(&self.inner.credentials));
            action.with_prefix(prefix);
            if directly {
                action.with_delimiter("/");
            }
            if let Some(most) = most {
                action.with_max_keys(most);
            }
            if let Some(token) = &next {
                action.with_continuation_token(token.clone());
            }
            let asked = Self::asked(&action, Method::GET, HeaderMap::new(), Bytes::new());
            let answer = good("list", prefix, self.inner.client.ask(asked))?;
            let page = ListObjectsV2::parse_response(&String::from_utf8_lossy(&answer.body))
                .map_err(|error| failed("list", prefix, &error.to_string()))?;
            next.clone_from(&page.next_continuation_token);
            if !take(page) || next.is_none() {
                return Ok(());
            }
        }
    }

    /// Keys with their sizes and times, of an object and of all below it.
    fn below(&self, key: &str) -> Result<Vec<(String, u64, Option<SystemTime>)>> {
        let mut found = Vec::new();
        let inside = format!("{key}/");
        self.list(key, false, None, &mut |page| {
            let objects =
                page.contents.into_iter().filter(|one| one.key == key || one.key.starts_with(&inside));
            found.extend(objects.map(|one| {
                let time = one.last_modified.as_deref().and_then(time_of);
                (one.key, one.size.unwrap_or(0), time)
            }));
            true
        })?;
        Ok(found)
    }
}

fn key(path: &Path) -> String {
    path.to_string_lossy().trim_start_matches('/').to_owned()
}

fn failed(what: &str, key: &str, why: &str) -> Error {
    Error::new(Code::Unknown, format!("{what} s3 object {key}: {why}"))
}

/// A good answer, or what the server said in the other ones.
fn good(what: &str, key: &str, answer: Result<Answer, String>) -> Result<Answer> {
    let answer =
        answer.map_err(|why| Error::new(Code::Unavailable, format!("{what} s3 object {key}: {why}")))?;
    if answer.status.is_success() {
        return Ok(answer);
    }
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    let part = |tag: &str| {
        let rest = body.split_once(&format!("<{tag}>"))?.1;
        Some(rest.split_once('<')?.0.to_owned())
    };
    let why = match (part("Code"), part("Message")) {
        (Some(code), Some(message)) => format!("{}: {code}: {message}", answer.status),
        _ => answer.status.to_string(),
    };
    let error = failed(what, key, &why);
    Err(match answer.status.is_server_error() {
        true => Error { code: Code::Unavailable, ..error },
        false => error,
    })
}

/// The same; `None`: there is no such object.
fn found(what: &str, key: &str, answer: Result<Answer, String>) -> Result<Option<Answer>> {
    match answer {
        Ok(answer) if answer.status == StatusCode::NOT_FOUND => Ok(None),
        answer => good(what, key, answer).map(Some),
    }
}

fn length(answer: &Answer) -> u64 {
    let header = answer.headers.get(http::header::CONTENT_LENGTH);
    header.and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(0)
}

/// `2026-11-30T03:00:00.000Z`
fn time_of(text: &str) -> Option<SystemTime> {
    system_time(text.parse().ok()?)
}

fn system_time(at: jiff::Timestamp) -> Option<SystemTime> {
    Some(SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(at.as_millisecond()).ok()?))
}

fn modified(answer: &Answer) -> Option<SystemTime> {
    let text = answer.headers.get(http::header::LAST_MODIFIED)?.to_str().ok()?;
    let parsed = jiff::fmt::rfc2822::parse(text).ok()?;
    system_time(parsed.timestamp())
}

impl Medium for Bucket {
    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        let key = key(path);
        let answer = found("read", &key, self.inner.client.ask(self.get(&key, None)))?;
        Ok(answer.map(|answer| answer.body.into()))
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        Bucket::write(self, &key(path), Bytes::copy_from_slice(bytes))
    }

    fn size(&self, path: &Path) -> Result<Option<u64>> {
        Ok(self.head(&key(path))?.map(|answer| length(&answer)))
    }

    fn time(&self, path: &Path) -> Option<SystemTime> {
        let own = self.head(&key(path)).ok().flatten().and_then(|answer| modified(&answer));
        let kept = self.head(&key(&path.with_file_name(KEPT))).ok().flatten();
        own.max(kept.and_then(|answer| modified(&answer)))
    }

    fn touch(&self, path: &Path) -> Result<()> {
        match self.size(path)? {
            Some(_) => Bucket::write(self, &key(&path.with_file_name(KEPT)), Bytes::new()),
            None => Ok(()),
        }
    }

    fn entries(&self, path: &Path) -> Result<Vec<Entry>> {
        let prefix = format!("{}/", key(path));
        let mut entries = Vec::new();
        self.list(&prefix, true, None, &mut |page| {
            let mut add = |name: &str, is_directory| {
                let name = name.strip_prefix(&prefix).unwrap_or_default().trim_end_matches('/');
                if !name.is_empty() && !name.starts_with('.') {
                    entries.push(Entry { name: name.to_owned(), is_directory });
                }
            };
            page.common_prefixes.iter().for_each(|below| add(&below.prefix, true));
            page.contents.iter().for_each(|object| add(&object.key, false));
            true
        })?;
        Ok(entries)
    }

    fn has_below(&self, path: &Path) -> bool {
        let mut any = false;
        let listed = self.list(&format!("{}/", key(path)), false, Some(1), &mut |page| {
            any = !page.contents.is_empty();
            false
        });
        listed.is_ok() && any
    }

    fn remove(&self, path: &Path) -> Result<bool> {
        let found = self.below(&key(path))?;
        multipart::abort_all(self, &found)?;
        found.iter().try_for_each(|(key, ..)| self.delete(key))?;
        Ok(!found.is_empty())
    }

    fn open(&self, path: &Path) -> Result<Option<Blob>> {
        let key = key(path);
        let Some(answer) = self.head(&key)? else { return Ok(None) };
        let size = length(&answer);
        Ok(Some(Blob { bytes: From::Object(Object { bucket: self.clone(), key, size }), size }))
    }

    fn shares_with(&self, _: &Path) -> Result<bool> {
        Ok(false)
    }

    fn share(&self, _: &Path, _: &Path) -> Result<bool> {
        Ok(false)
    }

    fn begin(&self, directory: &Path) -> Result<()> {
        let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        Bucket::write(self, &key(&directory.join("startedat")), now.into())
    }

    fn received(&self, directory: &Path) -> Result<Option<u64>> {
        Ok(multipart::find(self, &key(directory))?.map(|state| state.size()))
    }

    fn take(&self, directory: &Path, patience: Duration) -> Result<Taken> {
        let key = key(directory);
        let deadline = Instant::now() + patience;
        let Some(hold) = Hold::take(self, &key, deadline) else { return Ok(Taken::Busy) };
        let Some(state) = multipart::find(self, &key)? else { return Ok(Taken::Gone) };
        Ok(Taken::Ours(Box::new(Multipart::of(self.clone(), key, state, hold)?) as Box<dyn Sink>))
    }

    fn purge(&self, directory: &Path, old: &dyn Fn(SystemTime) -> bool, dry_run: bool) -> Result<bool> {
        let directory = key(directory);
        let Some(_hold) = Hold::take(self, &directory, Instant::now()) else { return Ok(false) };
        let found = self.below(&directory)?;
        let parts = multipart::last_part(self, &found)?;
        let last = found.iter().filter_map(|(_, _, time)| *time).max().max(parts);
        let goes = last.is_some_and(old);
        if goes && !dry_run {
            multipart::abort_all(self, &found)?;
            found.iter().try_for_each(|(key, ..)| self.delete(key))?;
        }
        Ok(goes)
    }

    fn check(&self) -> Result<()> {
        self.list("", false, Some(1), &mut |_| false).map_err(|error| Error {
            message: format!("bucket {}: {}", self.inner.settings.bucket, error.message),
            ..error
        })
    }

    fn kind(&self) -> &'static str {
        "s3"
    }
}

/// An upload that a request of this process writes to. Requests of other processes are not kept out: whoever sends to two of
/// them at once spoils the upload, and its digest will say so.
#[derive(Debug)]
pub(super) struct Hold {
    bucket: Bucket,
    key: String,
}

impl Hold {
    fn take(bucket: &Bucket, key: &str, deadline: Instant) -> Option<Hold> {
        let inner = &bucket.inner;
        let mut taken = inner.taken.lock().unwrap_or_else(PoisonError::into_inner);
        while !taken.insert(key.to_owned()) {
            let left = deadline.checked_duration_since(Instant::now())?;
            taken = inner.let_go.wait_timeout(taken, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Some(Hold { bucket: bucket.clone(), key: key.to_owned() })
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        let inner = &self.bucket.inner;
        inner.taken.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
        inner.let_go.notify_all();
    }
}

/// A blob in a bucket.
#[derive(Debug)]
pub(crate) struct Object {
    bucket: Bucket,
    key: String,
    size: u64,
}

impl Object {
    /// An address under which whoever has it gets the blob, for a while; `None`: all goes through this registry.
    pub(crate) fn given(&self) -> Option<String> {
        let inner = &self.bucket.inner;
        let action = inner.place.get_object(Some(&inner.credentials), &self.key);
        inner.settings.redirect.then(|| action.sign(GIVEN).into())
    }

    /// A piece of it, as it comes.
    pub(crate) fn body(self, first: u64, length: u64) -> Body {
        let (pieces, arriving) = mpsc::channel(PIECES_AHEAD);
        if length > 0 {
            let asked = self.bucket.get(&self.key, Some((first, first + length - 1)));
            let pending = self.bucket.inner.client.stream(asked, pieces.clone());
            // Waits for the head only, and says what is wrong with it.
            tokio::task::spawn_blocking(move || {
                if let Err(error) = good("read", &self.key, pending.wait()) {
                    let _ = pieces.blocking_send(Err(io::Error::other(error.message)));
                }
            });
        }
        Body::Pieces { arriving, left: length }
    }

    /// The first bytes of it.
    pub(super) fn read(self, bytes_max: u64) -> io::Result<Vec<u8>> {
        let last = self.size.min(bytes_max);
        if last == 0 {
            return Ok(Vec::new());
        }
        let asked = self.bucket.get(&self.key, Some((0, last - 1)));
        let answer = good("read", &self.key, self.bucket.inner.client.ask(asked));
        Ok(answer.map_err(|error| io::Error::other(error.message))?.body.into())
    }
}

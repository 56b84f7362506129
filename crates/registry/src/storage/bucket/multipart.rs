//! Uploads to a bucket. What has arrived lies in parts of a multipart upload to `<upload>/data`, whose number at the server
//! stands in `<upload>/multipart`; what is too little for a part lies in `<upload>/tail-<n>`, behind the n bytes of the parts,
//! when a request ends. A tail behind another number of bytes is an older one, which is in a part by now. Any process goes on
//! from there; nothing that was acknowledged is in a process only.
//!
//! Parts cannot be read before they are put together. So a process that has not seen all of a blob has that done first, at
//! `<upload>/data`, and reads it; then the server copies it to where it belongs.

use std::path::Path;
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use rusty_s3::actions::{CreateMultipartUpload, ListParts, S3Action};
use tokio::sync::mpsc;

use super::client::Pending;
use super::{Bucket, Hold, failed, found, good, key, time_of};
use crate::error::{Code, Error, Result};
use crate::storage::medium::Sink;

/// S3 copies no more in one request; larger ones are copied in pieces.
const COPY_BYTES_MAX: u64 = 5 << 30;
const COPY_PIECE_BYTES: u64 = 1 << 30;
const TAIL: &str = "tail-";

/// What there is of an upload.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Its number at the server.
    id: Option<String>,
    etags: Vec<String>,
    parts_bytes: u64,
    last_part: Option<SystemTime>,
    /// The tails' keys; the one behind the parts first, with its bytes.
    tails: Vec<(String, u64)>,
    tail_bytes: u64,
    /// It was put together already.
    whole: Option<u64>,
}

impl State {
    pub(super) fn size(&self) -> u64 {
        self.whole.unwrap_or(self.parts_bytes + self.tail_bytes)
    }
}

type Found = [(String, u64, Option<SystemTime>)];

/// `None`: there is no such upload.
pub(super) fn find(bucket: &Bucket, directory: &str) -> Result<Option<State>> {
    let all = bucket.below(directory)?;
    if all.is_empty() {
        return Ok(None);
    }
    let mut state = State::default();
    let data = format!("{directory}/data");
    if let Some((_, size, _)) = all.iter().find(|(key, ..)| *key == data) {
        state.whole = Some(*size);
        return Ok(Some(state));
    }
    if let Some(id) = id_of(bucket, &all)? {
        parts(bucket, &data, &id, &mut state)?;
        state.id = Some(id);
    }
    let wanted = format!("{directory}/{TAIL}{}", state.parts_bytes);
    for (key, size, _) in all.iter().filter(|(key, ..)| key.contains(&format!("/{TAIL}"))) {
        if *key == wanted {
            state.tail_bytes = *size;
            state.tails.insert(0, (key.clone(), *size));
        } else {
            state.tails.push((key.clone(), *size));
        }
    }
    Ok(Some(state))
}

fn id_of(bucket: &Bucket, all: &Found) -> Result<Option<String>> {
    let Some((key, ..)) = all.iter().find(|(key, ..)| key.ends_with("/multipart")) else { return Ok(None) };
    let answer = found("read", key, bucket.inner.client.ask(bucket.get(key, None)))?;
    Ok(answer.map(|answer| String::from_utf8_lossy(&answer.body).trim().to_owned()))
}

fn parts(bucket: &Bucket, data: &str, id: &str, state: &mut State) -> Result<()> {
    let mut marker = None;
    loop {
        let inner = &bucket.inner;
        let mut action = ListParts::new(&inner.place, Some(&inner.credentials), data, id);
        if let Some(marker) = marker {
            action.set_part_number_marker(marker);
        }
        let asked = Bucket::asked(&action, Method::GET, HeaderMap::new(), Bytes::new());
        // Given up, or put together, by somebody else: what is left is nothing.
        let Some(answer) = found("list parts of", data, inner.client.ask(asked))? else { return Ok(()) };
        // Servers do not agree on the name of the whole.
        let page = String::from_utf8_lossy(&answer.body).into_owned();
        for part in page.split("<Part>").skip(1) {
            let (size, etag) = inside(part, "Size")
                .zip(inside(part, "ETag"))
                .ok_or_else(|| failed("list parts of", data, "one has no size or no ETag"))?;
            state.parts_bytes += size.parse::<u64>().unwrap_or(0);
            state.last_part = state.last_part.max(inside(part, "LastModified").and_then(time_of));
            state.etags.push(etag.replace("&quot;", "\"").replace("&#34;", "\""));
        }
        let more = inside(&page, "IsTruncated") == Some("true");
        marker = inside(&page, "NextPartNumberMarker").and_then(|text| text.parse().ok()).filter(|_| more);
        if marker.is_none() {
            return Ok(());
        }
    }
}

/// The text of an element.
fn inside<'a>(text: &'a str, tag: &str) -> Option<&'a str> {
    let rest = text.split_once(&format!("<{tag}>"))?.1;
    Some(rest.split_once('<')?.0)
}

/// When the last part of an upload came.
pub(super) fn last_part(bucket: &Bucket, all: &Found) -> Result<Option<SystemTime>> {
    let Some(id) = id_of(bucket, all)? else { return Ok(None) };
    let directory = all.iter().find_map(|(key, ..)| key.strip_suffix("/multipart")).unwrap_or_default();
    let mut state = State::default();
    parts(bucket, &format!("{directory}/data"), &id, &mut state)?;
    Ok(state.last_part)
}

/// Gives up the multipart uploads among what is about to be removed: their parts are in no list, and cost.
pub(super) fn abort_all(bucket: &Bucket, all: &Found) -> Result<()> {
    for (at, ..) in all.iter().filter(|(key, ..)| key.ends_with("/multipart")) {
        let Some(id) = id_of(bucket, &[(at.clone(), 0, None)])? else { continue };
        let data = at.replace("/multipart", "/data");
        let inner = &bucket.inner;
        let action = inner.place.abort_multipart_upload(Some(&inner.credentials), &data, &id);
        let asked = Bucket::asked(&action, Method::DELETE, HeaderMap::new(), Bytes::new());
        found("abort the upload of", &data, inner.client.ask(asked))?;
    }
    Ok(())
}

/// One that a request writes to.
#[derive(Debug)]
pub(super) struct Multipart {
    bucket: Bucket,
    directory: String,
    state: State,
    /// Behind the parts.
    buffer: Vec<u8>,
    changed: bool,
    sealed: bool,
    /// The last part, on its way: the next one fills meanwhile.
    sending: Option<Pending>,
    _hold: Hold,
}

impl Multipart {
    pub(super) fn of(bucket: Bucket, directory: String, state: State, hold: Hold) -> Result<Multipart> {
        let mut buffer = Vec::new();
        if state.tail_bytes > 0
            && let Some((key, _)) = state.tails.first()
        {
            buffer = good("read", key, bucket.inner.client.ask(bucket.get(key, None)))?.body.into();
        }
        let (changed, sealed, sending) = (false, false, None);
        Ok(Multipart { bucket, directory, state, buffer, changed, sealed, sending, _hold: hold })
    }

    fn data(&self) -> String {
        format!("{}/data", self.directory)
    }

    fn id(&mut self) -> Result<String> {
        if let Some(id) = &self.state.id {
            return Ok(id.clone());
        }
        let data = self.data();
        let id = create(&self.bucket, &data)?;
        self.bucket.write(&format!("{}/multipart", self.directory), id.clone().into())?;
        self.state.id = Some(id.clone());
        Ok(id)
    }

    /// The first bytes of the buffer become a part.
    fn flush(&mut self, bytes: usize) -> Result<()> {
        let id = self.id()?;
        self.settle()?;
        let rest = self.buffer.split_off(bytes);
        let part = Bytes::from(std::mem::replace(&mut self.buffer, rest));
        let number = u16::try_from(self.state.etags.len() + 1).ok().filter(|number| *number <= 10_000);
        let number = number.ok_or_else(|| {
            Error::new(
                Code::SizeInvalid,
                "the blob has more than 10000 parts: storage.s3.chunksize is too small for it",
            )
        })?;
        let (inner, data) = (&self.bucket.inner, self.data());
        let action = inner.place.upload_part(Some(&inner.credentials), &data, number, &id);
        let asked = Bucket::asked(&action, Method::PUT, HeaderMap::new(), part);
        self.state.parts_bytes += bytes as u64;
        self.sending = Some(inner.client.begin(asked));
        Ok(())
    }

    /// The part on its way has arrived.
    fn settle(&mut self) -> Result<()> {
        let Some(pending) = self.sending.take() else { return Ok(()) };
        let answer = good("write a part of", &self.directory, pending.wait())?;
        let etag = answer.headers.get(http::header::ETAG).and_then(|value| value.to_str().ok());
        let etag =
            etag.ok_or_else(|| failed("write a part of", &self.directory, "the answer has no ETag"))?;
        self.state.etags.push(etag.to_owned());
        Ok(())
    }
}

fn create(bucket: &Bucket, key: &str) -> Result<String> {
    let inner = &bucket.inner;
    let mut action = inner.place.create_multipart_upload(Some(&inner.credentials), key);
    let mut headers = HeaderMap::new();
    for (name, value) in inner.settings.headers() {
        action.headers_mut().insert(name, value.clone());
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    let asked = Bucket::asked(&action, Method::POST, headers, Bytes::new());
    let answer = good("begin the upload of", key, inner.client.ask(asked))?;
    let created = CreateMultipartUpload::parse_response(&String::from_utf8_lossy(&answer.body))
        .map_err(|error| failed("begin the upload of", key, &error.to_string()))?;
    Ok(created.upload_id().to_owned())
}

fn complete(bucket: &Bucket, key: &str, id: &str, etags: &[String]) -> Result<()> {
    let inner = &bucket.inner;
    let etags = etags.iter().map(String::as_str);
    let action = inner.place.complete_multipart_upload(Some(&inner.credentials), key, id, etags);
    let mut asked = Bucket::asked(&action, Method::POST, HeaderMap::new(), Bytes::new());
    asked.body = action.body().into();
    let answer = good("put together", key, inner.client.ask(asked))?;
    // S3 may notice an error when it has said 200 already.
    match String::from_utf8_lossy(&answer.body).contains("<Error>") {
        true => Err(failed("put together", key, &String::from_utf8_lossy(&answer.body))),
        false => Ok(()),
    }
}

impl Sink for Multipart {
    fn size(&self) -> u64 {
        self.state.whole.unwrap_or(self.state.parts_bytes + self.buffer.len() as u64)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if self.state.whole.is_some() {
            return Err(Error::new(Code::BlobUploadInvalid, "the upload was at its end already"));
        }
        let most = self.bucket.inner.settings.chunk_bytes;
        self.changed |= !bytes.is_empty();
        self.buffer.extend_from_slice(bytes);
        while self.buffer.len() >= most {
            self.flush(most)?;
        }
        Ok(())
    }

    fn suspend(&mut self) -> Result<()> {
        self.settle()?;
        if !std::mem::take(&mut self.changed) {
            return Ok(());
        }
        let mut tails = std::mem::take(&mut self.state.tails);
        if !self.buffer.is_empty() {
            let key = format!("{}/{TAIL}{}", self.directory, self.state.parts_bytes);
            self.bucket.write(&key, Bytes::copy_from_slice(&self.buffer))?;
            tails.retain(|(old, _)| *old != key);
        }
        // Those are in parts by now.
        tails.iter().try_for_each(|(key, _)| self.bucket.delete(key))
    }

    fn seal(&mut self) -> Result<()> {
        if self.state.whole.is_some() || self.state.id.is_none() && self.state.parts_bytes == 0 {
            self.sealed = true;
            return Ok(());
        }
        if !self.buffer.is_empty() {
            self.flush(self.buffer.len())?;
        }
        self.settle()?;
        let (data, id) = (self.data(), self.id()?);
        complete(&self.bucket, &data, &id, &self.state.etags)?;
        self.state.whole = Some(self.state.parts_bytes);
        self.sealed = true;
        Ok(())
    }

    fn read(&mut self, take: &mut dyn FnMut(&[u8])) -> Result<()> {
        let Some(size) = self.state.whole else {
            take(&self.buffer);
            return Ok(());
        };
        let data = self.data();
        let (pieces, mut arriving) = mpsc::channel(super::PIECES_AHEAD);
        good("read", &data, self.bucket.inner.client.stream(self.bucket.get(&data, None), pieces).wait())?;
        let mut bytes = 0;
        while let Some(piece) = arriving.blocking_recv() {
            let piece = piece.map_err(|error| failed("read", &data, &error.to_string()))?;
            bytes += piece.len() as u64;
            take(&piece);
        }
        match bytes == size {
            true => Ok(()),
            false => Err(failed("read", &data, &format!("{bytes} of {size} bytes came"))),
        }
    }

    fn adopt(&mut self, path: &Path) -> Result<()> {
        let to = key(path);
        let Some(size) = self.state.whole else {
            return self.bucket.write(&to, std::mem::take(&mut self.buffer).into());
        };
        let data = self.data();
        let source = format!("{}/{data}", self.bucket.inner.settings.bucket);
        if size <= COPY_BYTES_MAX {
            let asked = self.bucket.put(&to, Bytes::new(), &[("x-amz-copy-source", source)]);
            return good("copy", &to, self.bucket.inner.client.ask(asked)).map(drop);
        }
        copy_in_pieces(&self.bucket, &source, &to, size)
    }
}

fn copy_in_pieces(bucket: &Bucket, source: &str, to: &str, size: u64) -> Result<()> {
    let inner = &bucket.inner;
    let id = create(bucket, to)?;
    let mut etags = Vec::new();
    let (mut first, mut number) = (0, 1);
    while first < size {
        let last = (first + COPY_PIECE_BYTES).min(size) - 1;
        let mut action = inner.place.upload_part(Some(&inner.credentials), to, number, &id);
        let mut headers = HeaderMap::new();
        let range = format!("bytes={first}-{last}");
        for (name, value) in [("x-amz-copy-source", source), ("x-amz-copy-source-range", &range)] {
            action.headers_mut().insert(name, value.to_owned());
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        let asked = Bucket::asked(&action, Method::PUT, headers, Bytes::new());
        let answer = good("copy a part of", to, inner.client.ask(asked))?;
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        let etag = body.split_once("<ETag>").and_then(|(_, rest)| rest.split_once("</ETag>"));
        let etag = etag.ok_or_else(|| failed("copy a part of", to, "the answer has no ETag"))?.0;
        etags.push(etag.replace("&quot;", "\""));
        (first, number) = (last + 1, number + 1);
    }
    complete(bucket, to, &id, &etags)
}

//! Where a volume's backup is, and what a file says of the volume: a global header of the PAX format in front of the archive,
//! which every `tar` passes over.

use std::collections::BTreeMap;

use oci::Reference;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use crate::failure::{self, Failure};

/// A registry, or this machine.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Registry(Reference),
    File(String),
}

/// What `--to` and `--from` name.
pub(crate) fn place(text: &str, flag: &str) -> Result<Place, Failure> {
    if text.is_empty() {
        return Err(Failure::new(format!("--{flag} is missing: NAME[:TAG] in a registry, or a file")));
    }
    if let Some(path) = text.strip_prefix("file:") {
        return Ok(Place::File(path.to_owned()));
    }
    if text.starts_with(['/', '.']) || text.ends_with(".tar") {
        return Ok(Place::File(text.to_owned()));
    }
    let reference = Reference::parse(text).map_err(|error| Failure::new(error.to_string()))?;
    Ok(Place::Registry(reference.or_latest()))
}

const BLOCK: usize = 512;
const NAME: &str = "WHARF.volume.name";
/// With a label's key behind it.
const LABEL: &str = "WHARF.volume.label.";
/// A header that says more than this is none of ours.
const HEAD_BYTES_MAX: usize = 1 << 20;

/// What is to stand before the archive.
pub(crate) fn head(name: &str, labels: &BTreeMap<String, String>) -> Vec<u8> {
    let mut records = record(NAME, name);
    for (key, value) in labels {
        records.extend(record(&format!("{LABEL}{key}"), value));
    }
    let mut block = [0; BLOCK];
    let mut put = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
    put(0, b"pax_global_header");
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{:011o}\0", records.len()).as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, b"g");
    put(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut head = block.to_vec();
    head.extend(records);
    head.resize(head.len().next_multiple_of(BLOCK), 0);
    head
}

/// `20 key=value\n`, with its own length in front.
fn record(key: &str, value: &str) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    format!("{length} {key}={value}\n").into_bytes()
}

/// What a file says of the volume.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct About {
    pub(crate) name: String,
    /// As `key=value`.
    pub(crate) labels: Vec<String>,
}

/// Reads what stands before an archive, if it does; the file is at its beginning again.
pub(crate) async fn read_head(file: &mut tokio::fs::File, path: &str) -> Result<About, Failure> {
    let failed = |error: std::io::Error| Failure::new(format!("read {path}: {}", failure::reason(&error)));
    let mut block = Vec::with_capacity(BLOCK);
    file.take(BLOCK as u64).read_to_end(&mut block).await.map_err(failed)?;
    let mut about = About::default();
    if let Some(length) = records_length(&block) {
        let mut records = Vec::with_capacity(length);
        file.take(length as u64).read_to_end(&mut records).await.map_err(failed)?;
        about = read(&records);
    }
    file.rewind().await.map_err(failed)?;
    Ok(about)
}

fn records_length(block: &[u8]) -> Option<usize> {
    let size = block.get(124..135).filter(|_| block.get(156) == Some(&b'g'))?;
    let length = usize::from_str_radix(std::str::from_utf8(size).ok()?, 8).ok()?;
    (length <= HEAD_BYTES_MAX).then_some(length)
}

fn read(mut records: &[u8]) -> About {
    let mut about = About::default();
    while let Some(space) = records.iter().position(|byte| *byte == b' ') {
        let length = std::str::from_utf8(&records[..space]).ok().and_then(|text| text.parse::<usize>().ok());
        let Some(length) = length.filter(|length| (space + 2..=records.len()).contains(length)) else {
            break;
        };
        let text = String::from_utf8_lossy(&records[space + 1..length - 1]).into_owned();
        records = &records[length..];
        match text.split_once('=') {
            Some((NAME, name)) => about.name = name.to_owned(),
            // A key may have an equals sign only where it is not asked for.
            Some((key, _)) if key.starts_with(LABEL) => about.labels.push(text[LABEL.len()..].to_owned()),
            _ => {}
        }
    }
    about
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_says_is_read() {
        let long = "x".repeat(90);
        let labels = [("a", "b=c\nd"), ("empty", ""), ("long", &long)];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let head = head("data", &labels.into());
        assert_eq!(head.len() % BLOCK, 0);
        let length = records_length(&head[..BLOCK]).unwrap();
        let about = read(&head[BLOCK..BLOCK + length]);
        assert_eq!(about.name, "data");
        assert_eq!(about.labels, ["a=b=c\nd", "empty=", &format!("long={long}")]);
        assert_eq!(records_length(&[0; BLOCK]), None);
        assert_eq!(read(b"999 broken=x\n"), About::default());
    }

    #[test]
    fn files_and_registries() {
        let file = |text: &str| Place::File(text.to_owned());
        for (text, path) in [("/a/b", "/a/b"), ("./b", "./b"), ("b.tar", "b.tar"), ("file:b", "b")] {
            assert_eq!(place(text, "to").unwrap(), file(path));
        }
        let Place::Registry(reference) = place("localhost:5000/backups/data", "to").unwrap() else {
            panic!()
        };
        assert_eq!(reference.familiar(), "localhost:5000/backups/data:latest");
        assert!(place("", "to").unwrap_err().text.starts_with("--to is missing"));
    }
}

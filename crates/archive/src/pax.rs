//! PAX records (pax(1), "Extended Header"): `<length> <key>=<value>\n`, and GNU's sparse maps within.

use crate::error::Error;

const XATTR: &str = "SCHILY.xattr.";
const LIBARCHIVE_XATTR: &str = "LIBARCHIVE.xattr.";

/// What extended headers said about the next entry.
#[derive(Debug, Default, Clone)]
pub(crate) struct Pax {
    pub(crate) path: Option<Vec<u8>>,
    pub(crate) link: Option<Vec<u8>>,
    pub(crate) size: Option<u64>,
    pub(crate) uid: Option<u64>,
    pub(crate) gid: Option<u64>,
    pub(crate) mtime: Option<(i64, u32)>,
    pub(crate) xattrs: Vec<(String, Vec<u8>)>,
    pub(crate) sparse_major: Option<u64>,
    pub(crate) sparse_size: Option<u64>,
    pub(crate) sparse_map: Option<Vec<(u64, u64)>>,
}

impl Pax {
    /// Later records win.
    pub(crate) fn parse(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let mut sparse_path = None;
        let mut offset = None;
        for record in tar::PaxExtensions::new(bytes) {
            let record = record.map_err(|error| Error::Header(error.to_string()))?;
            let bad =
                || Error::Header(format!("bad PAX record {}", String::from_utf8_lossy(record.key_bytes())));
            let Ok(key) = record.key() else { continue };
            let value = record.value_bytes();
            let number =
                || std::str::from_utf8(value).ok().and_then(|text| text.parse::<u64>().ok()).ok_or_else(bad);
            match key {
                "path" => self.path = Some(value.to_vec()),
                "linkpath" => self.link = Some(value.to_vec()),
                "size" => self.size = Some(number()?),
                "uid" => self.uid = Some(number()?),
                "gid" => self.gid = Some(number()?),
                "mtime" => self.mtime = Some(time(value).ok_or_else(bad)?),
                "GNU.sparse.name" => sparse_path = Some(value.to_vec()),
                "GNU.sparse.major" => self.sparse_major = Some(number()?),
                "GNU.sparse.realsize" | "GNU.sparse.size" => self.sparse_size = Some(number()?),
                "GNU.sparse.offset" => offset = Some(number()?),
                "GNU.sparse.numbytes" => {
                    let start = offset.take().ok_or_else(bad)?;
                    self.sparse_map.get_or_insert_default().push((start, number()?));
                }
                "GNU.sparse.map" => self.sparse_map = Some(map(value).ok_or_else(bad)?),
                key => {
                    if let Some(name) = key.strip_prefix(XATTR) {
                        self.xattrs.retain(|(known, _)| known != name);
                        self.xattrs.push((name.to_owned(), value.to_vec()));
                    } else if let Some(name) = key.strip_prefix(LIBARCHIVE_XATTR) {
                        // The same attributes in base64; libarchive writes the SCHILY form as well.
                        let _ = name;
                    }
                }
            }
        }
        if sparse_path.is_some() {
            self.path = sparse_path;
        }
        Ok(())
    }
}

/// Seconds with an optional fraction, perhaps negative.
fn time(value: &[u8]) -> Option<(i64, u32)> {
    let text = std::str::from_utf8(value).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let nanos: u32 = format!("{fraction:0<9}")[..9].parse().ok()?;
    // -1.25 s is 2 s before the epoch and 0.75 s after that.
    Some(if whole.starts_with('-') && nanos > 0 {
        (seconds.checked_sub(1)?, 1_000_000_000 - nanos)
    } else {
        (seconds, nanos)
    })
}

fn map(value: &[u8]) -> Option<Vec<(u64, u64)>> {
    let numbers: Vec<u64> =
        std::str::from_utf8(value).ok()?.split(',').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    numbers.len().is_multiple_of(2).then(|| numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        assert_eq!(time(b"1.5"), Some((1, 500_000_000)));
        assert_eq!(time(b"12"), Some((12, 0)));
        assert_eq!(time(b"-1.25"), Some((-2, 750_000_000)));
        assert_eq!(time(b"1.1234567891"), Some((1, 123_456_789)));
        assert_eq!(time(b"x"), None);
        assert_eq!(time(b"1.-5"), None);
    }
}

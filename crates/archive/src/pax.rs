//! PAX records (pax(1), "Extended Header"): `<length> <key>=<value>\n`, and GNU's sparse maps within.
//!
//! A record ends where its length says, not at the next newline: a value may be any bytes. File capabilities have a
//! newline in them as soon as `cap_dac_override` and `cap_fowner` come together.

use crate::error::Error;

/// Extended attributes, as star, GNU tar, Go and libarchive write them. (libarchive's own `LIBARCHIVE.xattr.` has the
/// same ones once more, in base64.)
const XATTR: &str = "SCHILY.xattr.";

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
        let mut rest = bytes;
        while !rest.is_empty() {
            let (key, value, after) =
                split(rest).ok_or_else(|| Error::Header("malformed PAX record".into()))?;
            rest = after;
            let Ok(key) = std::str::from_utf8(key) else { continue };
            let bad = || Error::Header(format!("bad PAX record {key}"));
            let number =
                || std::str::from_utf8(value).ok().and_then(|text| text.parse::<u64>().ok()).ok_or_else(bad);
            match key {
                // Without a value the header's own field counts again.
                "path" => self.path = said(value),
                "linkpath" => self.link = said(value),
                "size" | "uid" | "gid" | "mtime" if value.is_empty() => match key {
                    "size" => self.size = None,
                    "uid" => self.uid = None,
                    "gid" => self.gid = None,
                    _ => self.mtime = None,
                },
                "size" => self.size = Some(number()?),
                "uid" => self.uid = Some(number()?),
                "gid" => self.gid = Some(number()?),
                "mtime" => self.mtime = Some(time(value).ok_or_else(bad)?),
                "GNU.sparse.name" => sparse_path = said(value),
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

/// The first record's key and value, and what follows it.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().position(|&byte| byte == b' ')?;
    let length: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
    let record = bytes.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|&byte| byte == b'=')?;
    Some((&record[..equals], &record[equals + 1..], &bytes[length..]))
}

fn said(value: &[u8]) -> Option<Vec<u8>> {
    (!value.is_empty()).then(|| value.to_vec())
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
    numbers.len().is_multiple_of(2).then(|| numbers.as_chunks::<2>().0.iter().map(|&[a, b]| (a, b)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_may_be_any_bytes() {
        let mut pax = Pax::default();
        pax.parse(b"30 SCHILY.xattr.user.a=1\n2\n=3\n12 path=a\nb\n8 gid=7\n").unwrap();
        assert_eq!(pax.xattrs, [("user.a".to_owned(), b"1\n2\n=3".to_vec())]);
        assert_eq!((pax.path.as_deref(), pax.gid), (Some(&b"a\nb"[..]), Some(7)));
        pax.parse(b"7 gid=\n8 path=\n").unwrap();
        assert_eq!((pax.path, pax.gid), (None, None), "an empty value takes it back");
    }

    #[test]
    fn malformed_records_are_refused() {
        for text in [
            "x",
            "5 a=b\n",
            "9 a=b\n",
            "6 a=bc",
            "6 abcd\n",
            "0 a=b\n",
            "99999999999999999999 a=b\n",
            "-6 a=b\n",
        ] {
            assert!(Pax::default().parse(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(Pax::default().parse(b"9 size=x\n").is_err());
    }

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

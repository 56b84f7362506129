//! Ranges of bytes: of a blob that is read (RFC 9110, section 14), and of an upload that is continued.

use crate::error::{Code, Error, Result};

/// What of a blob is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    All,
    /// First and length, within the blob.
    Part {
        first: u64,
        length: u64,
    },
}

/// Reads a `Range` header for a blob of `size` bytes. What is no single range of bytes means the whole blob, as RFC 9110 allows.
pub(crate) fn wanted(header: Option<&str>, size: u64) -> Result<Wanted> {
    let Some(spec) = header.and_then(|header| header.strip_prefix("bytes=")) else { return Ok(Wanted::All) };
    let Some((first, last)) = spec.trim().split_once('-') else { return Ok(Wanted::All) };
    let (first, last) = match (first.trim(), last.trim()) {
        ("", suffix) => match suffix.parse::<u64>() {
            Ok(0) => return Err(unsatisfiable(spec)),
            Ok(length) => (size.saturating_sub(length), size.saturating_sub(1)),
            Err(_) => return Ok(Wanted::All),
        },
        (first, "") => match first.parse() {
            Ok(first) => (first, size.saturating_sub(1)),
            Err(_) => return Ok(Wanted::All),
        },
        (first, last) => match (first.parse::<u64>(), last.parse::<u64>()) {
            (Ok(first), Ok(last)) if first <= last => (first, last.min(size.saturating_sub(1))),
            (Ok(_), Ok(_)) => return Err(unsatisfiable(spec)),
            _ => return Ok(Wanted::All),
        },
    };
    match first < size {
        true => Ok(Wanted::Part { first, length: last - first + 1 }),
        false => Err(unsatisfiable(spec)),
    }
}

fn unsatisfiable(spec: &str) -> Error {
    Error::new(Code::RangeInvalid, "invalid content range").with("range", spec)
}

/// `Content-Range` of a chunk, `<first>-<last>` (the specification's form), also with `bytes ` before and `/size` behind.
pub(crate) fn chunk(header: &str) -> Option<(u64, u64)> {
    let text = header.trim().trim_start_matches("bytes").trim_start_matches(['=', ' ']);
    let text = text.split('/').next()?;
    let (first, last) = text.split_once('-')?;
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_blobs() {
        let part = |first, length| Ok(Wanted::Part { first, length });
        for (header, expected) in [
            ("bytes=0-9", part(0, 10)),
            ("bytes=5-", part(5, 95)),
            ("bytes=-5", part(95, 5)),
            ("bytes=-500", part(0, 100)),
            ("bytes=90-500", part(90, 10)),
            ("bytes=99-99", part(99, 1)),
            ("items=1-2", Ok(Wanted::All)),
            ("bytes=1-2,5-6", Ok(Wanted::All)),
            ("bytes=a-b", Ok(Wanted::All)),
        ] {
            assert_eq!(wanted(Some(header), 100), expected, "{header}");
        }
        for header in ["bytes=100-", "bytes=100-200", "bytes=-0", "bytes=9-2"] {
            assert_eq!(wanted(Some(header), 100).unwrap_err().code, Code::RangeInvalid, "{header}");
        }
        assert_eq!(wanted(None, 100), Ok(Wanted::All));
        assert!(wanted(Some("bytes=0-0"), 0).is_err());
    }

    #[test]
    fn ranges_of_chunks() {
        assert_eq!(chunk("0-9"), Some((0, 9)));
        assert_eq!(chunk("bytes 10-19/100"), Some((10, 19)));
        for bad in ["", "5", "9-1", "-1", "a-b"] {
            assert_eq!(chunk(bad), None, "{bad}");
        }
    }
}

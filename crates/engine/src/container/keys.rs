//! Detach keys: `ctrl-p,ctrl-q` → bytes.

use crate::error::{Error, Result};

pub(crate) const DEFAULT: &[u8] = &[16, 17];

/// Comma-separated: single characters, `ctrl-<a-z@[\]^_>`, `DEL`.
pub(crate) fn parse(text: Option<&str>) -> Result<Vec<u8>> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Ok(DEFAULT.to_vec()) };
    text.split(',')
        .map(|key| {
            let unknown = || {
                Error::invalid(format!("Invalid detach keys ({text}) provided: Unknown character: '{key}'"))
            };
            match key.as_bytes() {
                [byte] => Ok(*byte),
                b"DEL" => Ok(127),
                [b'c', b't', b'r', b'l', b'-', byte] => match byte.to_ascii_lowercase() {
                    letter @ b'a'..=b'z' => Ok(letter - b'a' + 1),
                    b'@' => Ok(0),
                    sign @ b'['..=b'_' => Ok(sign - b'@'),
                    _ => Err(unknown()),
                },
                _ => Err(unknown()),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn keys_become_bytes() {
        assert_eq!(parse(None).unwrap(), [16, 17]);
        assert_eq!(parse(Some("ctrl-a,x,ctrl-@,ctrl-[,DEL")).unwrap(), [1, b'x', 0, 27, 127]);
        assert!(parse(Some("ctrl-!")).is_err());
        assert!(parse(Some("shift-a")).is_err());
    }
}

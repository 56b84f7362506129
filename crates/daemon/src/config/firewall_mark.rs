//! `--bridge-accept-fwmark 0x1/0x3`: what the administrator marks reaches containers whatever is published.

use net::FirewallMark;

use super::Config;

impl Config {
    /// # Errors
    /// Docker's, of what is no mark.
    pub(crate) fn accepted_mark(&self) -> Result<Option<FirewallMark>, String> {
        let Some(text) = self.text("bridge-accept-fwmark").filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let (mark, mask) = text.split_once('/').map_or((text, None), |(mark, mask)| (mark, Some(mask)));
        let read = |what: &str, part: &str| {
            number(part).map_err(|why| {
                format!(
                    "invalid bridge-accept-fwmark: invalid firewall {what} {text:?}: strconv.ParseUint: parsing {part:?}: {why}"
                )
            })
        };
        let (mark, mask) = (read("mark", mark)?, mask.map(|mask| read("mask", mask)).transpose()?);
        Ok(Some(FirewallMark { mark, mask: mask.unwrap_or(u32::MAX) }))
    }
}

/// As Go reads one whose base is in its prefix.
fn number(text: &str) -> Result<u32, &'static str> {
    let lower = text.to_ascii_lowercase();
    let (digits, base) = match lower.as_bytes() {
        [b'0', b'x', ..] => (&lower[2..], 16),
        [b'0', b'b', ..] => (&lower[2..], 2),
        [b'0', b'o', ..] => (&lower[2..], 8),
        [b'0', _, ..] => (&lower[1..], 8),
        _ => (&lower[..], 10),
    };
    if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(base)) {
        return Err("invalid syntax");
    }
    u32::from_str_radix(digits, base).map_err(|_| "value out of range")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_go_s() {
        for (text, number_or_why) in [
            ("2", Ok(2)),
            ("0x1f", Ok(31)),
            ("0XFFFFFFFF", Ok(u32::MAX)),
            ("010", Ok(8)),
            ("0b11", Ok(3)),
            ("0", Ok(0)),
            ("", Err("invalid syntax")),
            ("+1", Err("invalid syntax")),
            ("0x", Err("invalid syntax")),
            ("4294967296", Err("value out of range")),
        ] {
            assert_eq!(number(text), number_or_why, "{text}");
        }
    }
}

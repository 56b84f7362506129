//! Patterns of names, in rules of access, retention and quotas.

/// `*` stands for any bytes but `/`, `**` for any.
pub(crate) fn matches(pattern: &[u8], name: &[u8]) -> bool {
    match pattern {
        [] => name.is_empty(),
        [b'*', b'*', rest @ ..] => (0..=name.len()).any(|from| matches(rest, &name[from..])),
        [b'*', rest @ ..] => {
            let end = name.iter().position(|b| *b == b'/').unwrap_or(name.len());
            (0..=end).any(|from| matches(rest, &name[from..]))
        }
        [byte, rest @ ..] => name.first() == Some(byte) && matches(rest, &name[1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_match() {
        for (pattern, name, expected) in [
            ("**", "a/b/c", true),
            ("a/*", "a/b", true),
            ("a/*", "a/b/c", false),
            ("a/**", "a/b/c", true),
            ("a*c", "abc", true),
            ("a*c", "ab/c", false),
            ("", "a", false),
            ("a", "a", true),
            ("**/x", "a/b/x", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }
}

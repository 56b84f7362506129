//! Names of repositories and tags, by the grammar of the distribution specification ("Pulling manifests").

use oci::Digest;

use crate::error::{Code, Error, Result};

/// Bytes of a repository's name, as Docker's registry has it.
const NAME_BYTES_MAX: usize = 255;
const TAG_BYTES_MAX: usize = 128;

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*`: a valid one is safe as a path.
pub(crate) fn check_repository(name: &str) -> Result<()> {
    let valid = !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.split('/').all(is_component);
    match valid {
        true => Ok(()),
        false => Err(Error::new(Code::NameInvalid, "invalid repository name").with("name", name)),
    }
}

fn is_component(component: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = component.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    if !ends.iter().all(|end| end.is_some_and(|b| alphanumeric(*b))) {
        return false;
    }
    // Between alphanumerics: one dot, one or two underscores, or any number of hyphens.
    bytes.split(|b| alphanumeric(*b)).all(|gap| match gap {
        [] | [b'.' | b'_'] | [b'_', b'_'] => true,
        hyphens => hyphens.iter().all(|b| *b == b'-'),
    })
}

/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
pub(crate) fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let bytes = tag.as_bytes();
    bytes.len() <= TAG_BYTES_MAX
        && bytes.first().is_some_and(|b| word(*b))
        && bytes.iter().all(|b| word(*b) || matches!(b, b'.' | b'-'))
}

/// Of `sha256-<hex>`, with or without something behind it: what clients keep about a digest.
pub(crate) fn subject(tag: &str) -> Option<Digest> {
    let word = tag.split('.').next()?;
    let (algorithm, hex) = word.split_once('-')?;
    format!("{algorithm}:{hex}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_grammar() {
        for good in ["a", "library/redis", "a.b_c__d---e/f", "0/1/2", &"a".repeat(255)] {
            assert!(check_repository(good).is_ok(), "{good}");
        }
        let long = "a".repeat(256);
        let bad = [
            "", "/", "a/", "/a", "a//b", "A", "a..b", "a___b", "-a", "a-", ".", "..", "a/../b", "a._b",
            "a b", "a\0", "ä", &long,
        ];
        for bad in bad {
            assert!(check_repository(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn tags_follow_the_grammar() {
        for good in ["latest", "_", "1.0-rc_1", &"t".repeat(128)] {
            assert!(is_tag(good), "{good}");
        }
        for bad in ["", ".", "-a", "a/b", "..", "a:b", "ü", &"t".repeat(129)] {
            assert!(!is_tag(bad), "{bad}");
        }
    }
}

//! `image`: its verbs, and what several of them share.

use oci::{Digest, Reference, ReferenceError};

use crate::command::Noun;

pub(crate) mod copy;
pub(crate) mod gc;
pub(crate) mod history;
pub(crate) mod import;
pub(crate) mod inspect;
pub(crate) mod load;
pub(crate) mod ls;
pub(crate) mod prune;
pub(crate) mod pull;
pub(crate) mod push;
pub(crate) mod rm;
pub(crate) mod save;
pub(crate) mod tag;
mod tree;

pub(crate) const NOUN: Noun = Noun {
    name: "image",
    usage: "",
    about: "Manage images",
    verbs: &[
        &copy::COMMAND,
        &gc::COMMAND,
        &history::COMMAND,
        &import::COMMAND,
        &inspect::COMMAND,
        &load::COMMAND,
        &ls::COMMAND,
        &prune::COMMAND,
        &pull::COMMAND,
        &push::COMMAND,
        &rm::COMMAND,
        &save::COMMAND,
        &tag::COMMAND,
    ],
};

/// What names an image: a reference, or nothing where it is an id.
pub(crate) fn any_reference(text: &str) -> Result<Option<Reference>, ReferenceError> {
    if oci::is_identifier(text) || text.parse::<Digest>().is_ok() {
        return Ok(None);
    }
    Reference::parse(text).map(Some)
}

/// A reference as name, and tag or digest. A colon before the last slash is a port.
pub(crate) fn split_reference(reference: &str) -> (&str, Option<&str>) {
    if let Some((name, digest)) = reference.split_once('@') {
        return (name, Some(digest));
    }
    match reference.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (reference, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_split() {
        assert_eq!(split_reference("a"), ("a", None));
        assert_eq!(split_reference("a:1"), ("a", Some("1")));
        assert_eq!(split_reference("h:5000/a"), ("h:5000/a", None));
        assert_eq!(split_reference("h:5000/a:1"), ("h:5000/a", Some("1")));
        assert_eq!(split_reference("a@sha256:00"), ("a", Some("sha256:00")));
    }
}

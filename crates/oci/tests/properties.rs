//! Properties of the words everything is named with: what is written is read back, no text breaks a parser, and what
//! a parser takes is of the grammar.

use oci::{Digest, Digester, Platform, Reference, ReferenceError};
use proptest::prelude::*;

/// Nothing is kept in the source tree: a failure prints its seed.
fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, cases: 1000, ..ProptestConfig::default() }
}

fn path() -> impl Strategy<Value = String> {
    prop::collection::vec("[a-z0-9]{1,4}((\\.|_|__|-{1,3})[a-z0-9]{1,3}){0,2}", 1..4)
        .prop_map(|parts| parts.join("/"))
}

/// A registry's host as it is told from a path: with a dot or a port, or `localhost`.
fn domain() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("docker.io".to_owned()),
        Just("localhost".to_owned()),
        "[a-z0-9]{1,5}(-[a-z0-9]{1,3})?\\.[a-zA-Z]{2,4}(:[0-9]{1,5})?",
        "[a-z]{1,5}:[0-9]{1,5}",
        "\\[[0-9a-f]{1,4}::[0-9a-f]{1,4}\\](:[0-9]{1,5})?",
    ]
}

fn tag() -> impl Strategy<Value = String> {
    "[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_full_reference_is_read_as_it_is_written(
        domain in domain(), path in path(), tag in prop::option::of(tag()), content in prop::option::of(any::<u64>())
    ) {
        // On Docker's own registry a name of one component is in `library/`.
        prop_assume!(domain != "docker.io" || path.contains('/'));
        let digest = content.map(|content| Digest::of(&content.to_le_bytes()));
        let mut text = format!("{domain}/{path}");
        tag.iter().for_each(|tag| text.push_str(&format!(":{tag}")));
        digest.iter().for_each(|digest| text.push_str(&format!("@{digest}")));
        let reference = Reference::parse(&text).unwrap();
        prop_assert_eq!(reference.domain(), &domain);
        prop_assert_eq!(reference.path(), &path);
        prop_assert_eq!(reference.tag(), tag.as_deref());
        prop_assert_eq!(reference.digest(), digest.as_ref());
        prop_assert_eq!(reference.to_string(), text);
    }

    #[test]
    fn what_people_see_means_the_same(path in path(), tag in prop::option::of(tag())) {
        let text = match &tag { Some(tag) => format!("{path}:{tag}"), None => path };
        // "a.b/c" names a registry, and its rules are others.
        prop_assume!(!text.split_once('/').is_some_and(|(first, _)| first.contains('.')));
        let reference = match Reference::parse(&text) {
            Err(ReferenceError::Identifier(_)) => return Ok(()),
            other => other.unwrap(),
        };
        prop_assert_eq!(&Reference::parse(&reference.familiar()).unwrap(), &reference);
        prop_assert_eq!(&Reference::parse(&reference.to_string()).unwrap(), &reference);
        prop_assert!(!reference.clone().or_latest().is_name_only());
        let json = serde_json::to_string(&reference).unwrap();
        prop_assert_eq!(serde_json::from_str::<Reference>(&json).unwrap(), reference);
    }

    #[test]
    fn no_text_breaks_a_parser(text in "[a-zA-Z0-9./:@_\\-\\[\\] \u{e9}\0]{0,80}") {
        if let Ok(reference) = Reference::parse(&text) {
            prop_assert_eq!(Reference::parse(&reference.to_string()).unwrap(), reference);
        }
        if let Ok(digest) = text.parse::<Digest>() {
            prop_assert_eq!(digest.as_str(), &text);
        }
        if let Ok(platform) = text.parse::<Platform>() {
            prop_assert_eq!(platform.to_string().parse::<Platform>().unwrap(), platform);
        }
    }

    #[test]
    fn digests(content in prop::collection::vec(any::<u8>(), 0..200), cut in any::<prop::sample::Index>(), flip in 0..64_usize) {
        let whole = Digest::of(&content);
        let at = cut.index(content.len() + 1);
        let mut digester = Digester::default();
        digester.update(&content[..at]);
        digester.update(&content[at..]);
        prop_assert_eq!(digester.finish(), whole.clone());
        prop_assert_eq!(whole.as_str().parse::<Digest>().unwrap(), whole.clone());
        prop_assert_eq!(Digest::from_sha256_hex(whole.hex()).unwrap(), whole.clone());
        // Another letter case, length or alphabet is another thing, and no digest.
        let mut other: Vec<char> = whole.as_str().chars().collect();
        let at = "sha256:".len() + flip;
        for bad in ['g', 'A', '/', ':'] {
            other[at] = bad;
            prop_assert!(other.iter().collect::<String>().parse::<Digest>().is_err());
        }
        other.remove(at);
        prop_assert!(other.iter().collect::<String>().parse::<Digest>().is_err());
    }

    #[test]
    fn platforms(os in "linux|windows|freebsd", arch in "amd64|arm64|arm|386|riscv64|x86_64|aarch64", variant in prop::option::of("v[5-8]")) {
        let text = match &variant { Some(variant) => format!("{os}/{arch}/{variant}"), None => format!("{os}/{arch}") };
        let wanted: Platform = text.to_uppercase().parse().unwrap();
        prop_assert!(wanted.satisfies(&wanted));
        prop_assert_eq!(wanted.os.as_str(), os.as_str());
        prop_assert!(!["x86_64", "aarch64"].contains(&wanted.architecture.as_str()), "Go's names: {wanted}");
        // An image that does not say which variant it is for may be any; another one is not it.
        let any = Platform { variant: None, ..wanted.clone() };
        prop_assert!(any.satisfies(&wanted) && wanted.satisfies(&any));
        let other = Platform { variant: Some("v9".into()), ..wanted.clone() };
        // Not the text's: `arm64/v8` is `arm64`.
        prop_assert_eq!(other.satisfies(&wanted), wanted.variant.is_none());
        let (mut strange, mut foreign) = (wanted.clone(), wanted.clone());
        strange.os = "plan9".into();
        foreign.architecture = "mips".into();
        prop_assert!(!strange.satisfies(&wanted) && !foreign.satisfies(&wanted));
    }
}

//! `WWW-Authenticate`: what a registry wants to see (RFC 9110, 11.6.1).

use std::collections::BTreeMap;

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;

/// One challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Challenge {
    /// In small letters: `basic`, `bearer`.
    pub(crate) scheme: String,
    /// Names in small letters.
    pub(crate) parameters: BTreeMap<String, String>,
}

impl Challenge {
    /// All of an answer's, in order; what cannot be read is left out.
    pub(crate) fn all(headers: &HeaderMap) -> Vec<Self> {
        let lines = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        lines.flat_map(parse).collect()
    }

    pub(crate) fn parameter(&self, name: &str) -> &str {
        self.parameters.get(name).map_or("", String::as_str)
    }
}

/// One header may hold several, with the same comma between them as between the parameters of one.
fn parse(text: &str) -> Vec<Challenge> {
    let mut challenges: Vec<Challenge> = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (token, after) = token(rest);
        if token.is_empty() {
            return challenges;
        }
        let spaced = after.trim_start_matches([' ', '\t']);
        match (spaced.strip_prefix('='), challenges.last_mut()) {
            (Some(value), Some(challenge)) => {
                let (value, after) = value_of(value.trim_start_matches([' ', '\t']));
                challenge.parameters.insert(token.to_ascii_lowercase(), value);
                rest = after;
            }
            // A parameter of nobody.
            (Some(_), None) => return challenges,
            (None, _) => {
                challenges
                    .push(Challenge { scheme: token.to_ascii_lowercase(), parameters: BTreeMap::new() });
                rest = spaced;
            }
        }
    }
}

fn token(text: &str) -> (&str, &str) {
    let end = text.bytes().position(|b| !(b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)));
    text.split_at(end.unwrap_or(text.len()))
}

fn value_of(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        // Some registries leave the quotes out, and have slashes all the same.
        let (value, rest) = text.split_at(text.find([',', ' ', '\t']).unwrap_or(text.len()));
        return (value.to_owned(), rest);
    };
    let mut value = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(letters.next().map(|(_, letter)| letter)),
            letter => value.push(letter),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        let all = parse(
            r#"Bearer realm="https://auth/token",service="reg, one",scope="repository:a/b:pull,push", error="x\"y", Basic realm=plain"#,
        );
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].scheme.as_str(), all[0].parameter("realm")), ("bearer", "https://auth/token"));
        assert_eq!(all[0].parameter("service"), "reg, one");
        assert_eq!(all[0].parameter("scope"), "repository:a/b:pull,push");
        assert_eq!(all[0].parameter("error"), "x\"y");
        assert_eq!((all[1].scheme.as_str(), all[1].parameter("realm")), ("basic", "plain"));
        assert_eq!(parse("Negotiate").len(), 1);
        assert_eq!(parse("Bearer realm=https://a/b,service=c")[0].parameter("realm"), "https://a/b");
        for odd in ["", "=", "\"", ",,,", "a=b", "Basic realm=\"unended", "Bearer \u{e9}"] {
            parse(odd);
        }
    }
}

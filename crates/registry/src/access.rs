//! Who it is, and whether they may.
//!
//! Without an htpasswd file everybody may do everything that the settings allow. With one, whoever is in it; a file of rules
//! says more closely who may do what where:
//!
//! ```text
//! # who        may                 where
//! *            pull                public/**
//! ann,bob      pull,push           team/*
//! root         pull,push,delete    **
//! ```
//!
//! `*` as who is everybody, also without a password. In a place, `*` stands for what has no `/`, `**` for anything.

use std::path::Path;

use crate::error::{Code, Error, Result};
use crate::htpasswd::Htpasswd;
use crate::settings::Settings;

/// What one wants to do to a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Pull,
    Push,
    Delete,
}

#[derive(Debug)]
pub(crate) struct Access {
    users: Option<Htpasswd>,
    realm: String,
    rules: Option<Vec<Rule>>,
    read_only: bool,
    delete: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct Rule {
    who: Vec<String>,
    may: Vec<Action>,
    place: String,
}

impl Access {
    /// # Errors
    /// A file cannot be read or understood.
    pub(crate) fn new(settings: &Settings) -> Result<Access> {
        let users = settings.htpasswd.clone().map(Htpasswd::open).transpose()?;
        let rules = settings.rules.as_deref().map(read_rules).transpose()?;
        if rules.is_some() && users.is_none() {
            return Err(Error::new(Code::Unknown, "--rules needs --htpasswd: without it nobody has a name"));
        }
        Ok(Access {
            users,
            realm: settings.realm.clone(),
            rules,
            read_only: settings.read_only,
            delete: settings.delete,
        })
    }

    /// What a client without a password is told to bring.
    pub(crate) fn challenge(&self) -> Option<String> {
        self.users.as_ref().map(|_| format!("Basic realm=\"{}\"", self.realm.replace(['"', '\\'], "")))
    }

    /// Everybody may read everything.
    pub(crate) fn is_open(&self) -> bool {
        self.users.is_none()
    }

    /// The user of an `Authorization` header. `None`: nobody said who they are. Takes bcrypt's time.
    pub(crate) fn user(&self, authorization: Option<&str>) -> Result<Option<String>> {
        let Some(users) = &self.users else { return Ok(None) };
        let Some(authorization) = authorization else { return Ok(None) };
        let refused = || Error::new(Code::Unauthorized, "authentication required");
        let (name, password) = credentials(authorization).ok_or_else(refused)?;
        match users.verify(&name, &password)? {
            true => Ok(Some(name)),
            false => Err(refused()),
        }
    }

    /// May they? `place`: `None` is what belongs to no repository.
    pub(crate) fn check(&self, user: Option<&str>, action: Action, place: Option<&str>) -> Result<()> {
        if action != Action::Pull && self.read_only {
            return Err(Error::new(Code::Unsupported, "this registry is read-only"));
        }
        if action == Action::Delete && !self.delete {
            return Err(Error::new(Code::Unsupported, "nothing may be deleted from this registry"));
        }
        if self.users.is_none() {
            return Ok(());
        }
        let allowed = match (&self.rules, place) {
            (Some(rules), Some(place)) => rules.iter().any(|rule| rule.allows(user, action, place)),
            _ => user.is_some(),
        };
        match (allowed, user) {
            (true, _) => Ok(()),
            (false, None) => Err(Error::new(Code::Unauthorized, "authentication required")),
            (false, Some(name)) => {
                let place = place.unwrap_or("the registry");
                let message =
                    format!("requested access to the resource is denied: {name} may not do this to {place}");
                Err(Error::new(Code::Denied, message))
            }
        }
    }
}

impl Rule {
    fn allows(&self, user: Option<&str>, action: Action, place: &str) -> bool {
        let who = self.who.iter().any(|who| who == "*" || Some(who.as_str()) == user);
        who && self.may.contains(&action) && matches(self.place.as_bytes(), place.as_bytes())
    }
}

fn read_rules(path: &Path) -> Result<Vec<Rule>> {
    let failed = |text: String| Error::new(Code::Unknown, format!("{}{text}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| failed(format!(": {error}")))?;
    parse_rules(&text).map_err(|(line, what)| failed(format!(":{line}: {what}")))
}

fn parse_rules(text: &str) -> Result<Vec<Rule>, (usize, String)> {
    let lines = text.lines().enumerate().map(|(number, line)| (number + 1, line.trim()));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|(number, line)| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [who, may, place] = words[..] else {
                return Err((number, "three words are needed: who, what they may, and where".to_owned()));
            };
            let action = |word: &str| match word {
                "pull" => Ok(Action::Pull),
                "push" => Ok(Action::Push),
                "delete" => Ok(Action::Delete),
                other => Err((number, format!("unknown action {other}: pull, push or delete"))),
            };
            Ok(Rule {
                who: who.split(',').map(str::to_owned).collect(),
                may: may.split(',').map(action).collect::<Result<_, _>>()?,
                place: place.to_owned(),
            })
        })
        .collect()
}

/// `*` stands for any bytes but `/`, `**` for any.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
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

/// Name and password of `Basic ...` (RFC 7617).
fn credentials(header: &str) -> Option<(String, String)> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let bytes = data_encoding::BASE64.decode(encoded.trim().as_bytes()).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (name, password) = text.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
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

    #[test]
    fn rules_are_read_and_decide() {
        let text = "# c\n*  pull public/**\nann,bob pull,push team/*\nroot pull,push,delete **\n";
        let rules = parse_rules(text).unwrap();
        let may =
            |user: Option<&str>, action, place| rules.iter().any(|rule| rule.allows(user, action, place));
        assert!(may(None, Action::Pull, "public/a/b"));
        assert!(!may(None, Action::Push, "public/a/b"));
        assert!(may(Some("bob"), Action::Push, "team/x"));
        assert!(!may(Some("bob"), Action::Delete, "team/x"));
        assert!(!may(Some("eve"), Action::Pull, "team/x"));
        assert!(may(Some("root"), Action::Delete, "any/thing"));
        assert_eq!(parse_rules("a b").unwrap_err().0, 1);
        assert_eq!(
            parse_rules("\na fly x").unwrap_err(),
            (2, "unknown action fly: pull, push or delete".into())
        );
    }

    #[test]
    fn headers_are_read() {
        let encoded = data_encoding::BASE64.encode(b"ann:se:cret");
        let expected = Some(("ann".to_owned(), "se:cret".to_owned()));
        assert_eq!(credentials(&format!("Basic {encoded}")), expected);
        assert_eq!(credentials(&format!("basic {encoded}")), expected);
        for bad in ["", "Basic", "Bearer x", "Basic !", &data_encoding::BASE64.encode(b"x")] {
            assert_eq!(credentials(bad), None, "{bad}");
        }
    }
}

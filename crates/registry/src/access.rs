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

use crate::action::Action;
use crate::error::{Code, Error, Result};
use crate::htpasswd::Htpasswd;
use crate::pattern;
use crate::settings::Settings;
use crate::token::{Claims, Scope, Tokens};

#[derive(Debug)]
pub(crate) struct Access {
    users: Option<Htpasswd>,
    /// Clients are sent for a token instead of bringing their password each time.
    tokens: Option<Tokens>,
    realm: String,
    rules: Option<Vec<Rule>>,
    read_only: bool,
    delete: bool,
}

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Caller {
    #[default]
    Nobody,
    /// With a password.
    User(String),
    /// With a token, which says what it is good for.
    Bearer(Claims),
}

impl Caller {
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Caller::Nobody => None,
            Caller::User(name) => Some(name),
            Caller::Bearer(claims) => Some(claims.sub.as_str()).filter(|name| !name.is_empty()),
        }
    }
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
        if users.is_none() {
            for (flag, given) in [("--rules", rules.is_some()), ("--token-auth", settings.token_auth)] {
                if given {
                    let message = format!("{flag} needs --htpasswd: without it nobody has a name");
                    return Err(Error::new(Code::Unknown, message));
                }
            }
        }
        let tokens = settings
            .token_auth
            .then(|| Tokens::open(&settings.root, settings.secret.as_deref()))
            .transpose()?;
        Ok(Access {
            users,
            tokens,
            realm: settings.realm.clone(),
            rules,
            read_only: settings.read_only,
            delete: settings.delete,
        })
    }

    /// What a client is told to bring. `url`: of this registry, as the client sees it.
    pub(crate) fn challenge(&self, url: &str, action: Action, place: Option<&str>) -> Option<String> {
        self.users.as_ref()?;
        if self.tokens.is_none() {
            return Some(format!("Basic realm=\"{}\"", self.realm.replace(['"', '\\'], "")));
        }
        let service = url.split_once("://").map_or(url, |(_, host)| host);
        let actions = match action {
            Action::Pull => "pull",
            // Who pushes also looks what is there.
            Action::Push => "pull,push",
            Action::Delete => "delete",
        };
        let scope = place.map(|place| format!(",scope=\"repository:{place}:{actions}\"")).unwrap_or_default();
        Some(format!("Bearer realm=\"{url}/token\",service=\"{service}\"{scope}"))
    }

    /// Everybody may read everything.
    pub(crate) fn is_open(&self) -> bool {
        self.users.is_none()
    }

    /// Who sends this `Authorization` header. Takes bcrypt's time.
    pub(crate) fn caller(&self, authorization: Option<&str>) -> Result<Caller> {
        let Some(users) = &self.users else { return Ok(Caller::Nobody) };
        let Some(authorization) = authorization else { return Ok(Caller::Nobody) };
        let refused = || Error::new(Code::Unauthorized, "authentication required");
        if let Some(tokens) = &self.tokens
            && let Some((scheme, token)) = authorization.split_once(' ')
            && scheme.eq_ignore_ascii_case("bearer")
        {
            return tokens.verify(token.trim()).map(Caller::Bearer).ok_or_else(refused);
        }
        let (name, password) = credentials(authorization).ok_or_else(refused)?;
        match users.verify(&name, &password)? {
            true => Ok(Caller::User(name)),
            false => Err(refused()),
        }
    }

    /// A token for as much of the scopes as the caller may have. `None`: this registry has no tokens.
    pub(crate) fn token(
        &self,
        caller: &Caller,
        url: &str,
        service: &str,
        scopes: &[Scope],
    ) -> Option<String> {
        let tokens = self.tokens.as_ref()?;
        let known = [Action::Pull, Action::Push, Action::Delete];
        let granted = scopes.iter().filter(|scope| scope.kind == "repository").map(|scope| Scope {
            actions: known
                .into_iter()
                .filter(|action| scope.has(*action, &scope.name))
                .filter(|action| self.check(caller, *action, Some(&scope.name)).is_ok())
                .map(|action| action.word().to_owned())
                .collect(),
            ..scope.clone()
        });
        let granted = granted.filter(|scope| !scope.actions.is_empty()).collect();
        Some(tokens.sign(url, caller.name().unwrap_or_default(), service, granted))
    }

    /// May they? `place`: `None` is what belongs to no repository.
    pub(crate) fn check(&self, caller: &Caller, action: Action, place: Option<&str>) -> Result<()> {
        if action != Action::Pull && self.read_only {
            return Err(Error::new(Code::Unsupported, "this registry is read-only"));
        }
        if action == Action::Delete && !self.delete {
            return Err(Error::new(Code::Unsupported, "nothing may be deleted from this registry"));
        }
        if self.users.is_none() {
            return Ok(());
        }
        let denied = |code| {
            let place = place.unwrap_or("the registry");
            let who = caller.name().unwrap_or("nobody");
            Error::new(
                code,
                format!("requested access to the resource is denied: {who} may not do this to {place}"),
            )
        };
        match (caller, place) {
            (Caller::Bearer(claims), Some(place)) => {
                // Too little in it: the client is told what to ask for.
                let good = claims.access.iter().any(|scope| scope.has(action, place));
                if good { Ok(()) } else { Err(denied(Code::Unauthorized)) }
            }
            (Caller::Bearer(_), None) => Ok(()),
            (caller, place) => match (self.may(caller.name(), action, place), caller) {
                (true, _) => Ok(()),
                (false, Caller::Nobody) => Err(Error::new(Code::Unauthorized, "authentication required")),
                (false, _) => Err(denied(Code::Denied)),
            },
        }
    }

    /// Which of these the caller may pull from, whatever their token was made for.
    pub(crate) fn readable(&self, caller: &Caller, names: &mut Vec<String>) {
        if self.users.is_some() {
            names.retain(|name| self.may(caller.name(), Action::Pull, Some(name)));
        }
    }

    fn may(&self, user: Option<&str>, action: Action, place: Option<&str>) -> bool {
        match (&self.rules, place) {
            (Some(rules), Some(place)) => rules.iter().any(|rule| rule.allows(user, action, place)),
            _ => user.is_some(),
        }
    }
}

impl Rule {
    fn allows(&self, user: Option<&str>, action: Action, place: &str) -> bool {
        let who = self.who.iter().any(|who| who == "*" || Some(who.as_str()) == user);
        who && self.may.contains(&action) && pattern::matches(self.place.as_bytes(), place.as_bytes())
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

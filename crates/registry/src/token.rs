//! Tokens, as Docker's registries have them ("Token Authentication"): a client is sent here with the scope that it needs, says
//! who it is, and gets a JSON Web Token (RFC 7519, HS256) with what it may do, which it brings along from then on.
//!
//! The key lies beside the registry's data: all processes that serve it sign and believe the same.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use jiff::Timestamp;
use ring::hmac;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::action::Action;
use crate::error::{Code, Error, Result, disk};

/// Long enough for a large push, short enough that who was taken out of the rules is out soon.
pub(crate) const LIFE: Duration = Duration::from_secs(15 * 60);
/// Clocks of processes that serve one directory may differ by this.
const SKEW_S: i64 = 30;
const KEY_BYTES: usize = 32;
/// `{"alg":"HS256","typ":"JWT"}`: the only kind, so that nobody chooses a weaker one.
const HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";

/// One thing that a token is good for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Scope {
    /// `repository`, or `registry`.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) actions: Vec<String>,
}

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) iss: String,
    /// The user; empty: nobody.
    pub(crate) sub: String,
    pub(crate) aud: String,
    pub(crate) exp: i64,
    pub(crate) nbf: i64,
    pub(crate) iat: i64,
    pub(crate) access: Vec<Scope>,
}

/// Signs and verifies.
#[derive(Debug)]
pub(crate) struct Tokens {
    key: hmac::Key,
}

impl Scope {
    /// `repository:samalba/my-app:pull,push`; a name may have colons, as in `host:5000/name`.
    pub(crate) fn parse(text: &str) -> Option<Scope> {
        let (kind, rest) = text.split_once(':')?;
        let (name, actions) = rest.rsplit_once(':')?;
        let actions = actions.split(',').filter(|action| !action.is_empty()).map(str::to_owned).collect();
        Some(Scope { kind: kind.to_owned(), name: name.to_owned(), actions })
    }

    pub(crate) fn has(&self, action: Action, repository: &str) -> bool {
        let named = self.kind == "repository" && self.name == repository;
        named && self.actions.iter().any(|word| word == action.word() || word == "*")
    }
}

impl Tokens {
    /// Takes the key of the directory, or makes one. With a secret, it is made of that.
    ///
    /// # Errors
    /// The key's file cannot be read or made, or is none.
    pub(crate) fn open(root: &Path, secret: Option<&str>) -> Result<Tokens> {
        if let Some(secret) = secret {
            let key = Sha256::digest(format!("tokens of a registry\n{secret}"));
            return Ok(Tokens { key: hmac::Key::new(hmac::HMAC_SHA256, &key) });
        }
        let path = root.join("token.key");
        let bytes = match fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => make_key(root, &path)?,
            read => read.map_err(|error| disk("read", &path, &error))?,
        };
        if bytes.len() != KEY_BYTES {
            let message =
                format!("{}: not a key of {KEY_BYTES} bytes: remove it to get a new one", path.display());
            return Err(Error::new(Code::Unknown, message));
        }
        Ok(Tokens { key: hmac::Key::new(hmac::HMAC_SHA256, &bytes) })
    }

    pub(crate) fn sign(&self, issuer: &str, user: &str, service: &str, access: Vec<Scope>) -> String {
        let now = Timestamp::now().as_second();
        let claims = Claims {
            iss: issuer.to_owned(),
            sub: user.to_owned(),
            aud: service.to_owned(),
            exp: now + LIFE.as_secs().cast_signed(),
            nbf: now - SKEW_S,
            iat: now,
            access,
        };
        let payload = serde_json::to_vec(&claims).unwrap_or_default();
        let signed = format!("{HEADER}.{}", BASE64URL_NOPAD.encode(&payload));
        let signature = hmac::sign(&self.key, signed.as_bytes());
        format!("{signed}.{}", BASE64URL_NOPAD.encode(signature.as_ref()))
    }

    /// What a token says, if it is ours and its time has come and not gone.
    pub(crate) fn verify(&self, token: &str) -> Option<Claims> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).ok()?;
        hmac::verify(&self.key, signed.as_bytes(), &signature).ok()?;
        if header != HEADER {
            return None;
        }
        let claims: Claims =
            serde_json::from_slice(&BASE64URL_NOPAD.decode(payload.as_bytes()).ok()?).ok()?;
        let now = Timestamp::now().as_second();
        (claims.nbf <= now + SKEW_S && now < claims.exp).then_some(claims)
    }
}

/// Of two processes that make one at the same time, the first wins: a link(2) is made once.
fn make_key(root: &Path, path: &Path) -> Result<Vec<u8>> {
    let made = (|| {
        let mut bytes = [0u8; KEY_BYTES];
        rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
        fs::create_dir_all(root)?;
        let beside = root.join(format!(".token.key-{}", std::process::id()));
        let _ = fs::remove_file(&beside);
        let mut file = fs::File::options().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        let linked = fs::hard_link(&beside, path);
        fs::remove_file(&beside)?;
        match linked {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
            _ => fs::read(path),
        }
    })();
    made.map_err(|error| disk("make", path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read() {
        let scope = Scope::parse("repository:host:5000/a:pull,push").unwrap();
        assert_eq!((scope.name.as_str(), scope.actions.len()), ("host:5000/a", 2));
        assert!(scope.has(Action::Push, "host:5000/a") && !scope.has(Action::Delete, "host:5000/a"));
        assert!(!scope.has(Action::Push, "b"));
        assert_eq!(Scope::parse("repository"), None);
    }

    #[test]
    fn only_what_was_signed_is_believed() {
        let directory = tempfile::tempdir().unwrap();
        let tokens = Tokens::open(directory.path(), None).unwrap();
        let access = vec![Scope::parse("repository:a:pull").unwrap()];
        let token = tokens.sign("me", "ann", "registry", access.clone());
        // Another process on the same directory.
        let claims = Tokens::open(directory.path(), None).unwrap().verify(&token).unwrap();
        assert_eq!((claims.sub.as_str(), claims.access), ("ann", access));
        let other = tempfile::tempdir().unwrap();
        assert_eq!(Tokens::open(other.path(), None).unwrap().verify(&token), None);
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let (_, payload) = signed.split_once('.').unwrap();
        let none = BASE64URL_NOPAD.encode(br#"{"alg":"none"}"#);
        for forged in [
            format!("{none}.{payload}."),
            format!("{none}.{payload}.{signature}"),
            format!("{HEADER}.{}.{signature}", BASE64URL_NOPAD.encode(b"{}")),
            signed.to_owned(),
            String::new(),
        ] {
            assert_eq!(tokens.verify(&forged), None, "{forged}");
        }
        let with = |secret| Tokens::open(directory.path(), Some(secret)).unwrap();
        let token = with("s").sign("me", "ann", "registry", Vec::new());
        assert!(with("s").verify(&token).is_some() && with("t").verify(&token).is_none());
        fs::write(directory.path().join("token.key"), "short").unwrap();
        assert!(Tokens::open(directory.path(), None).is_err());
    }
}

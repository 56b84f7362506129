//! Who the user is at a registry: what `login` kept in `config.json`, or in a helper (`docker-credential-*`).

use std::io::Write as _;
use std::process::{Command, Stdio};

use api::registry::{AuthConfig, decode_pair};
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::failure::Failure;
use crate::output;

/// What Docker Hub's credentials are kept under.
pub(crate) const HUB: &str = "https://index.docker.io/v1/";

/// What helpers say when there is nothing.
const NOT_FOUND: &str = "credentials not found in native keychain";
/// In place of a name, when the secret is a token.
const TOKEN_USER: &str = "<token>";

/// What the credentials of a reference's registry are kept under.
pub(crate) fn key(domain: &str) -> &str {
    if domain == oci::DEFAULT_DOMAIN { HUB } else { domain }
}

/// The user's credentials at the registry of `domain`, as a header; empty where there are none.
pub(crate) fn header(app: &App, domain: &str) -> String {
    match get(app, key(domain)) {
        Ok(auth) if auth == AuthConfig::default() => String::new(),
        Ok(auth) => auth.to_header(),
        Err(failure) => {
            // Many images can be had without.
            output::err(&format!("WARNING: Error loading credentials: {}\n", failure.text));
            String::new()
        }
    }
}

/// All that is kept under a key; all empty where nothing is.
///
/// # Errors
/// A helper is missing or fails.
pub(crate) fn get(app: &App, key: &str) -> Result<AuthConfig, Failure> {
    if let Some(helper) = helper(app, key) {
        return Helper(helper).get(key);
    }
    let auths = &app.config.auths;
    let found = auths.get(key).or_else(|| {
        // Older clients kept whole URLs.
        auths.iter().find(|(kept, _)| host(kept) == host(key)).map(|(_, auth)| auth)
    });
    let Some(auth) = found else { return Ok(AuthConfig::default()) };
    let mut auth = auth.clone();
    if let Some((username, password)) = decode_pair(&std::mem::take(&mut auth.auth)) {
        (auth.username, auth.password) = (username, password);
    }
    key.clone_into(&mut auth.server_address);
    Ok(auth)
}

/// The program that keeps the credentials of a key, if one does.
pub(crate) fn helper<'a>(app: &'a App, key: &str) -> Option<&'a str> {
    let own = app.config.credential_helpers.get(key).or_else(|| app.config.credential_helpers.get(host(key)));
    own.map(String::as_str).or(Some(app.config.credentials_store.as_str())).filter(|name| !name.is_empty())
}

/// A URL's host, with its port.
pub(crate) fn host(url: &str) -> &str {
    let bare = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).unwrap_or(url);
    bare.split('/').next().unwrap_or(bare)
}

/// `docker-credential-<name>`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Helper<'a>(pub(crate) &'a str);

/// What goes over its pipes.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Entry {
    #[serde(rename = "ServerURL")]
    server: String,
    username: String,
    secret: String,
}

impl Helper<'_> {
    pub(crate) fn get(self, key: &str) -> Result<AuthConfig, Failure> {
        let answer = match self.run("get", key) {
            Err(failure) if failure.text.contains(NOT_FOUND) => return Ok(AuthConfig::default()),
            answer => answer?,
        };
        let entry: Entry = serde_json::from_str(&answer)
            .map_err(|error| Failure::new(format!("error getting credentials - {error}")))?;
        let mut auth = AuthConfig { server_address: key.to_owned(), ..AuthConfig::default() };
        if entry.username == TOKEN_USER {
            auth.identity_token = entry.secret;
        } else {
            (auth.username, auth.password) = (entry.username, entry.secret);
        }
        Ok(auth)
    }

    fn run(self, verb: &str, input: &str) -> Result<String, Failure> {
        let doing = "getting";
        let program = format!("docker-credential-{}", self.0);
        let failed = |why: String| Failure::new(format!("error {doing} credentials - err: {why}, out: ``"));
        let started = Command::new(&program)
            .arg(verb)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn();
        let mut child = started.map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                failed(format!("exec: {program:?}: executable file not found in $PATH"))
            }
            _ => failed(format!("exec: {program:?}: {}", output::reason(&error))),
        })?;
        // One that does not want to read has its reasons, and says them.
        let _ = child.stdin.take().map(|mut stdin| stdin.write_all(input.as_bytes()));
        let ended = child.wait_with_output().map_err(|error| failed(output::reason(&error)))?;
        let answer = String::from_utf8_lossy(&ended.stdout).trim().to_owned();
        if ended.status.success() {
            return Ok(answer);
        }
        let status = match ended.status.code() {
            Some(code) => format!("exit status {code}"),
            None => ended.status.to_string(),
        };
        Err(Failure::new(format!("error {doing} credentials - err: {status}, out: `{answer}`")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_hosts_but_for_the_hub() {
        assert_eq!(key("docker.io"), HUB);
        assert_eq!(key("localhost:5000"), "localhost:5000");
        assert_eq!(host("https://index.docker.io/v1/"), "index.docker.io");
        assert_eq!(host("reg:5000"), "reg:5000");
    }
}

//! Who the user is at a registry: what `login` kept in `config.json`, or in a helper (`docker-credential-*`).

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use api::registry::{AuthConfig, decode_pair, encode_pair};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::app::App;
use crate::failure::{self, Failure};
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

/// All that the user has anywhere, each under its key.
///
/// # Errors
/// As [`get`].
pub(crate) fn all(app: &App) -> Result<Vec<AuthConfig>, Failure> {
    let config = &app.config;
    let mut keys: BTreeSet<String> =
        config.auths.keys().chain(config.credential_helpers.keys()).cloned().collect();
    if !config.credentials_store.is_empty() {
        keys.extend(Helper(&config.credentials_store).list()?);
    }
    let mut all = Vec::new();
    for key in keys {
        let auth = get(app, &key)?;
        if !(auth.username.is_empty() && auth.identity_token.is_empty()) {
            all.push(AuthConfig { server_address: key, ..auth });
        }
    }
    Ok(all)
}

/// Credentials as they stand in a `config.json`.
pub(crate) fn entry(auth: &AuthConfig) -> Value {
    let mut entry = json!({ "auth": encode_pair(&auth.username, &auth.password) });
    if !auth.identity_token.is_empty() {
        entry["identitytoken"] = auth.identity_token.clone().into();
    }
    entry
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

/// Keeps credentials: in a helper, or in `config.json`, with a warning that it is not encrypted there.
///
/// # Errors
/// The helper or the file refuses.
pub(crate) fn keep(app: &App, auth: &AuthConfig) -> Result<(), Failure> {
    let key = &auth.server_address;
    let saving = |failure: Failure| Failure::new(format!("error saving credentials: {}", failure.text));
    if let Some(helper) = helper(app, key) {
        Helper(helper).store(auth).map_err(saving)?;
        // Docker notes that there are some, without saying which.
        return File::open(app)?.put(key, Some(json!({}))).map(drop).map_err(saving);
    }
    let file = File::open(app)?;
    let path = file.path.display().to_string();
    if file.put(key, Some(entry(auth))).map_err(saving)? && !auth.password.is_empty() {
        output::err(&format!(
            "\nWARNING! Your credentials are stored unencrypted in '{path}'.\nConfigure a credential helper to remove this \
             warning. See\nhttps://docs.docker.com/go/credential-store/\n\n"
        ));
    }
    Ok(())
}

/// Forgets what is kept under a key, if something is.
///
/// # Errors
/// As [`keep`].
pub(crate) fn forget(app: &App, key: &str) -> Result<(), Failure> {
    if let Some(helper) = helper(app, key) {
        Helper(helper).erase(key)?;
    }
    File::open(app)?.put(key, None).map(drop)
}

/// The user's `config.json`, to be changed: everything else in it stays as it is.
struct File {
    path: PathBuf,
    document: Value,
}

impl File {
    fn open(app: &App) -> Result<Self, Failure> {
        let path = app.config_directory.join("config.json");
        let document = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                Failure::new(format!("parsing config file ({}): {error}", path.display()))
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => json!({}),
            Err(error) => {
                return Err(Failure::new(format!("open {}: {}", path.display(), failure::reason(&error))));
            }
        };
        Ok(Self { path, document })
    }

    /// Sets or removes one entry of `auths`. Is the file another one now?
    fn put(mut self, key: &str, entry: Option<Value>) -> Result<bool, Failure> {
        let broken = || Failure::new(format!("parsing config file ({}): not an object", self.path.display()));
        let object = self.document.as_object_mut().ok_or_else(broken)?;
        let before = object.clone();
        let auths = match object.get_mut("auths").map(Value::take) {
            Some(Value::Object(auths)) => auths,
            _ => Map::new(),
        };
        let mut sorted: BTreeMap<String, Value> = auths.into_iter().collect();
        match entry {
            Some(entry) => sorted.insert(key.to_owned(), entry),
            None => sorted.remove(key),
        };
        let auths = Value::Object(sorted.into_iter().collect());
        match object.get_mut("auths") {
            Some(place) => *place = auths,
            // Docker writes them first.
            None => _ = object.shift_insert(0, "auths".to_owned(), auths),
        }
        if *object == before {
            return Ok(false);
        }
        self.write().map(|()| true)
    }

    /// Beside it, and renamed over it; a link to somewhere else stays one.
    fn write(&self) -> Result<(), Failure> {
        let failed = |error: std::io::Error| {
            Failure::new(format!("{}: {}", self.path.display(), failure::reason(&error)))
        };
        let directory = self.path.parent().unwrap_or(Path::new("."));
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
        let mut text = Vec::new();
        let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
        let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
        self.document.serialize(&mut serializer).map_err(|error| Failure::new(error.to_string()))?;
        let target = std::fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        let mode = std::fs::metadata(&target).map_or(0o600, |metadata| metadata.mode() & 0o7777);
        let beside = target.with_extension(format!("json{}", std::process::id()));
        let written = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&beside)
            .and_then(|mut file| file.write_all(&text))
            .and_then(|()| std::fs::rename(&beside, &target));
        written.map_err(|error| {
            // Half of it is of no use to anybody.
            let _ = std::fs::remove_file(&beside);
            failed(error)
        })
    }
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

    pub(crate) fn store(self, auth: &AuthConfig) -> Result<(), Failure> {
        let token = !auth.identity_token.is_empty();
        let entry = Entry {
            server: auth.server_address.clone(),
            username: if token { TOKEN_USER.to_owned() } else { auth.username.clone() },
            secret: if token { auth.identity_token.clone() } else { auth.password.clone() },
        };
        let text = serde_json::to_string(&entry).map_err(|error| Failure::new(error.to_string()))?;
        self.run("store", &text).map(drop)
    }

    pub(crate) fn erase(self, key: &str) -> Result<(), Failure> {
        self.run("erase", key).map(drop)
    }

    /// The keys that it keeps something under.
    fn list(self) -> Result<Vec<String>, Failure> {
        let answer = self.run("list", "")?;
        let all: BTreeMap<String, String> = serde_json::from_str(&answer)
            .map_err(|error| Failure::new(format!("error listing credentials - {error}")))?;
        Ok(all.into_keys().collect())
    }

    fn run(self, verb: &str, input: &str) -> Result<String, Failure> {
        let doing = match verb {
            "get" => "getting",
            "store" => "storing",
            "list" => "listing",
            _ => "erasing",
        };
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
            _ => failed(format!("exec: {program:?}: {}", failure::reason(&error))),
        })?;
        // One that does not want to read has its reasons, and says them.
        let _ = child.stdin.take().map(|mut stdin| stdin.write_all(input.as_bytes()));
        let ended = child.wait_with_output().map_err(|error| failed(failure::reason(&error)))?;
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

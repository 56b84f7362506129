//! Which engine: flags, environment, contexts, and how to be known to it.
//!
//! ```text
//! -H ─► DOCKER_HOST ─► DOCKER_CONTEXT ─► currentContext ─► unix:///var/run/docker.sock      (--context before all)
//! ```
//! A context is what Docker's client wrote: `contexts/meta/<sha256 of its name>/meta.json`, with PEM files in
//! `contexts/tls/<the same>/docker/`.

use std::path::Path;

use client::{Address, DEFAULT_SOCKET, Tls, TlsFiles};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::config::Config;
use crate::environment::environment;
use crate::failure::Failure;
use crate::globals::Globals;
use crate::tls::{Unreadable, read};

const DEFAULT_CONTEXT: &str = "default";
/// Where an engine with TLS is by default.
const DEFAULT_TLS_HOST: &str = "tcp://localhost:2376";

/// An engine, and how to speak with it.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// The context's name, `default` for what flags and environment say.
    pub(crate) context: String,
    /// The address as it was configured, with its scheme.
    pub(crate) host: String,
    pub(crate) address: Address,
    pub(crate) tls: Option<Tls>,
}

/// Decides on the engine; reads what the context and TLS need, connects to nothing.
pub(crate) fn resolve(globals: &Globals, directory: &Path, config: &Config) -> Result<Endpoint, Failure> {
    if !globals.hosts.is_empty() && globals.context.is_some() {
        return Err(Failure::new("conflicting options: cannot specify both --host and --context"));
    }
    let context = context(globals, config);
    let endpoint = match context.as_str() {
        DEFAULT_CONTEXT => from_flags(globals, directory),
        name => from_context(name, directory),
    };
    endpoint.map_err(|why| {
        Failure::new(format!("Failed to initialize: unable to resolve docker endpoint: {why}"))
    })
}

fn context(globals: &Globals, config: &Config) -> String {
    let configured = || Some(config.current_context.clone()).filter(|name| !name.is_empty());
    match &globals.context {
        Some(name) => name.clone(),
        None if !globals.hosts.is_empty() || environment("DOCKER_HOST").is_some() => DEFAULT_CONTEXT.into(),
        None => environment("DOCKER_CONTEXT").or_else(configured).unwrap_or_else(|| DEFAULT_CONTEXT.into()),
    }
}

fn from_flags(globals: &Globals, directory: &Path) -> Result<Endpoint, String> {
    let files = globals.tls.files(directory)?;
    let host = globals.hosts.first().cloned().or_else(|| environment("DOCKER_HOST")).unwrap_or_default();
    let host = complete(&host, files.is_some());
    endpoint(DEFAULT_CONTEXT, host, files)
}

fn endpoint(context: &str, host: String, files: Option<TlsFiles>) -> Result<Endpoint, String> {
    let address: Address = host.parse().map_err(|error: client::AddressError| error.to_string())?;
    let tls = match files {
        Some(files) if matches!(address, Address::Tcp { .. }) => {
            Some(Tls::new(&files).map_err(|error| error.to_string())?)
        }
        _ => None,
    };
    Ok(Endpoint { context: context.into(), host, address, tls })
}

/// A path or `host:port` without a scheme is completed.
fn complete(host: &str, tls: bool) -> String {
    match host.trim() {
        "" if tls => DEFAULT_TLS_HOST.into(),
        "" => DEFAULT_SOCKET.into(),
        host if host.contains("://") => host.to_owned(),
        path if path.starts_with('/') => format!("unix://{path}"),
        address => format!("tcp://{address}"),
    }
}

/// `meta.json`, as far as a client needs it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Meta {
    #[serde(default)]
    endpoints: Endpoints,
}

#[derive(Debug, Default, Deserialize)]
struct Endpoints {
    docker: Option<DockerEndpoint>,
}

#[derive(Debug, Deserialize)]
struct DockerEndpoint {
    #[serde(default, rename = "Host")]
    host: String,
    #[serde(default, rename = "SkipTLSVerify")]
    skip_tls_verify: bool,
}

fn from_context(name: &str, directory: &Path) -> Result<Endpoint, String> {
    let id: String = Sha256::digest(name.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let path = directory.join("contexts/meta").join(&id).join("meta.json");
    let text = read(&path).map_err(|error| match error {
        Unreadable::Missing(text) => format!("context {name:?}: context not found: {text}"),
        Unreadable::Other(text) => format!("context {name:?}: {text}"),
    })?;
    let meta: Meta =
        serde_json::from_slice(&text).map_err(|error| format!("parsing {}: {error}", path.display()))?;
    let docker = meta.endpoints.docker.ok_or("cannot find docker endpoint in context")?;
    let tls = directory.join("contexts/tls").join(&id).join("docker");
    let file = |name: &str| match read(&tls.join(name)) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(Unreadable::Missing(_)) => Ok(None),
        Err(Unreadable::Other(text)) => Err(text),
    };
    let files = TlsFiles {
        ca: file("ca.pem")?,
        cert: file("cert.pem")?,
        key: file("key.pem")?,
        verify: !docker.skip_tls_verify,
    };
    let wanted = files.ca.is_some() || files.cert.is_some() || files.key.is_some() || docker.skip_tls_verify;
    endpoint(name, complete(&docker.host, wanted), wanted.then_some(files))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn globals(hosts: &[&str], context: Option<&str>) -> Globals {
        Globals {
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            context: context.map(str::to_owned),
            ..Globals::default()
        }
    }

    fn host(globals: &Globals, directory: &Path) -> Result<String, String> {
        resolve(globals, directory, &Config::default())
            .map(|endpoint| endpoint.host)
            .map_err(|failure| failure.text)
    }

    #[test]
    fn schemes_are_completed() {
        let of = |text: &str| host(&globals(&[text], None), Path::new("/nonexistent"));
        assert_eq!(of("/run/x.sock").unwrap(), "unix:///run/x.sock");
        assert_eq!(of("127.0.0.1:1").unwrap(), "tcp://127.0.0.1:1");
        assert!(
            of("foo://x").unwrap_err().ends_with("docker endpoint: invalid bind address format: foo://x")
        );
        assert_eq!(complete("", true), DEFAULT_TLS_HOST);
    }

    #[test]
    fn contexts_are_read_where_docker_wrote_them() {
        let directory = tempfile::tempdir().unwrap();
        let of = |name| host(&globals(&[], Some(name)), directory.path());
        let id = "9e62f93eb7d2499903ac66232f187c56fc050eb74c765f90eb214360b21f0e96";
        let meta = directory.path().join("contexts/meta").join(id);
        assert_eq!(
            of("nosuch").unwrap_err(),
            format!(
                "Failed to initialize: unable to resolve docker endpoint: context \"nosuch\": context not found: open \
                 {}/meta.json: no such file or directory",
                meta.display()
            )
        );
        std::fs::create_dir_all(&meta).unwrap();
        let text = r#"{"Name":"nosuch","Metadata":{},"Endpoints":{"docker":{"Host":"tcp://h:1","SkipTLSVerify":false}}}"#;
        std::fs::write(meta.join("meta.json"), text).unwrap();
        assert_eq!(of("nosuch").unwrap(), "tcp://h:1");
        std::fs::write(meta.join("meta.json"), "{}").unwrap();
        assert!(of("nosuch").unwrap_err().ends_with("cannot find docker endpoint in context"));
    }
}

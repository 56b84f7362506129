//! `--use-api-socket`: the engine's socket in the container, and who the user is at registries, so that a client in there may do
//! what the user may.

use api::container::CreateRequest;
use api::mount::{BindOptions, Mount, MountType};
use archive::{FileEntry, TarWriter};
use client::Remove;

use crate::app::App;
use crate::credentials;
use crate::failure::Failure;

/// Where clients look for it.
const SOCKET: &str = "/var/run/docker.sock";
/// Where Compose puts secrets, too.
const DIRECTORY: &str = "/run/secrets/docker";
const VARIABLE: &str = "DOCKER_CONFIG";

/// A client's configuration with nothing in it but credentials, to be put into the container when there is one.
#[derive(Debug)]
pub(super) struct Configuration(String);

/// Asks for the socket. The credentials are read before anything is made; whoever sets `DOCKER_CONFIG` has some of their own.
pub(super) fn ask(app: &App, request: &mut CreateRequest) -> Result<Option<Configuration>, Failure> {
    // The engine's own where it is known: one at another place is not reached by the usual one.
    let socket = app.host.strip_prefix("unix://").unwrap_or(SOCKET);
    request.host_config.get_or_insert_default().mounts.push(Mount {
        kind: MountType::BIND,
        source: socket.to_owned(),
        target: SOCKET.to_owned(),
        bind_options: Some(BindOptions::default()),
        ..Mount::default()
    });
    let is_set = |variable: &String| variable.split('=').next() == Some(VARIABLE);
    if request.config.env.iter().any(is_set) {
        return Ok(None);
    }
    let all = credentials::all(app)
        .map_err(|failure| Failure::new(format!("resolving credentials failed: {}", failure.text)))?;
    if all.is_empty() {
        return Ok(None);
    }
    request.config.env.push(format!("{VARIABLE}={DIRECTORY}"));
    let entries: serde_json::Map<_, _> =
        all.into_iter().map(|auth| (auth.server_address.clone(), credentials::entry(&auth))).collect();
    Ok(Some(Configuration(serde_json::json!({ "auths": entries }).to_string())))
}

impl Configuration {
    /// Puts it into a container that was just made. One that cannot have it is not left behind.
    pub(super) async fn put(self, app: &App, id: &str) -> Result<(), Failure> {
        let containers = app.client.containers();
        let put = match self.tar() {
            Ok(tar) => {
                let (mut writer, upload) = client::upload();
                let write = tokio::task::spawn_blocking(move || {
                    std::io::Write::write_all(&mut writer, &tar).and_then(|()| writer.end())
                });
                let put = containers.extract(id, "/", false, upload).await;
                // What the engine says of a body that was broken off says more.
                let _ = write.await;
                put.map_err(Failure::from)
            }
            Err(error) => Err(Failure::new(error.to_string())),
        };
        let Err(failure) = put else { return Ok(()) };
        let _ = containers.remove(id, Remove { volumes: true, link: false, force: true }).await;
        Err(Failure::new(format!("injecting docker config.json into container failed: {}", failure.text)))
    }

    fn tar(&self) -> Result<Vec<u8>, archive::Error> {
        let bytes = self.0.as_bytes();
        let mut tar = TarWriter::new(Vec::new());
        let name = format!("{}/config.json", DIRECTORY.trim_start_matches('/'));
        tar.append(&FileEntry::file(&name, 0o600, bytes.len() as u64), bytes)?;
        tar.finish()
    }
}

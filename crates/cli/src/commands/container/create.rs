//! `create`: a container that is not started. `run` begins with it.

use std::path::PathBuf;

use api::container::{CreateRequest, CreateResponse};
use api::mount::MountType;
use oci::Reference;

use super::api_socket;
use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::commands::image::{any_reference, split_reference};
use crate::failure::{self, Failure};
use crate::flags::Parsed;
use crate::options::{self, container_flags};
use crate::{output, platforms, progress, terminal};

pub(crate) const COMMAND: Command = Command {
    name: "create",
    aliases: &[],
    usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    about: "Create a new container",
    flags: container_flags![
        Flag::text("name", "Name of the container"),
        Flag::text("platform", "Platform of the image, where it has several"),
        Flag::text("pull", "When to pull the image (\"always\", \"missing\", \"never\")").default("missing"),
        Flag::switch("quiet", "Do not show how the pull goes").short('q'),
        Flag::switch("disable-content-trust", "Skip image verification")
            .default("true")
            .deprecated("support for docker content trust was removed"),
    ],
    operands: Operands::AtLeast(1),
    interspersed: false,
    spellings: &["container create", "create"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

async fn run(app: &App, line: &Parsed) -> Outcome {
    let request = request(app, line).map_err(|error| with_help(app, "create", &error, 125))?;
    let created = create(app, line, request).await?;
    output::out(&format!("{}\n", created.id));
    Ok(0)
}

/// `docker: <text>` and where to read on.
pub(super) fn with_help(app: &App, verb: &str, text: &str, status: u8) -> Failure {
    let program = app.program;
    Failure::with_status(
        format!("{program}: {text}\n\nRun '{program} {verb} --help' for more information"),
        status,
    )
}

/// The line as a request, with what only the client knows: its proxies and its window.
pub(super) fn request(app: &App, line: &Parsed) -> Result<CreateRequest, String> {
    let pull = line.text("pull");
    if !matches!(pull, "" | "always" | "missing" | "never") {
        return Err(format!(
            "invalid pull option: '{pull}': must be one of \"always\", \"missing\" or \"never\""
        ));
    }
    let proxies = app.config.proxy_environment(&app.host, &line.list("env"));
    let mut request = options::request(line, proxies)?;
    if let (Some(host), Some(size)) = (&mut request.host_config, terminal::size()) {
        host.console_size = [size.rows.into(), size.columns.into()];
    }
    Ok(request)
}

/// Creates it, pulling the image first or when it turns out to be missing, as `--pull` says.
pub(super) async fn create(
    app: &App,
    line: &Parsed,
    mut request: CreateRequest,
) -> Result<CreateResponse, Failure> {
    let (name, platform) = (line.text("name"), platform(line));
    let image = request.config.image.clone();
    let pull_policy = line.text("pull");
    platforms::check(&platform)?;
    let configuration =
        if line.switch("use-api-socket") { api_socket::ask(app, &mut request)? } else { None };
    let cid_file = CidFile::new(line.text("cidfile"))?;
    let reference = any_reference(&image).map_err(|error| Failure::new(error.to_string()))?;
    if pull_policy == "always" {
        pull(app, line, &image, &platform).await?;
    }
    let containers = app.client.containers();
    let created = match containers.create(name, &platform, &request).await {
        Err(error)
            if error.is_not_found()
                && pull_policy == "missing"
                && reference.is_some()
                && !is_of_a_mount(&error, &request) =>
        {
            if let Some(reference) = reference.filter(|_| !line.switch("quiet")) {
                let named = reference.or_latest();
                output::err(&format!("Unable to find image '{}' locally\n", named.familiar()));
            }
            pull(app, line, &image, &platform).await?;
            containers.create(name, &platform, &request).await?
        }
        result => result?,
    };
    for warning in &created.warnings {
        output::err(&format!("WARNING: {warning}\n"));
    }
    if let Some(configuration) = configuration {
        configuration.put(app, &created.id).await?;
    }
    cid_file.write(&created.id)?;
    Ok(created)
}

/// The image that is missing is one that is to be mounted: pulling the container's would not help.
fn is_of_a_mount(error: &client::Error, request: &CreateRequest) -> bool {
    let text = error.to_string();
    let familiar = |source: &str| Some(any_reference(source).ok()??.or_latest().familiar());
    let mounts = request.host_config.iter().flat_map(|host| &host.mounts);
    mounts
        .filter(|mount| mount.kind == MountType::IMAGE && mount.source != request.config.image)
        .filter_map(|mount| familiar(&mount.source))
        .any(|name| text.ends_with(&format!("No such image: {name}")))
}

fn platform(line: &Parsed) -> String {
    match line.given("platform") {
        Some(platform) => platform.to_owned(),
        None => std::env::var("DOCKER_DEFAULT_PLATFORM").unwrap_or_default(),
    }
}

/// Creates a container without a name, and pulls its image where that is missing.
pub(super) async fn create_plain(
    app: &App,
    name: &str,
    request: &CreateRequest,
) -> Result<CreateResponse, Failure> {
    let image = request.config.image.as_str();
    let containers = app.client.containers();
    match containers.create(name, "", request).await {
        Err(error) if error.is_not_found() && error.to_string().contains("No such image") => {
            output::err(&format!("Unable to find image '{image}' locally\n"));
            pull_to(app, progress::To::Stderr, image, "").await?;
            Ok(containers.create(name, "", request).await?)
        }
        result => Ok(result?),
    }
}

async fn pull(app: &App, line: &Parsed, image: &str, platform: &str) -> Result<(), Failure> {
    let to = if line.switch("quiet") { progress::To::Nowhere } else { progress::To::Stderr };
    pull_to(app, to, image, platform).await
}

async fn pull_to(app: &App, to: progress::To, image: &str, platform: &str) -> Result<(), Failure> {
    let (name, tag) = split_reference(image);
    let domain = Reference::parse(image).map_err(|error| Failure::new(error.to_string()))?;
    let auth = crate::credentials::header(app, domain.domain());
    let stream = app.client.images().pull(name, tag.unwrap_or("latest"), platform, &auth).await?;
    progress::show(stream, to).await
}

/// `--cidfile`: must not exist before, holds the id after, and is gone when nothing was created.
#[derive(Debug)]
struct CidFile {
    path: Option<PathBuf>,
}

impl CidFile {
    fn new(path: &str) -> Result<Self, Failure> {
        if path.is_empty() {
            return Ok(Self { path: None });
        }
        let failed = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => Failure::new(format!(
                "container ID file found, make sure the other container isn't running or delete {path}"
            )),
            _ => Failure::new(format!(
                "failed to create the container ID file: open {path}: {}",
                failure::reason(&error)
            )),
        };
        std::fs::OpenOptions::new().write(true).create_new(true).open(path).map_err(failed)?;
        Ok(Self { path: Some(PathBuf::from(path)) })
    }

    fn write(mut self, id: &str) -> Result<(), Failure> {
        match self.path.take() {
            None => Ok(()),
            Some(path) => std::fs::write(&path, id).map_err(|error| {
                Failure::new(format!(
                    "failed to write the container ID to the file {}: {error}",
                    path.display()
                ))
            }),
        }
    }
}

impl Drop for CidFile {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // It was never written: whoever reads it must not take it for an id.
            let _ = std::fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cid_file_is_written_once_and_left_only_when_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("cid");
        let text = path.to_str().unwrap();
        drop(CidFile::new(text).unwrap());
        assert!(!path.exists());
        CidFile::new(text).unwrap().write("abc").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "abc");
        assert!(CidFile::new(text).unwrap_err().text.starts_with("container ID file found"));
    }
}

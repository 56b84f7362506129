//! `pull`: asks the engine to fetch an image.

use super::split_reference;
use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::failure::Failure;
use crate::flags::{Flag, Parsed};
use crate::{output, progress};

pub(crate) const COMMAND: Command = Command {
    name: "pull",
    aliases: &[],
    usage: "[OPTIONS] NAME[:TAG|@DIGEST]",
    about: "Download an image from a registry",
    flags: &[
        Flag::switch("all-tags", "Download all tagged images in the repository").short('a'),
        Flag::text("platform", "Platform of the image, where it has several"),
        Flag::switch("quiet", "Do not show how the pull goes").short('q'),
        Flag::switch("disable-content-trust", "Skip image verification")
            .default("true")
            .deprecated("support for docker content trust was removed"),
    ],
    operands: Operands::Exactly(1),
    interspersed: true,
    spellings: &["image pull", "pull"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

async fn run(app: &App, line: &Parsed) -> Outcome {
    let reference = &line.operands[0];
    let (name, tag) = split_reference(reference);
    if line.switch("all-tags") {
        return Err(match tag {
            Some(_) => Failure::new("tag can't be used with --all-tags/-a"),
            None => Failure::new("--all-tags is not supported yet: it comes with registries"),
        });
    }
    let quiet = line.switch("quiet");
    if tag.is_none() && !quiet {
        output::out("Using default tag: latest\n");
    }
    let tag = tag.unwrap_or("latest");
    let platform = match line.given("platform") {
        Some(platform) => platform.to_owned(),
        None => std::env::var("DOCKER_DEFAULT_PLATFORM").unwrap_or_default(),
    };
    let stream = app.client.images().pull(name, tag, &platform).await?;
    progress::show(stream, if quiet { progress::To::Nowhere } else { progress::To::Stdout }).await?;
    output::out(&format!("{}\n", canonical(name, tag)));
    Ok(0)
}

/// The whole reference: `docker.io/library/busybox:latest`.
fn canonical(name: &str, tag: &str) -> String {
    let separator = if tag.contains(':') { '@' } else { ':' };
    let name = match name.split_once('/') {
        None => format!("docker.io/library/{name}"),
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => name.to_owned(),
        Some(_) => format!("docker.io/{name}"),
    };
    format!("{name}{separator}{tag}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_completed() {
        assert_eq!(canonical("busybox", "latest"), "docker.io/library/busybox:latest");
        assert_eq!(canonical("a/b", "1"), "docker.io/a/b:1");
        assert_eq!(canonical("localhost/b", "sha256:0"), "localhost/b@sha256:0");
    }
}

//! `pull`: asks the engine to fetch an image.

use oci::Reference;

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
    let all = line.switch("all-tags");
    let parsed = Reference::parse(reference).map_err(|error| Failure::new(error.to_string()))?;
    if all && tag.is_some() {
        return Err(Failure::new("tag can't be used with --all-tags/-a"));
    }
    let quiet = line.switch("quiet");
    if tag.is_none() && !all && !quiet {
        output::out("Using default tag: latest\n");
    }
    let tag = if all { "" } else { tag.unwrap_or("latest") };
    let platform = match line.given("platform") {
        Some(platform) => platform.to_owned(),
        None => std::env::var("DOCKER_DEFAULT_PLATFORM").unwrap_or_default(),
    };
    let auth = crate::credentials::header(app, parsed.domain());
    let stream = app.client.images().pull(name, tag, &platform, &auth).await?;
    progress::show(stream, if quiet { progress::To::Nowhere } else { progress::To::Stdout }).await?;
    let parsed = if all { parsed } else { parsed.or_latest() };
    output::out(&format!("{parsed}\n"));
    Ok(0)
}

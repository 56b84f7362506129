//! `image copy`: from one registry to another, without a copy here. Docker has no such command.

use api::registry::CopyTarget;
use oci::Reference;

use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::failure::Failure;
use crate::flags::{Flag, Parsed};
use crate::{credentials, output, progress};

pub(crate) const COMMAND: Command = Command {
    name: "copy",
    aliases: &["cp"],
    usage: "[OPTIONS] SOURCE[:TAG|@DIGEST] TARGET[:TAG]",
    about: "Copy an image, with all its platforms, from one registry to another",
    flags: &[Flag::switch("quiet", "Only print the name that the image has then").short('q')],
    operands: Operands::Exactly(2),
    interspersed: true,
    spellings: &["image copy", "image cp"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

async fn run(app: &App, line: &Parsed) -> Outcome {
    let parse = |text: &String| {
        Reference::parse(text).map_err(|error| Failure::new(format!("invalid reference {text:?}: {error}")))
    };
    let (from, to) = (parse(&line.operands[0])?.or_latest(), parse(&line.operands[1])?);
    if to.digest().is_some() {
        return Err(Failure::new("cannot copy to a digest reference"));
    }
    let to = match to.tag() {
        Some(_) => to,
        None => to
            .with_tag(from.tag().unwrap_or(oci::DEFAULT_TAG))
            .map_err(|error| Failure::new(error.to_string()))?,
    };
    let auth = credentials::header(app, from.domain());
    let there = credentials::get(app, credentials::key(to.domain()))?;
    let target = CopyTarget { to: to.to_string(), auth: there, insecure: false };
    let stream = app.client.registries().copy(&from.to_string(), &target, &auth).await?;
    let quiet = line.switch("quiet");
    progress::show(stream, if quiet { progress::To::Nowhere } else { progress::To::Stdout }).await?;
    if quiet {
        output::out(&format!("{to}\n"));
    }
    Ok(0)
}

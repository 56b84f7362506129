//! `push`: asks the engine to send an image to its registry.

use oci::Reference;

use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::failure::Failure;
use crate::flags::{Flag, Parsed};
use crate::{output, platforms, progress};

pub(crate) const COMMAND: Command = Command {
    name: "push",
    aliases: &[],
    usage: "[OPTIONS] NAME[:TAG]",
    about: "Upload an image to a registry",
    flags: &[
        Flag::switch("all-tags", "Push all tags of an image to the repository").short('a'),
        Flag::text("platform", "Push only the part for one platform"),
        Flag::switch("quiet", "Do not show how the push goes").short('q'),
        Flag::switch("disable-content-trust", "Skip image signing")
            .default("true")
            .deprecated("support for docker content trust was removed"),
    ],
    operands: Operands::Exactly(1),
    interspersed: true,
    spellings: &["image push", "push"],
    run: |app, line| Box::pin(async move { run(app, &line).await }),
};

async fn run(app: &App, line: &Parsed) -> Outcome {
    let platform =
        platforms::encoded(line.given("platform").unwrap_or_default()).map_err(platforms::invalid)?;
    if !platform.is_empty() {
        note(
            "Using --platform pushes only the specified platform manifest of a multi-platform image index.\nOther \
             components, like attestations, will not be included.\nTo push the complete multi-platform image, remove the \
             --platform flag.",
        );
    }
    let reference = Reference::parse(&line.operands[0]).map_err(|error| Failure::new(error.to_string()))?;
    let (all, quiet) = (line.switch("all-tags"), line.switch("quiet"));
    let reference = match (all, reference.is_name_only()) {
        (true, false) => return Err(Failure::new("tag can't be used with --all-tags/-a")),
        (false, true) => {
            let reference = reference.or_latest();
            if !quiet {
                output::out(&format!("Using default tag: {}\n", reference.tag().unwrap_or_default()));
            }
            reference
        }
        _ => reference,
    };
    if reference.digest().is_some() {
        return Err(Failure::new("cannot push a digest reference"));
    }
    let auth = crate::credentials::header(app, reference.domain());
    let (name, tag) = (reference.name_only().familiar(), reference.tag().unwrap_or_default());
    let stream = app.client.images().push(&name, tag, &platform, &auth).await?;
    let mut instead = None;
    let to = if quiet { progress::To::Nowhere } else { progress::To::Stdout };
    progress::show_with(stream, to, |aux| {
        if aux["manifestPushedInsteadOfIndex"] == true {
            let digest = |of: &str| aux[of]["digest"].as_str().unwrap_or_default().to_owned();
            instead = Some((digest("originalIndex"), digest("selectedManifest")));
        }
    })
    .await?;
    if quiet {
        output::out(&format!("{reference}\n"));
    }
    if let Some((index, manifest)) = instead {
        note(&format!(
            "Not all multiplatform-content is present and only the available single-platform image was pushed\n{index} -> \
             {manifest}"
        ));
    }
    Ok(0)
}

/// Something that one should know, apart from the rest, as Docker sets it.
fn note(text: &str) {
    let shown: Vec<String> = text.lines().map(|line| format!("{line}\n")).collect();
    output::out(&format!("\nInfo -> {}", shown.join("        ")));
}

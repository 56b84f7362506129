//! `commit`: an image of what a container has changed.

use client::Commit;
use oci::Reference;

use crate::command::{Command, Operands};
use crate::commands::image::split_reference;
use crate::failure::Failure;
use crate::flags::Flag;
use crate::output;

pub(crate) const COMMAND: Command = Command {
    name: "commit",
    aliases: &[],
    usage: "[OPTIONS] CONTAINER [REPOSITORY[:TAG]]",
    about: "Create a new image from a container's changes",
    flags: &[
        Flag::text("author", "Author (e.g., \"John Hannibal Smith <hannibal@a-team.com>\")").short('a'),
        Flag::list("change", "Apply Dockerfile instruction to the created image").short('c'),
        Flag::text("message", "Commit message").short('m'),
        Flag::switch("no-pause", "Disable pausing container during commit"),
        Flag::switch("pause", "Pause container during commit (deprecated: use --no-pause instead)")
            .short('p')
            .default("true")
            .deprecated("and enabled by default. Use --no-pause to disable pausing during commit."),
    ],
    operands: Operands::Between(1, 2),
    interspersed: false,
    spellings: &["container commit", "commit"],
    run: |app, line| {
        Box::pin(async move {
            if line.changed("pause") && line.changed("no-pause") {
                return Err(Failure::new(
                    "conflicting options: --no-pause and --pause cannot be used together",
                ));
            }
            let reference = line.operands.get(1).map_or("", String::as_str);
            if !reference.is_empty() {
                let parsed = Reference::parse(reference).map_err(|error| Failure::new(error.to_string()))?;
                if parsed.digest().is_some() {
                    return Err(Failure::new("refusing to create a tag with a digest reference"));
                }
            }
            let (repo, tag) = split_reference(reference);
            let changes = line.list("change");
            let how = Commit {
                repo,
                tag: tag.unwrap_or_default(),
                comment: line.text("message"),
                author: line.text("author"),
                changes: &changes,
                no_pause: line.switch("no-pause") || !line.switch("pause"),
            };
            let id = app.client.containers().commit(&line.operands[0], &how).await?;
            output::out(&format!("{id}\n"));
            Ok(0)
        })
    },
};

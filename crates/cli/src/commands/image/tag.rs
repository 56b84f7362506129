//! `tag`: another name for an image.

use oci::{Reference, ReferenceError};

use crate::command::{Command, Operands};
use crate::failure::Failure;

pub(crate) const COMMAND: Command = Command {
    name: "tag",
    aliases: &[],
    usage: "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
    about: "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
    flags: &[],
    operands: Operands::Exactly(2),
    interspersed: false,
    spellings: &["image tag", "tag"],
    run: |app, line| {
        Box::pin(async move {
            let (source, target) = (&line.operands[0], &line.operands[1]);
            let refused = |text: &str, error: ReferenceError| {
                Failure::new(format!(
                    "error parsing reference: {text:?} is not a valid repository/tag: {error}"
                ))
            };
            super::any_reference(source).map_err(|error| refused(source, error))?;
            let target = Reference::parse(target).map_err(|error| refused(target, error))?;
            if target.digest().is_some() {
                return Err(Failure::new("refusing to create a tag with a digest reference"));
            }
            let target = target.or_latest();
            app.client.images().tag(source, &target.name(), target.tag().unwrap_or_default()).await?;
            Ok(0)
        })
    },
};

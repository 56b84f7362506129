//! `tag`: another name for an image.

use super::split_reference;
use crate::command::{Command, Operands};

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
            let (name, tag) = split_reference(&line.operands[1]);
            app.client.images().tag(&line.operands[0], name, tag.unwrap_or_default()).await?;
            Ok(0)
        })
    },
};

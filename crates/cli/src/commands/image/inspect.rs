//! `image inspect`.

use crate::command::{Command, Operands};
use crate::commands::inspect::{self, Kind, Wanted};
use crate::flags::Flag;
use crate::platforms;

pub(crate) const COMMAND: Command = Command {
    name: "inspect",
    aliases: &[],
    usage: "[OPTIONS] IMAGE [IMAGE...]",
    about: "Display detailed information on one or more images",
    flags: &[
        Flag::text("format", inspect::FORMAT_HELP).short('f'),
        Flag::text(
            "platform",
            "Inspect a specific platform of the multi-platform image.\nIf the image or the server is not multi-platform capable, the command will error out if the platform does not match.\n'os[/arch[/variant]]': Explicit platform (eg. linux/amd64)",
        ),
    ],
    operands: Operands::AtLeast(1),
    interspersed: true,
    spellings: &["image inspect"],
    run: |app, line| {
        Box::pin(async move {
            let platform = platforms::encoded(line.text("platform"))?;
            let what = Wanted { kinds: &[Kind::Image], size: false, platform: &platform };
            inspect::run(app, line.text("format"), &line.operands, &what).await
        })
    },
};

//! `manifest annotate`: what an entry of a list is for.

use oci::Platform;

use super::{Store, reference};
use crate::app::App;
use crate::command::{Command, Operands, Outcome};
use crate::failure::Failure;
use crate::flags::{Flag, Parsed};

/// What Docker takes for a platform of images: an operating system, and what it runs on.
const KNOWN: &[(&str, &[&str])] = &[
    ("darwin", &["386", "amd64", "arm", "arm64"]),
    ("dragonfly", &["amd64"]),
    ("freebsd", &["386", "amd64", "arm"]),
    ("linux", &["386", "amd64", "arm", "arm64", "ppc64le", "mips64", "mips64le", "riscv64", "s390x"]),
    ("netbsd", &["386", "amd64", "arm"]),
    ("openbsd", &["386", "amd64", "arm"]),
    ("plan9", &["386", "amd64"]),
    ("solaris", &["amd64"]),
    ("windows", &["386", "amd64"]),
];

pub(crate) const COMMAND: Command = Command {
    name: "annotate",
    aliases: &[],
    usage: "[OPTIONS] MANIFEST_LIST MANIFEST",
    about: "Add additional information to a local image manifest",
    flags: &[
        Flag::text("arch", "Set architecture"),
        Flag::text("os", "Set operating system"),
        Flag::list("os-features", "Set operating system feature"),
        Flag::text("os-version", "Set operating system version"),
        Flag::text("variant", "Set architecture variant"),
    ],
    operands: Operands::Exactly(2),
    interspersed: true,
    spellings: &["manifest annotate"],
    run: |app, line| Box::pin(async move { run(app, &line) }),
};

fn run(app: &App, line: &Parsed) -> Outcome {
    let (list, name) = (&line.operands[0], &line.operands[1]);
    let target = reference(list).map_err(|error| {
        Failure::new(format!("annotate: error parsing name for manifest list {list}: {error}"))
    })?;
    let image = reference(name).map_err(|error| {
        Failure::new(format!("annotate: error parsing name for manifest {name}: {error}"))
    })?;
    let store = Store::of(app);
    let mut entry = store
        .get(&target, &image)?
        .ok_or_else(|| Failure::new(format!("manifest for image {name} does not exist in {list}")))?;
    let platform = entry.descriptor.platform.get_or_insert_with(|| Platform::new("", ""));
    let (os, arch) = (line.text("os"), line.text("arch"));
    if !os.is_empty() {
        os.clone_into(&mut platform.os);
    }
    if !arch.is_empty() {
        arch.clone_into(&mut platform.architecture);
    }
    for features in line.list("os-features") {
        for feature in features.split(',') {
            if !platform.os_features.iter().any(|known| known == feature) {
                platform.os_features.push(feature.to_owned());
            }
        }
    }
    if !line.text("variant").is_empty() {
        platform.variant = Some(line.text("variant").to_owned());
    }
    if !line.text("os-version").is_empty() {
        platform.os_version = Some(line.text("os-version").to_owned());
    }
    let known = KNOWN.iter().any(|(system, architectures)| {
        *system == platform.os && architectures.contains(&platform.architecture.as_str())
    });
    if !known {
        return Err(Failure::new(format!(
            "manifest entry for image has unsupported os/arch combination: {os}/{arch}"
        )));
    }
    store.save(&target, &image, &entry)?;
    Ok(0)
}

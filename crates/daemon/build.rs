//! Which commit this is, for `version` and `info`.

use std::process::Command;

fn git(arguments: &[&str]) -> Option<String> {
    let output =
        Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned()).filter(|text| !text.is_empty())
}

fn main() {
    // The log of HEAD grows with each commit, checkout and rebase; in a work tree it is that tree's own.
    if let Some(path) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={path}");
    }
    println!("cargo::rerun-if-changed=build.rs");
    let commit = git(&["rev-parse", "--short=7", "HEAD"]).unwrap_or_else(|| "unknown".into());
    // The commit's own time rather than now: the same source makes the same binary.
    let time = git(&["show", "-s", "--format=%cI", "HEAD"]).unwrap_or_default();
    println!("cargo::rustc-env=WHARF_GIT_COMMIT={commit}");
    println!("cargo::rustc-env=WHARF_BUILD_TIME={time}");
}

//! A test file that no `mod` line names is compiled by nobody and passes for ever.

use super::Source;

/// Complains about files below `tests/<door>/` that their neighbours do not name.
///
/// `tests/<door>/main.rs` is a test target; every other file must be named by `mod <stem>;` in a file of the
/// folder above it (`main.rs`, or the folder's own `<name>.rs` or `mod.rs`).
pub(crate) fn check(sources: &[Source]) -> Vec<String> {
    let mut broken = Vec::new();
    for source in sources.iter().filter(|s| s.path.starts_with("tests/") && !s.path.ends_with("/main.rs")) {
        let (folder, file) = source.path.rsplit_once('/').unwrap_or(("", &source.path));
        let (name, above) = if file == "mod.rs" {
            folder.rsplit_once('/').map_or((folder, ""), |(above, name)| (name, above))
        } else {
            (file.trim_end_matches(".rs"), folder)
        };
        let line = format!("mod {name};");
        let parents = [format!("{above}/main.rs"), format!("{above}/mod.rs"), format!("{above}.rs")];
        let named = sources.iter().any(|s| parents.contains(&s.path) && s.text.contains(&line));
        if !named {
            broken.push(format!("{}: no `{line}` names this test file", source.path));
        }
    }
    broken
}

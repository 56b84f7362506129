//! What is fine on a Tuesday afternoon and wrong on `main`.

use super::Source;

const LEFT: &[&str] = &["dbg!(", "todo!(", "unimplemented!(", "#[ignore", "FIXME", "XXX"];

/// Complains about leftovers. `FIXME` and the like count in comments too, so the whole line is read.
pub(crate) fn check(sources: &[Source]) -> Vec<String> {
    let mut broken = Vec::new();
    for source in sources.iter().filter(|s| !s.path.starts_with("xtask/")) {
        for (number, line) in source.text.lines().enumerate() {
            // mktemp-like patterns (`XXXXXX`) are not notes to oneself
            let line = line.replace("XXXXXX", "");
            // the other half of a test that restarts itself as a second process; the first half runs it
            let line = line.replace("#[ignore = \"started by ", "");
            // no test: its figure is for a person to read
            let line = line.replace("#[ignore = \"a measurement\"", "");
            for left in LEFT.iter().filter(|left| line.contains(**left)) {
                broken.push(format!("{}:{}: leftover `{left}`", source.path, number + 1));
            }
        }
    }
    broken
}

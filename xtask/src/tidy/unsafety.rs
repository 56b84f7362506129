//! `unsafe` lives in `sys` only, so that an audit takes an afternoon.

use super::Source;

/// Complains about the keyword outside `crates/sys`, and about anything that lifts the lint.
pub(crate) fn check(sources: &[Source]) -> Vec<String> {
    let mut broken = Vec::new();
    for source in
        sources.iter().filter(|s| !s.path.starts_with("crates/sys/") && !s.path.starts_with("xtask/"))
    {
        for (number, line) in source.code_lines() {
            let keyword = line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe");
            if keyword || line.contains("unsafe_code") {
                broken.push(format!("{}:{number}: unsafe outside `sys`", source.path));
            }
        }
    }
    broken
}

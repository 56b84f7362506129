//! A file that no longer fits into one reading holds more than one noun. Tests are exempt: a list of cases is read one at
//! a time.

use super::Source;

/// What a reader takes in at one go, give or take: most files have half of it.
const LINES_MAX: usize = 600;

/// Complains about product code in files of more than [`LINES_MAX`] lines.
pub(crate) fn check(sources: &[Source]) -> Vec<String> {
    let product = sources.iter().filter(|source| {
        let is_test = source.path.ends_with("/tests.rs") || source.path.contains("/tests/");
        source.path.contains("/src/") && !is_test
    });
    product
        .filter_map(|source| {
            let lines = source.text.lines().count();
            let what =
                format!("{}: {lines} lines (at most {LINES_MAX}): split it by noun or verb", source.path);
            (lines > LINES_MAX).then_some(what)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_code_is_noticed_and_long_tests_are_not() {
        let source = |path: &str, lines: usize| Source { path: path.into(), text: "x\n".repeat(lines) };
        let found = check(&[
            source("crates/a/src/long.rs", 601),
            source("crates/a/src/fits.rs", 600),
            source("crates/a/src/long/tests.rs", 700),
            source("crates/a/tests/all.rs", 700),
            source("tests/door/main.rs", 700),
        ]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("crates/a/src/long.rs: 601 lines"));
    }
}

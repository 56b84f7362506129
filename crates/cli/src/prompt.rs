//! Questions to the user.

use std::io::BufRead as _;

use crate::output;

/// Only `y` is a yes; so is an input that ends a no.
pub(crate) fn confirm(question: &str) -> bool {
    output::out(&format!("{question} [y/N] "));
    let mut answer = String::new();
    // What cannot be read is not a yes.
    let _ = std::io::stdin().lock().read_line(&mut answer);
    answer.trim().eq_ignore_ascii_case("y")
}

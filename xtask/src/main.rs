//! The project's own chores. `cargo xtask tidy` prints every broken house rule and exits with 1;
//! the same rules run as tests of this crate, so that the ordinary test command shows them too.

mod tidy;

use std::process::ExitCode;

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        Some("tidy") => report(&tidy::run()),
        _ => {
            complain("usage: cargo xtask tidy");
            ExitCode::from(2)
        }
    }
}

fn report(broken: &[String]) -> ExitCode {
    for line in broken {
        complain(line);
    }
    if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[expect(clippy::print_stderr, reason = "a command of the developers; stderr is its voice")]
fn complain(line: &str) {
    eprintln!("{line}");
}

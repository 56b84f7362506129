//! `wharf oci` as a binary of its own, for trying the runtime beside other engines.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::command::main(std::env::args_os())
}

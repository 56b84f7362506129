//! Runs a program in a world where some system calls do not exist: `without <call>[,<call>...] <program> [argument...]`.
//! For the fallbacks of older kernels.

use std::ffi::{CString, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use oci::runtime::{Action, LinuxSeccomp, SyscallRule};
use sys::exec::Strings;

/// `ENOSYS`
const ERRNO: u32 = 38;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args: Vec<OsString> = std::env::args_os().skip(1).collect();
    let names = args.remove(0).into_string().map_err(|_| "names of system calls are text")?;
    let rule = SyscallRule {
        names: names.split(',').map(str::to_owned).collect(),
        action: Action::Errno,
        errno_ret: Some(ERRNO),
        args: Vec::new(),
    };
    let rules = LinuxSeccomp {
        default_action: Action::Allow,
        default_errno_ret: None,
        architectures: Vec::new(),
        flags: Vec::new(),
        listener_path: String::new(),
        listener_metadata: String::new(),
        syscalls: vec![rule],
    };
    let filter = runtime::seccomp::compile(&rules)?;
    sys::seccomp::install(filter.program(), 0)?;
    let words: Vec<CString> =
        args.into_iter().map(|a| CString::new(a.into_vec())).collect::<Result<_, _>>()?;
    let environment: Vec<CString> = std::env::vars_os()
        .map(|(name, value)| CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()))
        .collect::<Result<_, _>>()?;
    let program = words.first().ok_or("a program is missing")?.clone();
    Err(sys::exec::execve(&program, &Strings::new(words), &Strings::new(environment)).into())
}

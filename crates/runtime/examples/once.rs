//! Runs a bundle once through the library, without a command line: `once <bundle> [--tty]`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use runtime::{CreateRequest, Rootfs};
use rustix::process::{WaitId, WaitIdOptions, waitid};
use std::os::fd::AsFd;

fn main() -> ExitCode {
    let bundle = PathBuf::from(std::env::args().nth(1).unwrap_or_default());
    match run(&bundle) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "an example's answer")]
            {
                eprintln!("{error}");
            }
            ExitCode::from(125)
        }
    }
}

fn run(bundle: &Path) -> Result<u8, Box<dyn std::error::Error>> {
    let spec: oci::runtime::Spec = serde_json::from_slice(&std::fs::read(bundle.join("config.json"))?)?;
    let path = spec.root.as_ref().map(|r| r.path.clone()).unwrap_or_default();
    let mut request = CreateRequest::new("once", &spec, bundle, Rootfs::Directory(path.into()));
    request.init_reaper = std::env::var_os("REAPER").is_some();
    let cgroup = match std::env::var_os("CGROUP") {
        Some(_) => {
            let path = cgroups::CgroupPath::resolve(Some("/wharf-once"), "once", false)?;
            let none = oci::runtime::Resources::default();
            let resources = spec.linux.as_ref().and_then(|l| l.resources.as_ref()).unwrap_or(&none);
            Some(cgroups::Cgroup::create(cgroups::machine()?, &path, resources)?)
        }
        None => None,
    };
    request.cgroup = cgroup.as_ref();
    let process = runtime::create(request)?.start()?;
    let status = waitid(WaitId::PidFd(process.pidfd.as_fd()), WaitIdOptions::EXITED)?;
    if let Some(cgroup) = cgroup {
        cgroup.delete()?;
    }
    let code = status.and_then(|s| s.exit_status().or(s.terminating_signal().map(|n| 128 + n)));
    Ok(u8::try_from(code.unwrap_or(255))?)
}

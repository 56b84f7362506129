//! Runs a bundle once through the library, for what the command has no words for: `once <bundle>`, and in the
//! environment `AS` (a user by name), `REAPER`, `CGROUP`, `LOWER` with `UPPER` and `WORK` (an overlay).

use std::env::{var, var_os};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use runtime::{CreateRequest, Rootfs};
use rustix::process::{WaitId, WaitIdOptions, waitid};

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

fn rootfs(spec: &oci::runtime::Spec) -> Rootfs {
    match var("LOWER") {
        Ok(lower) => Rootfs::Overlay {
            lower: lower.split(':').map(PathBuf::from).collect(),
            upper: var_os("UPPER").unwrap_or_default().into(),
            work: var_os("WORK").unwrap_or_default().into(),
            options: Vec::new(),
        },
        Err(_) => Rootfs::Directory(spec.root.as_ref().map(|r| r.path.clone()).unwrap_or_default().into()),
    }
}

fn run(bundle: &Path) -> Result<u8, Box<dyn std::error::Error>> {
    let spec: oci::runtime::Spec = serde_json::from_slice(&std::fs::read(bundle.join("config.json"))?)?;
    let mut request = CreateRequest::new("once", &spec, bundle, rootfs(&spec));
    request.init_reaper = var_os("REAPER").is_some();
    let user = var("AS").ok();
    request.user = user.as_deref();
    let cgroup = match var_os("CGROUP") {
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

//! The root file system and the OCI bundle that every contender runs.

use std::fs;
use std::io::Error;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

const BUSYBOX: &str = "/bin/busybox";
const APPLETS: &[&str] = &["sh", "true", "sleep", "cat", "head", "yes", "seq", "wc", "echo", "rm", "dd"];

/// Writes a busybox root below `dir` and returns its path.
pub(crate) fn rootfs(dir: &Path) -> Result<PathBuf, Error> {
    let root = dir.join("rootfs");
    for folder in ["bin", "proc", "sys", "dev", "tmp", "etc"] {
        fs::create_dir_all(root.join(folder))?;
    }
    fs::copy(BUSYBOX, root.join("bin/busybox"))
        .map_err(|e| Error::other(format!("{BUSYBOX} (Debian package busybox-static): {e}")))?;
    for applet in APPLETS {
        symlink("busybox", root.join("bin").join(applet))?;
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/:/bin/sh\n")?;
    fs::write(root.join("etc/group"), "root:x:0:\n")?;
    Ok(root)
}

/// Packs the root as a tar file for `import`.
pub(crate) fn tarball(root: &Path, tar: &Path) -> Result<(), Error> {
    let status = Command::new("tar").arg("-C").arg(root).arg("-cf").arg(tar).arg(".").status()?;
    if status.success() { Ok(()) } else { Err(Error::other("tar failed")) }
}

/// Writes a bundle that runs `true`: `wharf oci spec` gives the frame, so that all runtimes read one file.
pub(crate) fn bundle(wharf: &str, dir: &Path, rootfs: &Path, seccomp: bool) -> Result<PathBuf, Error> {
    let bundle = dir.join(if seccomp { "bundle-seccomp" } else { "bundle" });
    fs::create_dir_all(&bundle)?;
    let mut spec = Command::new(wharf);
    spec.args(["oci", "spec", "--bundle"]).arg(&bundle);
    if seccomp {
        spec.args(["--seccomp", "default"]);
    }
    if !spec.status()?.success() {
        return Err(Error::other("wharf oci spec failed"));
    }
    let path = bundle.join("config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path)?)?;
    // Debian 12's crun knows nothing newer, and nothing newer is used.
    config["ociVersion"] = json!("1.0.2");
    config["process"]["terminal"] = json!(false);
    config["process"]["args"] = json!(["/bin/true"]);
    config["root"] = json!({"path": rootfs, "readonly": false});
    fs::write(&path, serde_json::to_vec_pretty(&config)?)?;
    Ok(bundle)
}

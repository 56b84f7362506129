//! Programs from PyPI that tests run, and an S3 server among them.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::served::{ask, free_port};
use crate::wait::wait_until;

const MOTO: &str = "moto[s3]==5.2.5";
/// What its server needs; its own list for that is of all services, and takes minutes.
const MOTO_SERVER: [&str; 2] = ["flask", "flask-cors"];

/// A directory for `PYTHONPATH` with a package and what it needs, made once for all runs below `target` (Cargo's directory for
/// tests): whole, or not at all.
///
/// # Panics
/// When it cannot be had.
pub fn python_package(target: &Path, package: &str, more: &[&str]) -> PathBuf {
    let place = target.join(package);
    if !place.exists() {
        let staging = tempfile::tempdir_in(target).expect("make a directory");
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", package]);
        pip.args(more).arg("--target").arg(staging.path().join("all"));
        assert!(pip.status().expect("run pip").success(), "pip install {package}");
        // Another run may have been faster.
        let _ = std::fs::rename(staging.path().join("all"), &place);
    }
    place
}

/// The test script asks the package registries first, and says in its end what it could not get; by hand it is an error.
pub fn is_out_of_reach(package: &str) -> bool {
    std::env::var("WHARF_TEST_WITHOUT").is_ok_and(|without| without.split(' ').any(|name| name == package))
}

/// moto's S3 server on a port of loopback, with one bucket, `bucket`.
#[derive(Debug)]
pub struct Moto {
    child: Child,
    pub port: u16,
}

impl Moto {
    /// # Panics
    /// When it does not come up.
    pub fn start(target: &Path) -> Moto {
        let port = free_port();
        let child = Command::new("python3")
            .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port.to_string()])
            .env("PYTHONPATH", python_package(target, MOTO, &MOTO_SERVER))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("start python3");
        let moto = Moto { child, port };
        wait_until("moto answers", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        assert_eq!(ask(port, "PUT", "/bucket", b"").0, 200, "make a bucket");
        moto
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What is at an address.
    ///
    /// # Panics
    /// When there is no answer.
    pub fn get(&self, path: &str) -> Vec<u8> {
        ask(self.port, "GET", path, b"").2
    }

    /// All that is in the bucket, and uploads that are not at their end.
    ///
    /// # Panics
    /// When there is no answer.
    pub fn keys(&self) -> Vec<String> {
        let listed = [self.get("/bucket?list-type=2"), self.get("/bucket?uploads")].concat();
        let listed = String::from_utf8_lossy(&listed).into_owned();
        listed.split("<Key>").skip(1).filter_map(|rest| Some(rest.split('<').next()?.to_owned())).collect()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

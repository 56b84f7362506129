//! A registry of our own beside the engine, with one user: `me`, whose password is `secret`.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Of bcrypt with the fewest rounds.
const USER: &str = "me:$2y$04$lz/4gnADnv97EUuE6fXfg.1y8.GhxteBuwSLTjTUW1YDYwdt1CiMq\n";

pub(crate) struct Registry {
    child: Child,
    /// With its port.
    pub(crate) host: String,
}

impl Registry {
    /// `guarded`: only `me` may do anything, with a token.
    pub(crate) fn start(directory: &Path, guarded: bool) -> Registry {
        let place = directory.join(if guarded { "guarded" } else { "open" });
        std::fs::create_dir_all(&place).expect("make the registry's directory");
        let mut command = Command::new(env!("CARGO_BIN_EXE_wharf"));
        command.args(["registry", "serve", "--no-access-log", "--addr", "127.0.0.1:0", "--root"]).arg(&place);
        if guarded {
            let users = directory.join("users");
            std::fs::write(&users, USER).expect("write the registry's users");
            command.arg("--htpasswd").arg(users).arg("--token-auth");
        }
        let mut child =
            command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().expect("start a registry");
        let mut line = String::new();
        let mut said = BufReader::new(child.stderr.take().expect("its stderr"));
        said.read_line(&mut line).expect("hear where it listens");
        // It may say more, and must not wait for somebody to listen.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        let host = line.split("http://").nth(1).and_then(|rest| rest.split(',').next());
        let host = host.unwrap_or_else(|| panic!("the registry does not listen: {line}")).to_owned();
        Registry { child, host }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

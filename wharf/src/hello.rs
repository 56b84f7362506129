//! What the built-in `hello-world` image prints: proof that client, engine, store, runtime and streams work.

use std::io::Write;
use std::process::ExitCode;

/// Scripts the world over look for "Hello from Docker!", so that line stands as they expect it.
const MESSAGE: &str = "
Hello from Docker!
This container was started by Wharf, and that it speaks to you means that everything works.

What happened on the way here:
 1. The client asked the engine for a container of the image \"hello-world\".
 2. The engine took the image from itself: it is built into the binary, no registry was asked.
 3. It made a container of it, gave it a network of its own, and started this program inside.
 4. What the program wrote went through the container's monitor to your terminal.

For something with more room in it, walk around in a real Debian. Without a registry its image is made like this:
 $ mmdebstrap --variant=minbase bookworm - | wharf import --change 'CMD [\"bash\"]' - debian:12
 $ wharf run -it debian:12

";

pub(crate) fn main() -> ExitCode {
    match std::io::stdout().write_all(MESSAGE.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

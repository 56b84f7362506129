//! The process that takes a container's records to a collector, where its log driver has one.
//!
//! A copy of the monitor, made before that has anything of its process: the driver in it may wait for its collector, which
//! a monitor may not. It holds nothing but its end of the pipe, ends when the monitor has closed the other and all is
//! sent (or given up), and needs no engine. The spawner is its parent, who waits for nobody.

use std::io;
use std::os::fd::AsRawFd;

use sys::process::{CloneFlags, Cloned, clone3, exit_now};

/// Starts one; answers the monitor's end.
pub(super) fn start(destination: &logs::RemoteDestination) -> io::Result<logs::Pipe> {
    let (ours, theirs) = logs::Pipe::pair()?;
    match clone3(CloneFlags::PARENT, None)? {
        Cloned::Parent { .. } => Ok(ours),
        Cloned::Child => {
            let _ = rustix::thread::set_name(c"wharf-forward");
            let keep = theirs.descriptors().map(|fd| fd.as_raw_fd());
            // Whoever waits for the end of the monitor, or of the container's streams, must not wait for this.
            if sys::fd::close_except(&keep).is_ok() {
                // Its panics are not the monitor's.
                let _ = std::panic::take_hook();
                logs::forward(destination, theirs);
            }
            exit_now(0);
        }
    }
}

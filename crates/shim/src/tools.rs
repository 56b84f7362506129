//! Programs that a monitor runs for what it does not do itself: another runtime, criu.

/// They may need tools of their own, and have nothing from the engine's environment.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Ignored by a monitor, and as such inherited by what it executes.
const IGNORED: [i32; 3] = [1, 2, 15]; // HUP INT TERM

/// Starts a program that hears signals as usual.
pub(crate) fn hearing_signals<T>(start: impl FnOnce() -> T) -> T {
    for signal in IGNORED {
        let _ = sys::signal::ignore(signal, false);
    }
    let started = start();
    for signal in IGNORED {
        let _ = sys::signal::ignore(signal, true);
    }
    started
}

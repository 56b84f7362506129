//! What is said of failures.

use engine::ports::{RuntimeError, RuntimeErrorKind};

pub(super) fn without_a_monitor() -> RuntimeError {
    other("its monitor was killed, and it is being killed as well")
}

pub(super) fn not_running() -> RuntimeError {
    RuntimeError { kind: RuntimeErrorKind::NotRunning, message: "the process is not running".into() }
}

pub(super) fn failed(error: shim::Error) -> RuntimeError {
    other(error.to_string())
}

pub(super) fn died_twice() -> RuntimeError {
    other("the spawner died twice while starting a process")
}

pub(super) fn other(message: impl Into<String>) -> RuntimeError {
    RuntimeError { kind: RuntimeErrorKind::Other, message: message.into() }
}

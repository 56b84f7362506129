//! The user's terminal: size, raw mode, and that it is always given back as it was.

use std::sync::Mutex;

use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};

pub(crate) mod keys;
pub(crate) mod signals;
pub(crate) mod stream;

/// The terminal's settings from before raw mode. Global because a panic and a signal must find them as well as a
/// return does; held only to take or put, never across anything that waits.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Rows and columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) rows: u16,
    pub(crate) columns: u16,
}

/// The size of the terminal on stdout.
pub(crate) fn size() -> Option<Size> {
    let size = tcgetwinsize(rustix::stdio::stdout()).ok()?;
    (size.ws_col > 0).then_some(Size { rows: size.ws_row, columns: size.ws_col })
}

pub(crate) fn stdin_is_terminal() -> bool {
    isatty(rustix::stdio::stdin())
}

pub(crate) fn stdout_is_terminal() -> bool {
    isatty(rustix::stdio::stdout())
}

/// One line from the person at stdin; `echo` off: what is typed is not shown.
pub(crate) fn read_line(echo: bool) -> std::io::Result<String> {
    let stdin = rustix::stdio::stdin();
    let before = tcgetattr(stdin)?;
    if !echo {
        let mut hidden = before.clone();
        hidden.local_modes.remove(rustix::termios::LocalModes::ECHO);
        tcsetattr(stdin, OptionalActions::Now, &hidden)?;
    }
    let mut line = String::new();
    let read = std::io::stdin().read_line(&mut line);
    tcsetattr(stdin, OptionalActions::Now, &before)?;
    read.map(|_| line)
}

/// Docker refuses a tty whose input is not one.
pub(crate) fn check_tty(attach_stdin: bool, tty: bool) -> Result<(), crate::failure::Failure> {
    if attach_stdin && tty && !stdin_is_terminal() {
        return Err(crate::failure::Failure::new(
            "cannot attach stdin to a TTY-enabled container because stdin is not a terminal",
        ));
    }
    Ok(())
}

/// Raw mode as long as this lives.
#[derive(Debug)]
pub(crate) struct Raw(());

impl Raw {
    /// Switches stdin to raw mode, if it is a terminal.
    pub(crate) fn enter() -> Option<Self> {
        let stdin = rustix::stdio::stdin();
        let before = tcgetattr(stdin).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin, OptionalActions::Now, &raw).ok()?;
        if let Ok(mut saved) = BEFORE.lock() {
            *saved = Some(before);
        }
        let inner = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            restore();
            inner(info);
        }));
        Some(Self(()))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back as it was; does nothing when it was never taken, or given back already.
pub(crate) fn restore() {
    let before = BEFORE.lock().ok().and_then(|mut saved| saved.take());
    if let Some(before) = before {
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &before);
    }
}

//! Signals a client passes on, ends by, or follows the window's size with.

use std::future::poll_fn;
use std::task::Poll;

use tokio::signal::unix::{self, SignalKind};

/// What a caught signal means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caught {
    /// Goes to the process in the container, by name.
    Forward(&'static str),
    /// Ends this client with 128 plus the number.
    End(u8),
    /// The window changed its size.
    Resize,
}

/// Signals caught from when this is made until it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    caught: Vec<(Caught, unix::Signal)>,
}

/// All that Docker passes on, but those that stop this process itself, and those about its own children and pipes.
const FORWARDED: [(&str, i32); 8] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("USR1", 10),
    ("USR2", 12),
    ("ALRM", 14),
    ("TERM", 15),
    ("CONT", 18),
];
const ENDING: [i32; 4] = [1, 2, 3, 15];
const WINCH: i32 = 28;

impl Signals {
    /// None: signals do what they always do.
    pub(crate) fn none() -> Self {
        Self::default()
    }

    /// Passes signals on.
    pub(crate) fn forward(mut self) -> std::io::Result<Self> {
        for (name, number) in FORWARDED {
            self.catch(Caught::Forward(name), number)?;
        }
        Ok(self)
    }

    /// Ends in an orderly way, with the terminal given back.
    pub(crate) fn end(mut self) -> std::io::Result<Self> {
        for number in ENDING {
            // All of them are below 128.
            self.catch(Caught::End(number as u8), number)?;
        }
        Ok(self)
    }

    /// Follows the window.
    pub(crate) fn resize(mut self) -> std::io::Result<Self> {
        self.catch(Caught::Resize, WINCH)?;
        Ok(self)
    }

    fn catch(&mut self, meaning: Caught, number: i32) -> std::io::Result<()> {
        self.caught.push((meaning, unix::signal(SignalKind::from_raw(number))?));
        Ok(())
    }

    /// The next one; never, when none are caught.
    pub(crate) async fn next(&mut self) -> Caught {
        poll_fn(|context| {
            for (meaning, signal) in &mut self.caught {
                if let Poll::Ready(Some(())) = signal.poll_recv(context) {
                    return Poll::Ready(*meaning);
                }
            }
            Poll::Pending
        })
        .await
    }
}

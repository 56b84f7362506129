//! The driver that keeps nothing (`--log-driver none`).

use std::io;

use jiff::Timestamp;

use crate::entry::Stream;
use crate::writer::LogWriter;

#[derive(Debug)]
pub(crate) struct NoneWriter;

impl LogWriter for NoneWriter {
    fn write(&mut self, _: Stream, _: &[u8], _: Timestamp) -> io::Result<()> {
        Ok(())
    }

    fn end_of_stream(&mut self, _: Stream, _: Timestamp) -> io::Result<()> {
        Ok(())
    }

    fn idle(&mut self) -> io::Result<bool> {
        Ok(false)
    }

    fn close(&mut self) -> io::Result<()> {
        Ok(())
    }
}

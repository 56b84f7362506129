//! The driver that keeps nothing (`--log-driver none`).

use std::io;
use std::os::fd::BorrowedFd;

use jiff::Timestamp;

use crate::stream::Stream;
use crate::writer::LogWriter;

#[derive(Debug)]
pub(crate) struct NoneWriter;

impl LogWriter for NoneWriter {
    fn records(&self, _: Stream) -> bool {
        false
    }

    fn write(&mut self, _: Stream, _: &[u8], _: Timestamp) -> io::Result<()> {
        Ok(())
    }

    fn end_of_stream(&mut self, _: Stream, _: Timestamp) -> io::Result<()> {
        Ok(())
    }

    fn idle(&mut self) -> io::Result<bool> {
        Ok(false)
    }

    fn waits_for(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    fn holds_back(&self) -> bool {
        false
    }

    fn clear(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn close(&mut self) -> io::Result<()> {
        Ok(())
    }
}

//! (archive)

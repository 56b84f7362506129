//! (logs)

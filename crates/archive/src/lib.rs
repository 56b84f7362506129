//! Tar archives in and out: decompression, entries, extraction confined to a root directory, packing.
//!
//! Everything here treats its input as hostile. Names are resolved below the root's file descriptor and
//! nowhere else; what an archive can cost in memory, entries and disk is bounded by [`Limits`]. Knows
//! nothing of images: a layer is a tar with whiteouts.
//!
//! ```text
//! bytes ─► Decoder (gzip, zstd, xz, plain) ─► Entries (headers, PAX, GNU) ─► Extractor (root fd)
//! directory ─► pack ─► bytes
//! ```

mod changes;
mod compression;
mod copy;
mod copy_rules;
mod entries;
mod error;
mod extract;
mod pack;
mod path;
mod pax;
mod sparse;
mod tree;
mod whiteout;

pub use changes::{Change, ChangeKind, IsOurs, Ours, changes};
pub use compression::{Compression, Compressor, Decoder, SNIFF_LEN};
pub use copy::copy_tree;
pub use copy_rules::{CopyRules, Owner, Rename};
pub use entries::{Entries, Entry, Kind};
pub use error::Error;
pub use extract::{Extracted, Extractor, Limits};
pub use pack::{FileEntry, PackOptions, TarWriter, pack};
pub use tree::remove_tree;
pub use whiteout::Mode;

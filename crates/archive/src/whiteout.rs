//! Whiteouts: how a layer says that something below it is gone.
//!
//! In a layer's tar (OCI image specification, "Whiteouts") `.wh.<name>` hides a sibling and `.wh..wh..opq`
//! all that lower layers have in the directory. On overlayfs (kernel, filesystems/overlayfs.rst) these are a
//! character device 0:0 and the attribute `trusted.overlay.opaque`.

pub(crate) const PREFIX: &[u8] = b".wh.";
pub(crate) const META_PREFIX: &[u8] = b".wh..wh.";
pub(crate) const OPAQUE: &[u8] = b".wh..wh..opq";
pub(crate) const OPAQUE_XATTR: &str = "trusted.overlay.opaque";

/// The name that hides what is at a path.
pub(crate) fn hiding(path: &[u8]) -> Vec<u8> {
    let at = path.iter().rposition(|&b| b == b'/').map_or(0, |slash| slash + 1);
    [&path[..at], PREFIX, &path[at..]].concat()
}

/// What becomes of whiteouts, in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The directory is one layer of an overlay: translate.
    Overlay,
    /// The directory holds the layers below already: delete what is hidden.
    Apply,
    /// The archive is no layer: names are names.
    Verbatim,
}

//! Where things lie: the paths of Docker's registry (its "storage driver" layout, version 2), and one of our own.
//!
//! ```text
//! <root>/docker/registry/v2/
//! ├── blobs/<algorithm>/<2 hex>/<hex>/data                      the bytes, once for all repositories
//! └── repositories/<name>/
//!     ├── _layers/<algorithm>/<hex>/link                        a blob that was pushed here
//!     ├── _manifests/revisions/<algorithm>/<hex>/link           a manifest that was pushed here
//!     ├── _manifests/tags/<tag>/current/link                    what the tag means now
//!     ├── _manifests/tags/<tag>/index/<algorithm>/<hex>/link    what it has meant
//!     ├── _uploads/<uuid>/{data,startedat}                      a blob on its way in
//!     └── _referrers/<algorithm>/<hex>/<algorithm>-<hex>        ours: a descriptor of what names that as its subject
//! ```
//!
//! A `link` holds a digest. Names come here checked: see `name.rs` and `oci::Digest`.

use std::path::{Path, PathBuf};

use oci::Digest;

/// All paths of one directory.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    base: PathBuf,
}

pub(crate) const LINK: &str = "link";

impl Layout {
    pub(crate) fn new(root: &Path) -> Layout {
        Layout { base: root.join("docker/registry/v2") }
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.base.join("blobs")
    }

    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.blobs().join(digest.algorithm().as_str()).join(&hex[..2]).join(hex).join("data")
    }

    /// Of which repositories are below.
    pub(crate) fn repositories(&self) -> PathBuf {
        self.base.join("repositories")
    }

    pub(crate) fn repository(&self, name: &str) -> PathBuf {
        self.repositories().join(name)
    }

    pub(crate) fn layers(&self, name: &str) -> PathBuf {
        self.repository(name).join("_layers")
    }

    pub(crate) fn layer(&self, name: &str, digest: &Digest) -> PathBuf {
        linked(self.layers(name), digest)
    }

    pub(crate) fn revisions(&self, name: &str) -> PathBuf {
        self.repository(name).join("_manifests/revisions")
    }

    pub(crate) fn revision(&self, name: &str, digest: &Digest) -> PathBuf {
        linked(self.revisions(name), digest)
    }

    pub(crate) fn tags(&self, name: &str) -> PathBuf {
        self.repository(name).join("_manifests/tags")
    }

    pub(crate) fn tag(&self, name: &str, tag: &str) -> PathBuf {
        self.tags(name).join(tag)
    }

    pub(crate) fn tag_current(&self, name: &str, tag: &str) -> PathBuf {
        self.tag(name, tag).join("current").join(LINK)
    }

    pub(crate) fn tag_index(&self, name: &str, tag: &str, digest: &Digest) -> PathBuf {
        linked(self.tag(name, tag).join("index"), digest)
    }

    pub(crate) fn uploads(&self, name: &str) -> PathBuf {
        self.repository(name).join("_uploads")
    }

    pub(crate) fn upload(&self, name: &str, id: &str) -> PathBuf {
        self.uploads(name).join(id)
    }

    pub(crate) fn referrers(&self, name: &str, subject: &Digest) -> PathBuf {
        let of_all = self.repository(name).join("_referrers");
        of_all.join(subject.algorithm().as_str()).join(subject.hex())
    }

    pub(crate) fn referrer(&self, name: &str, subject: &Digest, digest: &Digest) -> PathBuf {
        self.referrers(name, subject).join(digest.as_str().replace(':', "-"))
    }
}

fn linked(below: PathBuf, digest: &Digest) -> PathBuf {
    below.join(digest.algorithm().as_str()).join(digest.hex()).join(LINK)
}

//! Removing what nobody has any more, while the registry serves.
//!
//! Mark: every manifest linked in a repository, and every blob linked there. Sweep: blobs that are neither and whose time is
//! older than the grace; whoever links a blob sets its time first (`blobs.rs`), so what is linked between the
//! two is young. Uploads that nobody has written to for the grace go, too.

use std::collections::HashSet;
use std::path::Path;
use std::time::{Duration, SystemTime};

use oci::Digest;

use super::Storage;
use crate::error::Result;

/// What went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    pub blobs: Vec<Digest>,
    /// Bytes of those.
    pub bytes: u64,
    pub uploads: usize,
}

impl Storage {
    /// Removes blobs that no repository has and uploads that were given up, if they are older than `grace`. With `dry_run`
    /// it only says which. `untagged`: manifests without a tag, that no index and no referrer needs, count as nobody's.
    ///
    /// # Errors
    /// The disk's. What was removed until then is gone.
    pub fn collect(&self, grace: Duration, untagged: bool, dry_run: bool) -> Result<Collected> {
        let now = SystemTime::now();
        let is_old = |at: SystemTime| now.duration_since(at).is_ok_and(|age| age >= grace);
        let old = |path: &Path| self.medium().time(path).is_some_and(is_old);
        let mut collected = Collected::default();
        let mut wanted = HashSet::new();
        for repository in self.all_repositories()? {
            if untagged {
                self.forget_untagged(&repository, &old, dry_run, &mut wanted)?;
            } else {
                wanted.extend(self.linked(&self.layout().revisions(&repository))?);
            }
            wanted.extend(self.linked(&self.layout().layers(&repository))?);
            for id in self.names(&self.layout().uploads(&repository))? {
                collected.uploads += usize::from(self.purge_one(&repository, &id, &is_old, dry_run)?);
            }
        }
        for digest in self.stored()? {
            let path = self.layout().blob(&digest);
            if wanted.contains(&digest) || !old(&path) {
                continue;
            }
            collected.bytes += self.medium().size(&path)?.unwrap_or(0);
            if !dry_run {
                self.medium().remove(path.parent().unwrap_or(&path))?;
            }
            collected.blobs.push(digest);
        }
        Ok(collected)
    }

    /// Removes uploads that nobody has written to for `age`; with `dry_run` it only says which.
    pub(crate) fn purge(&self, age: Duration, dry_run: bool) -> Result<Vec<String>> {
        let now = SystemTime::now();
        let is_old = |at: SystemTime| now.duration_since(at).is_ok_and(|since| since >= age);
        let mut purged = Vec::new();
        for repository in self.all_repositories()? {
            for id in self.names(&self.layout().uploads(&repository))? {
                if self.purge_one(&repository, &id, &is_old, dry_run)? {
                    purged.push(id);
                }
            }
        }
        Ok(purged)
    }

    /// Whether it is gone, or would be. One that somebody has open goes on, however slowly.
    fn purge_one(
        &self,
        repository: &str,
        id: &str,
        old: &dyn Fn(SystemTime) -> bool,
        dry_run: bool,
    ) -> Result<bool> {
        let gone = self.medium().purge(&self.layout().upload(repository, id), old, dry_run)?;
        if gone && !dry_run {
            self.digesters().remove(id);
        }
        Ok(gone)
    }

    /// Keeps, in `wanted`, manifests that a tag leads to, with their referrers; and takes the others out.
    fn forget_untagged(
        &self,
        repository: &str,
        old: &dyn Fn(&Path) -> bool,
        dry_run: bool,
        wanted: &mut HashSet<Digest>,
    ) -> Result<()> {
        let mut tagged = Vec::new();
        for tag in self.names(&self.layout().tags(repository))? {
            tagged.extend(self.read_link(&self.layout().tag_current(repository, &tag))?);
        }
        let reached = self.reach(repository, tagged)?;
        for digest in self.linked(&self.layout().revisions(repository))? {
            let young = !old(&self.layout().revision(repository, &digest));
            if young || reached.contains(&digest) {
                wanted.insert(digest);
            } else if !dry_run {
                self.delete_manifest(repository, &digest)?;
            }
        }
        Ok(())
    }

    /// Digests of the links below a directory: `<algorithm>/<hex>/link`.
    pub(super) fn linked(&self, directory: &Path) -> Result<Vec<Digest>> {
        let mut found = Vec::new();
        for algorithm in self.names(directory)? {
            for hex in self.names(&directory.join(&algorithm))? {
                found.extend(format!("{algorithm}:{hex}").parse::<Digest>());
            }
        }
        Ok(found)
    }

    fn stored(&self) -> Result<Vec<Digest>> {
        let mut found = Vec::new();
        let blobs = self.layout().blobs();
        for algorithm in self.names(&blobs)? {
            let below = blobs.join(&algorithm);
            for prefix in self.names(&below)? {
                for hex in self.names(&below.join(&prefix))? {
                    found.extend(format!("{algorithm}:{hex}").parse::<Digest>());
                }
            }
        }
        Ok(found)
    }
}

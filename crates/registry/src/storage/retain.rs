//! Tags whose time is over, by rules; and what no tag leads to once they are gone. Planned first: what a dry run prints is what
//! would go.

use std::collections::HashSet;
use std::time::SystemTime;

use oci::Digest;

use super::Storage;
use crate::error::{Code, Result};
use crate::name::subject;
use crate::retention::Rule;

/// Something that goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retired {
    pub repository: String,
    /// `None`: a manifest.
    pub tag: Option<String>,
    pub digest: Digest,
    pub why: String,
}

impl std::fmt::Display for Retired {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Retired { repository, tag, digest, why } = self;
        match tag {
            Some(tag) => write!(f, "{repository}:{tag} {digest} {why}"),
            None => write!(f, "{repository}@{digest} {why}"),
        }
    }
}

struct Tag {
    name: String,
    digest: Digest,
    time: SystemTime,
}

impl Storage {
    /// Takes out tags that no rule keeps, and manifests that only those led to. With `dry_run` it only says which. Their bytes
    /// go when nobody has them, by [`Storage::collect`].
    ///
    /// # Errors
    /// The disk's. What was removed until then is gone.
    pub fn retain(&self, rules: &[Rule], dry_run: bool) -> Result<Vec<Retired>> {
        let mut retired = Vec::new();
        for repository in self.repositories()? {
            let going = self.plan(&repository, rules)?;
            if !dry_run {
                for one in &going {
                    self.retire(one)?;
                }
            }
            retired.extend(going);
        }
        Ok(retired)
    }

    fn plan(&self, repository: &str, rules: &[Rule]) -> Result<Vec<Retired>> {
        let now = SystemTime::now();
        let mut tags = self.dated(repository)?;
        // The newest first.
        tags.sort_by(|a, b| b.time.cmp(&a.time).then_with(|| a.name.cmp(&b.name)));
        let mut counts = vec![0; rules.len()];
        let mut going = Vec::new();
        let mut staying = Vec::new();
        for tag in &tags {
            let found = rules.iter().position(|rule| rule.is_for(repository, &tag.name));
            let why = found.and_then(|index| {
                let place = counts[index];
                counts[index] += 1;
                rules[index].goes(place, now.duration_since(tag.time).unwrap_or_default())
            });
            match why {
                Some(why) => going.push(Retired {
                    repository: repository.to_owned(),
                    tag: Some(tag.name.clone()),
                    digest: tag.digest.clone(),
                    why,
                }),
                None => staying.push(tag),
            }
        }
        if going.is_empty() {
            return Ok(going);
        }
        let reach =
            |tags: &[&Tag]| self.reach(repository, tags.iter().map(|tag| tag.digest.clone()).collect());
        let mut lost = self.reach(repository, going.iter().map(|one| one.digest.clone()).collect())?;
        // What clients keep about something under its digest goes with that, and keeps nothing.
        let is_about = |tag: &Tag, of: &HashSet<Digest>| subject(&tag.name).is_some_and(|d| of.contains(&d));
        let (about, staying): (Vec<&Tag>, Vec<&Tag>) =
            staying.into_iter().partition(|tag| is_about(tag, &lost));
        let mut kept = reach(&staying)?;
        let (about, orphans): (Vec<&Tag>, Vec<&Tag>) =
            about.into_iter().partition(|tag| is_about(tag, &kept));
        kept.extend(reach(&about)?);
        lost.extend(reach(&orphans)?);
        for tag in orphans {
            let why = "what it is about goes".to_owned();
            let (name, digest) = (tag.name.clone(), tag.digest.clone());
            going.push(Retired { repository: repository.to_owned(), tag: Some(name), digest, why });
        }
        let mut gone = Vec::new();
        for digest in lost.difference(&kept) {
            if self.has_revision(repository, digest)? {
                gone.push(digest.clone());
            }
        }
        gone.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        going.extend(gone.into_iter().map(|digest| Retired {
            repository: repository.to_owned(),
            tag: None,
            digest,
            why: "no tag leads to it any more".into(),
        }));
        Ok(going)
    }

    fn dated(&self, repository: &str) -> Result<Vec<Tag>> {
        let mut found = Vec::new();
        for name in self.tags(repository)? {
            let path = self.layout().tag_current(repository, &name);
            // Removed while we look.
            let Some(time) = self.medium().time(&path) else { continue };
            let Some(digest) = self.read_link(&path)? else { continue };
            found.push(Tag { name, digest, time });
        }
        Ok(found)
    }

    /// Removes one, unless it has become something else since it was looked at.
    fn retire(&self, one: &Retired) -> Result<()> {
        let Retired { repository, tag, digest, .. } = one;
        let removed = match tag {
            Some(tag) if self.resolve_tag(repository, tag).is_ok_and(|now| now == *digest) => {
                self.delete_tag(repository, tag)
            }
            Some(_) => Ok(()),
            None => {
                let tags = self.dated(repository)?.into_iter().map(|tag| tag.digest).collect();
                match self.reach(repository, tags)?.contains(digest) {
                    true => Ok(()),
                    false => self.delete_manifest(repository, digest),
                }
            }
        };
        match removed {
            Err(error) if error.code == Code::ManifestUnknown => Ok(()),
            removed => removed,
        }
    }

    /// What manifests lead to: themselves, what an index names, and what refers to them.
    pub(super) fn reach(&self, repository: &str, mut open: Vec<Digest>) -> Result<HashSet<Digest>> {
        let mut reached = HashSet::new();
        while let Some(digest) = open.pop() {
            if !reached.insert(digest.clone()) {
                continue;
            }
            for referrer in self.referrers(repository, &digest)? {
                open.extend(referrer["digest"].as_str().and_then(|text| text.parse().ok()));
            }
            let Ok(manifest) = self.manifest(repository, &digest) else { continue };
            if oci::media_type::is_index(&manifest.media_type) {
                let index: serde_json::Value = serde_json::from_slice(&manifest.bytes).unwrap_or_default();
                let children = index["manifests"].as_array().into_iter().flatten();
                open.extend(children.filter_map(|child| child["digest"].as_str()?.parse().ok()));
            }
        }
        Ok(reached)
    }
}

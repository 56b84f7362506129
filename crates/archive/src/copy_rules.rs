//! What an archive that somebody sends into a directory in use may do there, and what its entries are called then:
//! the rules of `docker cp`.

use crate::entries::{Entry, Kind};
use crate::error::Error;
use crate::path::show;

/// Whose the files are to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Owner {
    /// As the archive says.
    #[default]
    Archive,
    /// Of whoever extracts: nothing is changed.
    Caller,
    /// User and group, whatever the archive says.
    Fixed(u32, u32),
}

/// How entries are taken. The directory itself is never touched by an entry of its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CopyRules {
    pub owner: Owner,
    /// No directory gives way to something else, and nothing else to a directory.
    pub keep_directories: bool,
    /// What the directory is called in texts.
    pub destination: String,
    pub rename: Option<Rename>,
}

/// A new first part for names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rename {
    from: Vec<u8>,
    to: Vec<u8>,
}

impl Rename {
    /// Names that are `from`, or below it, become `to`. An empty `from` means all names.
    pub fn new(from: impl Into<Vec<u8>>, to: impl Into<Vec<u8>>) -> Rename {
        let bare = |mut name: Vec<u8>| {
            while name.last() == Some(&b'/') {
                name.pop();
            }
            name
        };
        Rename { from: bare(from.into()), to: bare(to.into()) }
    }

    fn apply(&self, name: &mut Vec<u8>) {
        if self.from.is_empty() {
            let rest: Vec<u8> = name.iter().copied().skip_while(|&b| b == b'/').collect();
            *name = if self.to.is_empty() { rest } else { [&self.to[..], b"/", &rest].concat() };
            return;
        }
        if let Some(rest) = name.strip_prefix(&self.from[..])
            && (rest.is_empty() || rest[0] == b'/')
        {
            *name = [&self.to[..], rest].concat();
        }
    }
}

impl CopyRules {
    pub(crate) fn apply(&self, entry: &mut Entry) {
        let Some(rename) = &self.rename else { return };
        rename.apply(&mut entry.name);
        if entry.kind == Kind::Hardlink {
            rename.apply(&mut entry.link);
        }
    }

    /// Whether what is there may be removed for an entry of another kind.
    pub(crate) fn may_replace(&self, is_directory: bool, entry: &Entry) -> Result<(), Error> {
        if !self.keep_directories {
            return Ok(());
        }
        let name = show(&entry.name);
        let name = name.trim_matches('/');
        Err(Error::Overwrite(if is_directory {
            format!("cannot overwrite directory {name:?} with non-directory {:?}", self.destination)
        } else {
            format!("cannot overwrite non-directory {name:?} with directory {:?}", self.destination)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_get_another_first_part() {
        let renamed = |from: &str, to: &str, name: &str| {
            let mut name = name.as_bytes().to_vec();
            Rename::new(from, to).apply(&mut name);
            String::from_utf8(name).unwrap()
        };
        assert_eq!(renamed("a", "b", "a"), "b");
        assert_eq!(renamed("a", "b", "a/"), "b/");
        assert_eq!(renamed("a", "b", "a/a/c"), "b/a/c");
        assert_eq!(renamed("a", "b", "ab/c"), "ab/c");
        assert_eq!(renamed(".", "new", "./x"), "new/x");
        assert_eq!(renamed("/", "new", "/bin/sh"), "new/bin/sh");
        assert_eq!(renamed("/", "/", "/bin/sh"), "bin/sh");
    }
}

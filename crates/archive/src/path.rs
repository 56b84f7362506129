//! Names in archives, cleaned lexically: no empty and no `.` components, `..` only where it stays inside.

use crate::error::Error;

const NAME_LEN_MAX: usize = 255;

/// The components of an entry's name, relative to the root. A leading slash means the root, as in Docker;
/// `..` above it is refused.
pub(crate) fn components(name: &[u8]) -> Result<Vec<&[u8]>, Error> {
    let mut components: Vec<&[u8]> = Vec::new();
    for component in name.split(|&b| b == b'/') {
        match component {
            b"" | b"." => {}
            b".." => {
                if components.pop().is_none() {
                    return Err(Error::Escape(show(name)));
                }
            }
            component if component.len() > NAME_LEN_MAX || component.contains(&0) => {
                return Err(Error::Entry { name: show(name), reason: "invalid file name".into() });
            }
            component => components.push(component),
        }
    }
    Ok(components)
}

pub(crate) fn show(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleaning() {
        let clean = |name: &str| components(name.as_bytes()).map(|parts| parts.join(&b'/')).ok();
        assert_eq!(clean("./a//b/"), Some(b"a/b".to_vec()));
        assert_eq!(clean("/a"), Some(b"a".to_vec()));
        assert_eq!(clean("a/../b"), Some(b"b".to_vec()));
        assert_eq!(clean("./"), Some(b"".to_vec()));
        assert_eq!(clean("../a"), None);
        assert_eq!(clean("a/../../b"), None);
        assert_eq!(clean("/.."), None);
        assert_eq!(clean(&"n".repeat(256)), None);
    }
}

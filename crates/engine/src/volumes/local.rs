//! The driver `local`: what its volumes may be called, and those whose data is not in their directory but mounted.
//!
//! Nothing is mounted on the host: `o=bind` is the directory itself, and any other file system is mounted by the set-up
//! code of each container, in its own mount namespace. What is on a device or a server is one file system however often
//! it is mounted; a tmpfs is not, so that a container which is not the first to run with it binds another's.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::{LOCAL, Volume};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::quota;

/// Docker's rule; it keeps a name below the directory of volumes.
pub(crate) fn check_name(name: &str) -> Result<()> {
    if name.len() == 1 {
        return Err(Error::invalid(format!(
            "create {name}: volume name is too short, names should be at least two alphanumeric characters"
        )));
    }
    if !name.starts_with('/') && matches!(crate::container::names::check(name), Ok(Some(_))) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "create {name}: \"{name}\" includes invalid characters for a local volume name, only \
         \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path"
    )))
}

/// Where a volume's data is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Data {
    /// In this directory, mounted with these words (`ro`, `noexec` ...).
    Directory(PathBuf, Vec<String>),
    Mounted {
        kind: String,
        device: String,
        options: Vec<String>,
    },
    /// With a plugin.
    Plugged,
}

/// Docker's rules and words.
pub(crate) fn check_options(options: &BTreeMap<String, String>) -> Result<()> {
    if let Some(unknown) =
        options.keys().find(|key| !matches!(key.as_str(), "type" | "o" | "device" | "size"))
    {
        return Err(Error::invalid(format!("invalid option: \"{unknown}\"")));
    }
    if quota::of_volume(options)?.is_some()
        && (options.contains_key("type") || options.contains_key("device"))
    {
        return Err(Error::invalid(
            "size limits what is in the engine's own directory, not what type and device mount (a tmpfs has o=size=)",
        ));
    }
    if options.get("type").is_some_and(|kind| kind == "cifs")
        && let Some((server, _)) = options.get("device").and_then(|device| share(device))
        && server.rsplit_once(':').is_some_and(|(name, port)| !name.contains(':') && !port.is_empty())
    {
        return Err(Error::invalid("port not allowed in CIFS device URL, include 'port' in 'o='"));
    }
    for (option, needed) in [("device", &["type"][..]), ("o", &["device", "type"]), ("type", &["device"])] {
        let missing = needed.iter().find(|key| options.contains_key(option) && !options.contains_key(**key));
        if let Some(missing) = missing {
            return Err(Error::invalid(format!("missing required option: \"{missing}\"")));
        }
    }
    Ok(())
}

/// What a server is called: `addr=` with an address or a name.
const SERVER: &str = "addr=";

/// The kernel wants its server's address: a name is looked up each time, and nothing else of the options changes. With
/// cifs the server is in the device, too.
pub(crate) async fn find_server(
    core: &Core,
    volume: &Volume,
    kind: &str,
    device: &mut String,
    options: &mut [String],
) -> Result<()> {
    if !matches!(kind, "nfs" | "nfs4" | "cifs") {
        return Ok(());
    }
    let is_name = |name: &str| !name.is_empty() && name.parse::<IpAddr>().is_err();
    if let Some(option) = options.iter_mut().find(|word| word.starts_with(SERVER))
        && is_name(&option[SERVER.len()..])
    {
        *option = format!("{SERVER}{}", look_up(core, volume, &option[SERVER.len()..]).await?);
        return Ok(());
    }
    if kind == "cifs"
        && let Some((name, share)) = share(device)
        && is_name(name)
    {
        *device = format!("//{}{share}", look_up(core, volume, name).await?);
    }
    Ok(())
}

async fn look_up(core: &Core, volume: &Volume, name: &str) -> Result<IpAddr> {
    core.ports.network.look_up(name).await.map_err(|error| {
        Error::internal(format!(
            "error while mounting volume '{}': error resolving passed in network volume address: {}",
            volume.mountpoint.display(),
            error.message
        ))
    })
}

/// `//server/share`.
fn share(device: &str) -> Option<(&str, &str)> {
    let rest = device.strip_prefix("//")?;
    Some(rest.split_at(rest.find('/').unwrap_or(rest.len())))
}

fn words(options: &BTreeMap<String, String>) -> Vec<String> {
    let text = options.get("o").map_or("", String::as_str);
    text.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

pub(crate) fn data(volume: &Volume) -> Data {
    if volume.driver != LOCAL {
        return Data::Plugged;
    }
    let option = |key: &str| volume.options.get(key).cloned().unwrap_or_default();
    let (kind, device) = (option("type"), option("device"));
    if kind.is_empty() && device.is_empty() {
        return Data::Directory(volume.mountpoint.clone(), Vec::new());
    }
    let mut options = words(&volume.options);
    if options.iter().any(|word| matches!(word.as_str(), "bind" | "rbind")) {
        options.retain(|word| !matches!(word.as_str(), "bind" | "rbind" | "rw" | "defaults"));
        return Data::Directory(device.into(), options);
    }
    options.retain(|word| word != "defaults");
    Data::Mounted { kind, device, options }
}

/// What Docker says when a volume cannot be mounted.
pub(crate) fn mount_error(volume: &Volume, why: &str) -> Error {
    let device = volume.options.get("device").map_or("", String::as_str);
    mount_error_of(volume, device, words(&volume.options), why)
}

/// With device and options as they were mounted. Passwords are not for logs.
pub(crate) fn mount_error_of(volume: &Volume, device: &str, words: Vec<String>, why: &str) -> Error {
    let data = volume.mountpoint.display();
    let words: Vec<String> = words
        .into_iter()
        .map(|word| if word.starts_with("password=") { "password=********".into() } else { word })
        .collect();
    let said = |word: &str| words.iter().any(|other| other == word);
    let tail = match (said("bind"), said("rbind")) {
        (true, _) => ", flags: 0x1000".to_owned(),
        (_, true) => ", flags: 0x5000".to_owned(),
        _ if words.is_empty() => String::new(),
        _ => format!(", data: {}", words.join(",")),
    };
    Error::internal(format!(
        "error while mounting volume '{data}': failed to mount local volume: mount {device}:{data}{tail}: {why}"
    ))
}

/// A volume's directory must be there: that of `o=bind` is not made, and one of ours is gone with what was in it.
pub(crate) fn check_directory(volume: &Volume, directory: &Path) -> Result<()> {
    if directory.symlink_metadata().is_ok() {
        return Ok(());
    }
    Err(match volume.options.contains_key("device") {
        true => mount_error(volume, "no such file or directory"),
        false => Error::internal(format!(
            "the data of volume {} is gone: {} is not there; remove the volume, or put its directory back",
            volume.name,
            directory.display()
        )),
    })
}

/// Where another running container has this volume mounted, as a source to bind. It may end before that is done; then
/// the start fails, and the next one makes a file system of its own.
pub(crate) fn neighbour(core: &Core, volume: &Volume, container: &str) -> Option<String> {
    let views = core.index.views();
    let mut others = views.iter().filter(|view| view.id != container && view.state.pid != 0);
    others.find_map(|view| {
        let point = view.mounts.iter().find(|point| point.kind == "volume" && point.name == volume.name)?;
        Some(format!("/proc/{}/root{}", view.state.pid, point.destination))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::flows::tests::{World, engine};

    #[test]
    fn names() {
        for good in ["ab", "a.b-c_d", "0a"] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        for bad in ["", "a", ".a", "../a", "a/b", "/ab", "a b", "-a", "ä0"] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    fn options(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn options_are_checked_as_docker_does() {
        for (pairs, said) in [
            (&[("bogus", "1")][..], "invalid option: \"bogus\""),
            (&[("o", "bind")], "missing required option: \"device\""),
            (&[("type", "tmpfs")], "missing required option: \"device\""),
            (&[("device", "/x")], "missing required option: \"type\""),
            (
                &[("type", "cifs"), ("device", "//server:445/x")],
                "port not allowed in CIFS device URL, include 'port' in 'o='",
            ),
            (&[("size", "much")], "invalid size: 'much'"),
            (
                &[("size", "1g"), ("type", "tmpfs"), ("device", "tmpfs")],
                "size limits what is in the engine's own directory, not what type and device mount (a tmpfs has o=size=)",
            ),
        ] {
            assert_eq!(check_options(&options(pairs)).unwrap_err().message, said);
        }
        let nfs = options(&[("type", "nfs"), ("device", ":/x"), ("o", "rw,addr=server")]);
        assert_eq!(check_options(&nfs), Ok(()));
    }

    #[tokio::test]
    async fn servers_are_looked_up_for_the_kernel() {
        let (world, root) = (Arc::<World>::default(), tempfile::tempdir().unwrap());
        let core = engine(&world, root.path()).core;
        let volume = Volume { mountpoint: "/v/_data".into(), ..Volume::default() };
        for (kind, device, options, becomes) in [
            ("nfs", ":/x", "rw,addr=server,soft", ":/x rw,addr=10.0.0.1,soft"),
            ("cifs", "//server/x", "user=a,addr=server", "//server/x user=a,addr=10.0.0.1"),
            ("cifs", "//server/x y/z", "user=a,addr=10.0.0.2", "//10.0.0.1/x y/z user=a,addr=10.0.0.2"),
            ("cifs", "//server", "user=a", "//10.0.0.1 user=a"),
            ("cifs", "//10.0.0.3/x", "user=a", "//10.0.0.3/x user=a"),
            ("nfs4", ":/x", "addr=fd00::1", ":/x addr=fd00::1"),
            ("nfs", "//server/x", "rw", "//server/x rw"),
            ("ext4", "/dev/x", "addr=server", "/dev/x addr=server"),
        ] {
            let mut options: Vec<String> = options.split(',').map(str::to_owned).collect();
            let mut device = device.to_owned();
            find_server(&core, &volume, kind, &mut device, &mut options).await.unwrap();
            assert_eq!(format!("{device} {}", options.join(",")), becomes);
        }
        let mut options = ["addr=nobody".to_owned()];
        let unknown = find_server(&core, &volume, "nfs", &mut String::new(), &mut options).await.unwrap_err();
        assert_eq!(
            unknown.message,
            "error while mounting volume '/v/_data': error resolving passed in network volume address: lookup \
             nobody: no such host"
        );
    }

    #[test]
    fn where_the_data_is_and_what_is_said_when_it_is_not() {
        let of = |pairs: &[(&str, &str)]| Volume {
            name: "v".into(),
            driver: LOCAL.into(),
            mountpoint: "/v/_data".into(),
            options: options(pairs),
            ..Volume::default()
        };
        assert_eq!(data(&of(&[])), Data::Directory("/v/_data".into(), vec![]));
        let bound = of(&[("type", "none"), ("device", "/d"), ("o", "bind,ro")]);
        assert_eq!(data(&bound), Data::Directory("/d".into(), vec!["ro".into()]));
        let cifs = of(&[("type", "cifs"), ("device", "//s/x"), ("o", "user=a,password=secret")]);
        let Data::Mounted { kind, options, .. } = data(&cifs) else { panic!("mounted") };
        assert_eq!((kind.as_str(), options.len()), ("cifs", 2));
        assert_eq!(
            mount_error(&cifs, "permission denied").message,
            "error while mounting volume '/v/_data': failed to mount local volume: mount //s/x:/v/_data, data: \
             user=a,password=********: permission denied"
        );
        let missing = check_directory(&bound, Path::new("/no/such")).unwrap_err().message;
        assert!(
            missing.ends_with("mount /d:/v/_data, flags: 0x1000: no such file or directory"),
            "{missing}"
        );
        for own in [of(&[]), of(&[("size", "5m")])] {
            let gone = check_directory(&own, Path::new("/no/such")).unwrap_err().message;
            assert_eq!(
                gone,
                "the data of volume v is gone: /no/such is not there; remove the volume, or put its directory back"
            );
        }
    }
}

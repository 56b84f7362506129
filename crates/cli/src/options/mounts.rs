//! `--mount type=bind,source=/a,target=/b,readonly`: one CSV line of options.

use api::mount::{
    BindOptions, Driver, ImageOptions, MatchUser, Mount, MountType, Propagation, TmpfsOptions, VolumeOptions,
};

use crate::output::units;

/// Reads one `--mount`.
pub(crate) fn parse(text: &str) -> Result<Mount, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("value is empty".into());
    }
    let mut mount = Mount { kind: MountType::VOLUME, ..Mount::default() };
    for field in csv_fields(text)? {
        let (key, value) = match field.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (field.as_str(), None),
        };
        if key.trim() != key {
            return Err(format!(
                "invalid option '{}' in '{field}': option should not have whitespace",
                key.trim()
            ));
        }
        match value.map(|value| (value, value.trim())) {
            Some((_, "")) => return Err(format!("invalid value for '{key}': value is empty")),
            Some((value, trimmed)) if value != trimmed => {
                return Err(format!(
                    "invalid value for '{key}' in '{field}': value should not have whitespace"
                ));
            }
            _ => {}
        }
        let key = key.to_ascii_lowercase();
        let switches = ["readonly", "ro", "volume-nocopy", "bind-nonrecursive", "bind-create-src"];
        match value {
            Some(value) => set(&mut mount, &key, Some(value), &field)?,
            None if switches.contains(&key.as_str()) => set(&mut mount, &key, None, &field)?,
            None => return Err(format!("invalid field '{field}' must be a key=value pair")),
        }
    }
    validate(&mount)?;
    Ok(mount)
}

fn set(mount: &mut Mount, key: &str, given: Option<&str>, field: &str) -> Result<(), String> {
    let value = given.unwrap_or_default();
    match key {
        "type" => mount.kind = MountType::from(value.to_ascii_lowercase()),
        "source" | "src" => mount.source = super::volumes::absolute(value),
        "target" | "dst" | "destination" => mount.target = value.to_owned(),
        "readonly" | "ro" => mount.read_only = switch(key, given)?,
        "consistency" => mount.consistency = value.to_ascii_lowercase(),
        "bind-propagation" => bind(mount).propagation = Propagation::from(value.to_ascii_lowercase()),
        "bind-nonrecursive" => {
            return Err("bind-nonrecursive is deprecated, use bind-recursive=disabled instead".into());
        }
        "bind-recursive" => match value {
            "enabled" => {}
            "disabled" => bind(mount).non_recursive = true,
            "writable" => bind(mount).read_only_non_recursive = true,
            "readonly" => bind(mount).read_only_force_recursive = true,
            _ => {
                return Err(format!(
                    "invalid value for {key}: {value} (must be \"enabled\", \"disabled\", \"writable\", or \"readonly\")"
                ));
            }
        },
        // Not in Docker. Who asks is who runs this: on an engine elsewhere, whoever has these numbers there.
        "idmap" if value == "match-user" => {
            let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
            bind(mount).match_user = Some(MatchUser { uid, gid });
        }
        "idmap" => return Err(format!("invalid value for {key}: {value} (must be \"match-user\")")),
        "bind-create-src" => bind(mount).create_mountpoint = switch(key, given)?,
        "volume-subpath" => volume(mount).subpath = value.to_owned(),
        "volume-nocopy" => volume(mount).no_copy = switch(key, given)?,
        "volume-label" => {
            let (name, text) = super::environment::pair(value);
            volume(mount).labels.insert(name, text);
        }
        "volume-driver" => driver(mount).name = value.to_owned(),
        "volume-opt" => {
            let (name, text) = super::environment::pair(value);
            driver(mount).options.insert(name, text);
        }
        // Not in Docker, where it is `volume-opt=size=`.
        "size" => {
            units::parse_binary_size(value).map_err(|_| format!("invalid value for {key}: {value}"))?;
            driver(mount).options.insert("size".into(), value.to_owned());
        }
        "image-subpath" => {
            mount.image_options.get_or_insert_with(ImageOptions::default).subpath = value.to_owned()
        }
        "tmpfs-size" => {
            tmpfs(mount).size_bytes =
                units::parse_binary_size(value).map_err(|_| format!("invalid value for {key}: {value}"))?;
        }
        "tmpfs-mode" => {
            tmpfs(mount).mode =
                u32::from_str_radix(value, 8).map_err(|_| format!("invalid value for {key}: {value}"))?;
        }
        _ => return Err(format!("unknown option '{key}' in '{field}'")),
    }
    Ok(())
}

fn bind(mount: &mut Mount) -> &mut BindOptions {
    mount.bind_options.get_or_insert_with(BindOptions::default)
}

fn volume(mount: &mut Mount) -> &mut VolumeOptions {
    mount.volume_options.get_or_insert_with(VolumeOptions::default)
}

fn driver(mount: &mut Mount) -> &mut Driver {
    volume(mount).driver_config.get_or_insert_with(Driver::default)
}

fn tmpfs(mount: &mut Mount) -> &mut TmpfsOptions {
    mount.tmpfs_options.get_or_insert_with(TmpfsOptions::default)
}

fn switch(key: &str, given: Option<&str>) -> Result<bool, String> {
    match given {
        None | Some("1" | "true") => Ok(true),
        Some("0" | "false") => Ok(false),
        Some(value) => Err(format!(
            "invalid value for '{key}': invalid boolean value ({value:?}): must be one of \"true\", \"1\", \"false\", or \"0\" (default \"true\")"
        )),
    }
}

fn validate(mount: &Mount) -> Result<(), String> {
    let kind = &mount.kind;
    let mixed = |family: &str| Err(format!("cannot mix '{family}-*' options with mount type '{kind}'"));
    if kind.is_empty() {
        return Err("type is required".into());
    }
    if *kind != MountType::BIND && mount.bind_options.is_some() {
        return mixed("bind");
    }
    if *kind != MountType::VOLUME && mount.volume_options.is_some() {
        return mixed("volume");
    }
    if *kind != MountType::IMAGE && mount.image_options.is_some() {
        return mixed("image");
    }
    if *kind != MountType::TMPFS && mount.tmpfs_options.is_some() {
        return mixed("tmpfs");
    }
    if let Some(bind) = &mount.bind_options {
        let requires = |option: &str, other: &str| {
            Err(format!("option 'bind-recursive={option}' requires '{other}' to be specified in conjunction"))
        };
        if bind.read_only_non_recursive && !mount.read_only {
            return requires("writable", "readonly");
        }
        if bind.read_only_force_recursive && !mount.read_only {
            return requires("readonly", "readonly");
        }
        if bind.read_only_force_recursive && bind.propagation != Propagation::RPRIVATE {
            return requires("readonly", "bind-propagation=rprivate");
        }
    }
    Ok(())
}

/// The fields of one CSV record (RFC 4180): a field in double quotes may hold commas, and quotes doubled.
pub(crate) fn csv_fields(text: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let Some(mut quoted) = rest.strip_prefix('"') else {
            let (field, tail) = match rest.split_once(',') {
                Some((field, tail)) => (field, Some(tail)),
                None => (rest, None),
            };
            if let Some(at) = field.find('"') {
                let column = text.len() - rest.len() + at + 1;
                return Err(format!("parse error on line 1, column {column}: bare \" in non-quoted-field"));
            }
            fields.push(field.to_owned());
            match tail {
                Some(tail) => rest = tail,
                None => return Ok(fields),
            }
            continue;
        };
        let mut field = String::new();
        loop {
            let Some((part, tail)) = quoted.split_once('"') else {
                return Err(format!(
                    "parse error on line 1, column {}: extraneous or missing \" in quoted-field",
                    text.len() + 1
                ));
            };
            field.push_str(part);
            match tail.strip_prefix('"') {
                Some(tail) => {
                    field.push('"');
                    quoted = tail;
                }
                None => {
                    quoted = tail;
                    break;
                }
            }
        }
        fields.push(field);
        match quoted.strip_prefix(',') {
            Some(tail) => rest = tail,
            None if quoted.is_empty() => return Ok(fields),
            None => {
                let column = text.len() - quoted.len() + 1;
                return Err(format!(
                    "parse error on line 1, column {column}: extraneous or missing \" in quoted-field"
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        let mount = parse("type=bind,source=/a,target=/b,readonly").unwrap();
        assert_eq!((mount.kind.as_str(), mount.source.as_str(), mount.target.as_str()), ("bind", "/a", "/b"));
        assert!(mount.read_only);
        let mount = parse("type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=1770").unwrap();
        let options = mount.tmpfs_options.unwrap();
        assert_eq!((options.size_bytes, options.mode), (1 << 20, 0o1770));
        let mount = parse("type=bind,\"source=/a,b\",target=/c,bind-propagation=rshared").unwrap();
        assert_eq!(mount.source, "/a,b");
        let matched =
            parse("type=bind,src=/a,dst=/b,idmap=match-user").unwrap().bind_options.unwrap().match_user;
        assert_eq!(matched.map(|user| user.uid), Some(rustix::process::getuid().as_raw()));
        assert_eq!(parse("target=/v").unwrap().kind.as_str(), "volume");
        let limited = parse("type=volume,src=v,dst=/v,size=5g").unwrap().volume_options.unwrap();
        assert_eq!(limited.driver_config.unwrap().options["size"], "5g");
    }

    #[test]
    fn refusals() {
        for (text, error) in [
            ("", "value is empty"),
            ("type=bind,foo", "invalid field 'foo' must be a key=value pair"),
            ("type=bind,foo=1", "unknown option 'foo' in 'foo=1'"),
            ("type=bind,target=", "invalid value for 'target': value is empty"),
            ("type=tmpfs,bind-propagation=private", "cannot mix 'bind-*' options with mount type 'tmpfs'"),
            ("type=bind,src=/a,dst=/b,idmap=me", "invalid value for idmap: me (must be \"match-user\")"),
            ("type=tmpfs,idmap=match-user", "cannot mix 'bind-*' options with mount type 'tmpfs'"),
            ("type=volume,dst=/v,size=much", "invalid value for size: much"),
            ("type=bind,src=/a,dst=/b,size=5g", "cannot mix 'volume-*' options with mount type 'bind'"),
            ("type=tmpfs,tmpfs-size=x", "invalid value for tmpfs-size: x"),
            (
                "type=bind,readonly=no",
                "invalid value for 'readonly': invalid boolean value (\"no\"): must be one of \"true\", \"1\", \"false\", or \"0\" (default \"true\")",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err(), error, "{text}");
        }
    }
}

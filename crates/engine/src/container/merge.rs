//! The image's defaults under what the user said.

use super::ContainerSpec;
use crate::error::{Error, Result};
use crate::ports::StoredImage;

/// What will be executed.
#[derive(Debug)]
pub(crate) struct Merged {
    pub(crate) path: String,
    pub(crate) args: Vec<String>,
}

/// Fill what was left open (Docker's rules), and find the command.
pub(crate) fn with_image(spec: &mut ContainerSpec, image: &StoredImage, id: &str) -> Result<Merged> {
    let config = &image.config;
    if spec.user.is_empty() {
        spec.user.clone_from(&config.user);
    }
    spec.exposed_ports.extend(config.exposed_ports.iter().cloned());
    spec.env = keep_env(std::mem::take(&mut spec.env), &config.env);
    for (key, value) in &config.labels {
        spec.labels.entry(key.clone()).or_insert_with(|| value.clone());
    }
    // A new entrypoint makes the image's command meaningless.
    let entrypoint_given = spec.entrypoint.as_ref().is_some_and(|words| !words.is_empty());
    if spec.entrypoint.as_ref().is_none_or(Vec::is_empty) {
        if spec.cmd.as_ref().is_none_or(Vec::is_empty) {
            spec.cmd.clone_from(&config.cmd);
            spec.args_escaped = config.args_escaped;
        }
        if spec.entrypoint.is_none() {
            spec.entrypoint.clone_from(&config.entrypoint);
        }
    }
    // `--entrypoint ""` arrives as [""]: no entrypoint at all.
    if entrypoint_given && spec.entrypoint.as_deref() == Some(&[String::new()]) {
        spec.entrypoint = None;
    }
    if spec.working_dir.is_empty() {
        spec.working_dir.clone_from(&config.working_dir);
    }
    if !spec.working_dir.is_empty() && !spec.working_dir.starts_with('/') {
        return Err(Error::invalid(format!(
            "the working directory '{}' is invalid, it needs to be an absolute path",
            spec.working_dir
        )));
    }
    spec.volumes.extend(config.volumes.iter().cloned());
    if spec.stop_signal.as_deref().is_none_or(str::is_empty) {
        spec.stop_signal.clone_from(&config.stop_signal);
    }
    if spec.stop_timeout_s.is_none() {
        spec.stop_timeout_s = config.stop_timeout_s;
    }
    if spec.healthcheck.as_ref().is_none_or(|check| check.test.is_empty()) {
        let asked = spec.healthcheck.take();
        spec.healthcheck.clone_from(&config.healthcheck);
        if let (Some(ours), Some(asked)) = (&mut spec.healthcheck, asked) {
            let pick = |asked: i64, image: i64| if asked == 0 { image } else { asked };
            ours.interval_ns = pick(asked.interval_ns, ours.interval_ns);
            ours.timeout_ns = pick(asked.timeout_ns, ours.timeout_ns);
            ours.start_period_ns = pick(asked.start_period_ns, ours.start_period_ns);
            ours.start_interval_ns = pick(asked.start_interval_ns, ours.start_interval_ns);
            ours.retries = pick(asked.retries, ours.retries);
        }
    }
    if spec.on_build.is_none() {
        spec.on_build.clone_from(&config.on_build);
    }
    if spec.shell.is_none() {
        spec.shell.clone_from(&config.shell);
    }
    if spec.hostname.is_empty() {
        spec.hostname = default_hostname(spec, id);
    }
    let mut words = spec.entrypoint.iter().flatten().chain(spec.cmd.iter().flatten()).cloned();
    let path = words.next().unwrap_or_default();
    let args: Vec<_> = words.collect();
    if path.is_empty() {
        return Err(Error::invalid("no command specified"));
    }
    Ok(Merged { path, args })
}

fn default_hostname(spec: &ContainerSpec, id: &str) -> String {
    use super::{NetworkMode, UtsMode};
    let hosts = spec.host.uts_mode == UtsMode::Host || spec.host.network_mode == NetworkMode::Host;
    match hosts {
        true => rustix::system::uname().nodename().to_string_lossy().into_owned(),
        false => id[..12].to_owned(),
    }
}

/// What the user said as it was said, then the image's variables that the user does not name. A bare `KEY` stays:
/// inspect shows it, and [`merge_env`] takes the variable away when a process starts.
fn keep_env(user: Vec<String>, image: &[String]) -> Vec<String> {
    let key = |entry: &str| entry.split_once('=').map_or(entry, |(key, _)| key).to_owned();
    let named: Vec<_> = user.iter().map(|entry| key(entry)).collect();
    let missing = image.iter().filter(|entry| !named.contains(&key(entry))).cloned();
    user.into_iter().chain(missing).collect()
}

/// The image's variables, replaced by name where the user sets them; a bare `KEY` takes one away.
pub(crate) fn merge_env(image: &[String], user: &[String]) -> Vec<String> {
    let key = |entry: &str| entry.split_once('=').map_or(entry, |(key, _)| key).to_owned();
    let mut merged: Vec<String> = Vec::with_capacity(image.len() + user.len());
    for entry in image.iter().chain(user) {
        let wanted = key(entry);
        let place = merged.iter().position(|have| key(have) == wanted);
        match (place, entry.contains('=')) {
            (Some(place), true) => merged[place].clone_from(entry),
            (Some(place), false) => {
                merged.remove(place);
            }
            (None, true) => merged.push(entry.clone()),
            (None, false) => {}
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::images::ImageConfig;

    fn strings(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn entrypoint_and_command_combine_as_in_docker() {
        let image = |entrypoint: &[&str], cmd: &[&str]| StoredImage {
            id: String::new(),
            manifest: None,
            os: "linux".into(),
            architecture: "amd64".into(),
            config: ImageConfig {
                entrypoint: Some(strings(entrypoint)),
                cmd: Some(strings(cmd)),
                ..ImageConfig::default()
            },
        };
        type Case<'a> = (
            &'a [&'a str],
            &'a [&'a str],
            Option<&'a [&'a str]>,
            Option<&'a [&'a str]>,
            Option<&'a [&'a str]>,
        );
        let cases: &[Case<'_>] = &[
            (&["/e"], &["a"], None, None, Some(&["/e", "a"])),
            (&["/e"], &["a"], None, Some(&["b", "c"]), Some(&["/e", "b", "c"])),
            (&["/e"], &["a"], Some(&["/x"]), None, Some(&["/x"])),
            (&["/e"], &["a"], Some(&["/x"]), Some(&["y"]), Some(&["/x", "y"])),
            (&["/e"], &["a"], Some(&[""]), Some(&["y"]), Some(&["y"])),
            (&[], &["sh"], None, None, Some(&["sh"])),
            (&[], &[], None, None, None),
        ];
        for (entrypoint, cmd, own_entrypoint, own_cmd, expected) in cases {
            let mut spec = ContainerSpec {
                entrypoint: own_entrypoint.map(strings),
                cmd: own_cmd.map(strings),
                ..ContainerSpec::default()
            };
            let got = with_image(&mut spec, &image(entrypoint, cmd), &"a".repeat(64)).ok().map(|merged| {
                let mut words = vec![merged.path];
                words.extend(merged.args);
                words
            });
            assert_eq!(got, expected.map(strings));
        }
    }

    #[test]
    fn the_record_keeps_what_was_said() {
        let kept = keep_env(strings(&["A", "C=1"]), &strings(&["PATH=/bin", "A=1"]));
        assert_eq!(kept, strings(&["A", "C=1", "PATH=/bin"]));
        assert_eq!(merge_env(&strings(&["A=base"]), &kept), strings(&["C=1", "PATH=/bin"]));
    }

    #[test]
    fn environment_is_merged_by_name() {
        let merged = merge_env(&strings(&["PATH=/bin", "A=1", "B=2"]), &strings(&["A=3", "B", "C=", "D"]));
        assert_eq!(merged, strings(&["PATH=/bin", "A=3", "C="]));
    }
}

use super::*;

fn config(arguments: &[&str], file: Option<&str>) -> Result<Config, String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("daemon.json");
    let mut words: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
    std::fs::write(&path, file.unwrap_or("{}")).unwrap();
    words.push(format!("--config-file={}", path.display()));
    match read(&words)? {
        Asked::Run(config) => Ok(config),
        other => panic!("{other:?}"),
    }
}

#[test]
fn flags_in_all_spellings() {
    let got = config(&["-H", "unix:///a", "--host=tcp://b:1", "-Hfd://", "-D", "--live-restore=false", "-G", "g"], None).unwrap();
    assert_eq!(got.hosts(), ["unix:///a", "tcp://b:1", "fd://"]);
    assert!(got.flag("debug", false) && !got.flag("live-restore", true));
    assert_eq!(got.text("group"), Some("g"));
    assert_eq!(got.level().unwrap(), "debug");
}

#[test]
fn the_file_fills_what_the_flags_leave_open() {
    let got = config(&["--bip", "10.1.0.1/16"], Some(r#"{"hosts":["unix:///x"],"log-opts":{"max-size":"1m"},"mtu":1400}"#)).unwrap();
    assert_eq!(got.hosts(), ["unix:///x"]);
    assert_eq!(got.number("mtu"), Some(1400));
    assert_eq!(got.map("log-opt")["max-size"], "1m");
}

#[test]
fn said_twice_is_an_error_in_dockers_words() {
    let error = config(&["--debug"], Some(r#"{"debug":false}"#)).unwrap_err();
    assert!(
        error.ends_with(
            "the following directives are specified both as a flag and in the configuration file: debug: (from flag: \
             true, from file: false)"
        ),
        "{error}"
    );
}

#[test]
fn what_is_not_known_or_not_built_is_refused_by_name() {
    for (arguments, file, part) in [
        (&["--nope"][..], "{}", "unknown flag: --nope"),
        (&["-z"], "{}", "unknown shorthand flag: 'z' in -z"),
        (&["--mtu"][..0], r#"{"nope":1}"#, "don't match any configuration option: nope"),
        (&[], r#"{"debug":"yes"}"#, "wrong type"),
        (&["--tlsverify"], "{}", "--tlsverify (tlsverify) is not built yet"),
        (&["--icc=false"], "{}", "--icc=false"),
        (&["--storage-driver=devicemapper"], "{}", "use overlay2"),
        (&["--log-level=loud"], "{}", "invalid logging level: loud"),
        (&["--mtu=x"], "{}", "invalid argument \"x\" for \"--mtu\" flag"),
    ] {
        let error = config(arguments, Some(file)).unwrap_err();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn parts_wharf_does_not_have_are_accepted_without_effect() {
    let got = config(&["--containerd=/run/c.sock", "--userland-proxy=false"], None).unwrap();
    assert_eq!(got.without_effect, ["containerd", "userland-proxy"]);
}

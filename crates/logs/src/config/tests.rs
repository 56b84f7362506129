use super::*;
use crate::file::FileDestination;

fn options(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn file(driver: &str, pairs: &[(&str, &str)]) -> FileDestination {
    let labels = options(&[("team", "blue"), ("team.lead", "ann"), ("other", "x")]);
    let facts = ContainerFacts {
        id: &"ab".repeat(32),
        name: "/web",
        image_id: "sha256:0123456789abcdef",
        image_name: "debian",
        command: &["sh".into(), "-c".into()],
        labels: &labels,
        env: &["A=1".into(), "B=2".into(), "A=3".into()],
        created: "2026-01-01T00:00:00Z",
    };
    match resolve(driver, &options(pairs), &facts, "/log".into()).unwrap().to {
        To::File(d) => d,
        other => panic!("{other:?}"),
    }
}

fn refused(driver: &str, pairs: &[(&str, &str)]) -> String {
    validate(driver, &options(pairs)).map_or_else(|e| e.to_string(), |()| "accepted".to_owned())
}

#[test]
fn defaults_are_capped_and_a_size_alone_keeps_one_file() {
    let d = file("", &[]);
    assert_eq!((d.file_bytes_max, d.files_max, d.compress), (Some(20 << 20), 5, false));
    let d = file("", &[("max-size", "10m")]);
    assert_eq!((d.file_bytes_max, d.files_max), (Some(10_000_000), 1));
    let d = file("", &[("max-size", "-1")]);
    assert_eq!(d.file_bytes_max, None);
    let d = file("", &[("max-size", "1.5k"), ("max-file", "3"), ("compress", "true")]);
    assert_eq!((d.file_bytes_max, d.files_max, d.compress), (Some(1500), 3, true));
    let d = file("local", &[]);
    assert_eq!((d.file_bytes_max, d.files_max, d.compress), (Some(20 << 20), 5, true));
}

#[test]
fn attributes_come_from_labels_env_and_tag() {
    let attrs = |pairs: &[(&str, &str)]| {
        let attrs = file("json-file", pairs).attrs;
        attrs.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        attrs(&[("labels", "team,none"), ("env", "A"), ("tag", "x/{{.Name}}-{{ .ID }}/{{.ImageID}}")]),
        "A=3 tag=x/web-abababababab/0123456789ab team=blue"
    );
    assert_eq!(attrs(&[("labels-regex", "^team"), ("env-regex", "^[B-Z]$")]), "B=2 team=blue team.lead=ann");
    let template =
        r#"{{with .ContainerLabels}}{{.team | upper}}{{end}}:{{truncate .FullID 5}}:{{.ImageName}}"#;
    assert_eq!(attrs(&[("tag", template)]), "tag=BLUE:ababa:debian");
}

#[test]
fn mistakes_are_named() {
    assert_eq!(refused("json-file", &[("x", "1")]), "unknown log opt 'x' for json-file log driver");
    assert_eq!(refused("foo", &[]), "logger: no log driver named 'foo' is registered");
    assert_eq!(refused("awslogs", &[]), "log driver awslogs is not built yet");
    assert_eq!(refused("none", &[("x", "1")]), "accepted");
    assert_eq!(refused("json-file", &[("mode", "z")]), "logger: logging mode not supported: z");
    assert_eq!(refused("json-file", &[("max-size", "0")]), "max-size must be a positive number");
    assert_eq!(refused("json-file", &[("max-size", "10x")]), "invalid suffix: 'x'");
    assert_eq!(refused("json-file", &[("max-size", "ten")]), "invalid size: 'ten'");
    assert_eq!(refused("json-file", &[("max-file", "0")]), "max-file cannot be less than 1");
    assert_eq!(
        refused("json-file", &[("max-size", "1k"), ("compress", "1")]),
        "compress cannot be true when max-file is less than 2 or max-size is not set"
    );
    assert_eq!(
        refused("json-file", &[("max-buffer-size", "4m")]),
        "logger: max-buffer-size option is only supported with 'mode=non-blocking'"
    );
    assert_eq!(refused("json-file", &[("mode", "non-blocking"), ("max-buffer-size", "4m")]), "accepted");
    assert_eq!(
        refused("json-file", &[("labels-regex", "a[")]),
        "error parsing regexp: unclosed character class: `a[`"
    );
    assert_eq!(refused("json-file", &[("stdin", "x")]).split(": ").next(), Some("invalid value for stdin"));
    assert!(refused("json-file", &[("tag", "{{.Foo}}")]).contains("Foo"));
}

#[test]
fn mistakes_of_the_local_driver_are_named() {
    assert_eq!(refused("local", &[("x", "1")]), "unknown log opt 'x' for log driver local");
    assert_eq!(
        refused("local", &[("max-file", "1")]),
        "compression cannot be enabled when max file count is 1"
    );
    assert_eq!(refused("local", &[("max-file", "1"), ("compress", "false")]), "accepted");
    assert_eq!(refused("local", &[("max-size", "x")]), "invalid value for max-size: x: invalid size: 'x'");
    assert_eq!(
        refused("local", &[("compress", "x")]),
        "invalid boolean value for compress: strconv.ParseBool: parsing \"x\": invalid syntax"
    );
}

#[test]
fn what_can_be_read_is_known() {
    assert_eq!(kept("json-file", &options(&[])), Some(Format::JsonFile));
    assert_eq!(kept("local", &options(&[])), Some(Format::Local));
    assert_eq!(kept("syslog", &options(&[])), Some(Format::Local));
    assert_eq!(kept("syslog", &options(&[("cache-disabled", "true")])), None);
    assert_eq!(kept("none", &options(&[])), None);
    assert_eq!(refused("syslog", &[("cache-disabled", "x")]), "invalid value for option cache-disabled: x");
    assert_eq!(
        refused("syslog", &[("cache-max-file", "1")]),
        "compression cannot be enabled when max file count is 1"
    );
}

#[test]
fn mistakes_of_remote_drivers_are_named() {
    for (driver, pairs, said) in [
        ("syslog", &[("x", "1")][..], "unknown log opt 'x' for syslog log driver"),
        ("syslog", &[("syslog-address", "http://x")], "unsupported scheme: 'http'"),
        (
            "syslog",
            &[("syslog-address", "unix:///nonexistent/log")],
            "stat /nonexistent/log: no such file or directory",
        ),
        ("syslog", &[("syslog-address", "udp://1.2.3.4")], "accepted"),
        ("syslog", &[("syslog-facility", "x")], "invalid syslog facility"),
        ("syslog", &[("syslog-facility", "23")], "accepted"),
        ("syslog", &[("syslog-format", "x")], "Invalid syslog format"),
        ("gelf", &[], "gelf-address is a required parameter"),
        ("gelf", &[("gelf-address", "http://h:1")], "gelf: endpoint needs to be TCP or UDP"),
        ("gelf", &[("gelf-address", "udp://h")], "gelf: please provide gelf-address as proto://host:port"),
        ("gelf", &[("gelf-address", "udp://h:1"), ("x", "1")], "unknown log opt \"x\" for gelf log driver"),
        (
            "gelf",
            &[("gelf-address", "tcp://h:1"), ("gelf-compression-type", "none")],
            "compression is only supported on UDP",
        ),
        (
            "gelf",
            &[("gelf-address", "udp://h:1"), ("gelf-compression-type", "x")],
            "unknown value \"x\" for log opt \"gelf-compression-type\" for gelf log driver",
        ),
        (
            "gelf",
            &[("gelf-address", "udp://h:1"), ("gelf-tcp-max-reconnect", "1")],
            "\"gelf-tcp-max-reconnect\" is only valid for TCP",
        ),
        (
            "gelf",
            &[("gelf-address", "tcp://h:1"), ("gelf-tcp-max-reconnect", "x")],
            "\"gelf-tcp-max-reconnect\" must be a positive integer",
        ),
        ("fluentd", &[("x", "1")], "unknown log opt 'x' for fluentd log driver"),
        (
            "fluentd",
            &[("fluentd-address", "http://h")],
            "invalid fluentd-address (http://h): unsupported scheme: 'http'",
        ),
        (
            "fluentd",
            &[("fluentd-address", "tcp://h/x")],
            "invalid fluentd-address (tcp://h/x): should not contain a path element",
        ),
        ("fluentd", &[("fluentd-address", "unix://")], "invalid fluentd-address (unix://): path is empty"),
        ("fluentd", &[("fluentd-async", "x")], "strconv.ParseBool: parsing \"x\": invalid syntax"),
        (
            "fluentd",
            &[("fluentd-async-reconnect-interval", "1ms")],
            "invalid value for fluentd-async-reconnect-interval: value (\"1ms\") must be between 100ms and 10s",
        ),
        ("fluentd", &[("fluentd-max-retries", "x")], "strconv.ParseUint: parsing \"x\": invalid syntax"),
        ("fluentd", &[("fluentd-retry-wait", "5")], "time: missing unit in duration \"5\""),
        ("journald", &[("x", "1")], "unknown log opt 'x' for journald log driver"),
        ("journald", &[("labels", "a")], "accepted"),
    ] {
        assert_eq!(refused(driver, pairs), said, "{driver} {pairs:?}");
    }
}

//! What is said before an engine is asked, and when there is none.

use testkit::Output;
use testkit::canned::{Answer, Server};

use crate::{docker, outcome};

const NOBODY: &str = "unix:///nonexistent.sock";

#[test]
fn wrong_lines_are_refused_in_dockers_words() {
    let run = "Usage:  docker run [OPTIONS] IMAGE [COMMAND] [ARG...]\n\nRun 'docker run --help' for more information";
    for (line, status, text) in [
        ("run --zzz", 125, format!("unknown flag: --zzz\n\n{run}")),
        ("run -z", 125, format!("unknown shorthand flag: 'z' in -z\n\n{run}")),
        ("run --memory abc x", 125, format!("invalid argument \"abc\" for \"-m, --memory\" flag: invalid size: 'abc'\n\n{run}")),
        (
            "create --io-maxiops 9 --cpu-count 2 x",
            1,
            ["cpu-count", "io-maxiops"].map(|flag| format!("\"--{flag}\" is only supported on a Docker daemon running on windows, but the Docker daemon is running on linux")).join("\n"),
        ),
        (
            "ps x",
            1,
            "docker: 'docker ps' accepts no arguments\n\nUsage:  docker ps [OPTIONS]\n\nRun 'docker ps --help' for more information".into(),
        ),
        (
            "rnu x",
            1,
"docker: unknown command: docker rnu\n\nRun 'docker --help' for more information".into(),
        ),
        (
            "-i -t debian bash",
            125,
            "unknown shorthand flag: 'i' in -i\n\nUsage:  docker [OPTIONS] COMMAND [ARG...]\n\nRun 'docker --help' for more information\n\nDid you mean one of these?\n\tdocker run -i -t debian bash\n\tdocker exec -i -t debian bash".into(),
        ),
        ("compose up", 1, "docker: 'docker compose' is not supported yet: it comes with Compose".into()),
    ] {
        let got = outcome(NOBODY, &line.split(' ').collect::<Vec<_>>());
        assert_eq!((got.status, got.stderr.trim_end()), (status, text.as_str()), "{line}");
    }
}

#[test]
fn a_name_of_nothing_is_refused_before_an_engine_is_asked() {
    let got = outcome(NOBODY, &["rm", "/"]);
    assert_eq!((got.status, got.stderr.trim_end()), (1, "container name cannot be empty"));
}

#[test]
fn an_engine_that_dies_in_the_middle_of_an_answer_is_told_as_docker_tells_it() {
    let directory = testkit::directory();
    let server = Server::start(directory.path(), |line| match line.split('?').next().unwrap_or_default() {
        "GET /containers/one/json" => Answer::Json(200, r#"{"Id":"one","Config":{"Tty":true}}"#.into()),
        _ => Answer::Broken("{\"status\":\"half\"}\n".into()),
    });
    for line in ["pull x", "push x", "load", "save x", "logs one", "events", "export one"] {
        let got = outcome(&server.host(), &line.split(' ').collect::<Vec<_>>());
        let error = got.stderr.lines().last().unwrap_or_default();
        assert_eq!((got.status, error), (1, "unexpected EOF"), "{line}: {}", got.stdout);
    }
}

/// What is said when nobody answers, by Docker 29's client, for each way of not being there.
#[test]
fn a_missing_engine_is_named_with_its_address() {
    let directory = testkit::directory();
    let file = directory.path().join("plain");
    std::fs::write(&file, "").unwrap();
    let file = format!("unix://{}", file.display());
    let refused = {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("tcp://{}", free.local_addr().unwrap())
    };
    let nobody =
        |host: &str| format!("Cannot connect to the Docker daemon at {host}. Is the docker daemon running?");
    let missing = "failed to connect to the docker API at unix:///nonexistent.sock; check if the path is correct and if \
                   the daemon is running: dial unix /nonexistent.sock: connect: no such file or directory";
    for (host, text) in [
        (NOBODY, missing.to_owned()),
        (file.as_str(), nobody(&file)),
        (refused.as_str(), nobody(&refused)),
        ("foo://x", format!("{UNRESOLVED}: invalid bind address format: foo://x")),
        ("tcp://h:99999", format!("{UNRESOLVED}: invalid bind address format: tcp://h:99999")),
    ] {
        for line in [&["ps"][..], &["run", "x"], &["inspect", "x"], &["rm", "x", "y"]] {
            let got = outcome(host, line);
            assert_eq!((got.status, got.stderr.trim_end()), (1, text.as_str()), "{host} {line:?}");
        }
    }
    let ssh = outcome("ssh://x", &["ps"]);
    assert!(
        ssh.status == 1 && ssh.stderr.contains("connections over ssh are not supported"),
        "{}",
        ssh.stderr
    );
}

const UNRESOLVED: &str = "Failed to initialize: unable to resolve docker endpoint";

#[test]
fn what_comes_before_the_command_is_checked_in_dockers_words() {
    let usage = "Usage:  docker [OPTIONS] COMMAND [ARG...]\n\nRun 'docker --help' for more information";
    for (line, status, text) in [
        (
            "-H a -H b ps",
            125,
            format!("invalid argument \"b\" for \"-H, --host\" flag: specify only one -H\n\n{usage}"),
        ),
        ("-H", 125, format!("flag needs an argument: 'H' in -H\n\n{usage}")),
        ("--context", 125, format!("flag needs an argument: --context\n\n{usage}")),
        (
            "--tlsverify=x ps",
            125,
            format!(
                "invalid argument \"x\" for \"--tlsverify\" flag: strconv.ParseBool: parsing \"x\": invalid syntax\n\n{usage}"
            ),
        ),
        ("-l loud ps", 1, "Unable to parse logging level: loud".into()),
        (
            "--context a -H unix:///x ps",
            1,
            "conflicting options: cannot specify both --host and --context".into(),
        ),
        (
            "--tlsverify=false ps",
            1,
            format!("{UNRESOLVED}: open /nonexistent/ca.pem: no such file or directory"),
        ),
        ("--tls --tlscacert /nosuch ps", 1, format!("{UNRESOLVED}: open /nosuch: no such file or directory")),
    ] {
        let got = outcome(NOBODY, &line.split(' ').collect::<Vec<_>>());
        assert_eq!((got.status, got.stderr.trim_end()), (status, text.as_str()), "{line}");
    }
}

#[test]
fn the_environment_is_checked_in_dockers_words() {
    for (name, value, text) in [
        (
            "DOCKER_API_VERSION",
            "x",
            "Failed to initialize: invalid API version (x): must be formatted <major>.<minor>",
        ),
        (
            "DOCKER_CUSTOM_HEADERS",
            "a=b,c",
            "Failed to initialize: failed to set custom headers from DOCKER_CUSTOM_HEADERS environment variable: missing \
             \"=\" in key=value pair: 'c'",
        ),
        (
            "DOCKER_TLS_VERIFY",
            "1",
            "Failed to initialize: unable to resolve docker endpoint: open /nonexistent/ca.pem: no such file or directory",
        ),
    ] {
        let got = Output::of(docker(NOBODY, &["ps"]).env(name, value));
        assert_eq!((got.status, got.stderr.trim_end()), (1, text), "{name}");
    }
}

/// A configuration that cannot be read costs a warning; contexts, formats and headers of one that can are honoured.
#[test]
fn the_configuration_is_honoured() {
    let directory = testkit::directory();
    let path = directory.path();
    let server = Server::start(path, |_| Answer::Json(200, "[]".into()));
    let write = |text: String| std::fs::write(path.join("config.json"), text).unwrap();
    let ps = || {
        let mut command = docker("", &["ps"]);
        Output::of(command.env_remove("DOCKER_HOST").env("DOCKER_CONFIG", path))
    };

    let meta = path.join("contexts/meta/9e62f93eb7d2499903ac66232f187c56fc050eb74c765f90eb214360b21f0e96");
    std::fs::create_dir_all(&meta).unwrap();
    let host = server.host();
    let text = format!(r#"{{"Name":"nosuch","Endpoints":{{"docker":{{"Host":"{host}"}}}}}}"#);
    std::fs::write(meta.join("meta.json"), text).unwrap();
    write(r#"{"currentContext":"nosuch","psFormat":"table {{.ID}}","HttpHeaders":{"X-Own":"1"}}"#.into());
    let got = ps();
    assert_eq!((got.status, got.stdout.as_str(), got.stderr.as_str()), (0, "CONTAINER ID\n", ""));

    write("{".into());
    let got = Output::of(docker(&host, &["ps"]).env("DOCKER_CONFIG", path));
    let warning =
        format!("WARNING: Error parsing config file ({}/config.json): unexpected EOF\n", path.display());
    assert_eq!((got.status, got.stderr), (0, warning));
}

//! What is said before an engine is asked, and when there is none.

use crate::outcome;

const NOBODY: &str = "unix:///nonexistent.sock";

#[test]
fn wrong_lines_are_refused_in_dockers_words() {
    let run = "Usage:  docker run [OPTIONS] IMAGE [COMMAND] [ARG...]\n\nRun 'docker run --help' for more information";
    for (line, status, text) in [
        ("run --zzz", 125, format!("unknown flag: --zzz\n\n{run}")),
        ("run -z", 125, format!("unknown shorthand flag: 'z' in -z\n\n{run}")),
        ("run --memory abc x", 125, format!("invalid argument \"abc\" for \"-m, --memory\" flag: invalid size: 'abc'\n\n{run}")),
        (
            "run -p 80:80 x",
            125,
            "docker: --publish is not supported yet: it comes with networking\n\nRun 'docker run --help' for more information".into(),
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
            "unknown shorthand flag: 'i' in -i\n\nUsage:  docker [OPTIONS] COMMAND [ARG...]\n\nRun 'docker --help' for more information\n\nDid you mean this?\n\tdocker run -i -t debian bash".into(),
        ),
        ("volume ls", 1, "docker: 'docker volume' is not supported yet: it comes with volumes".into()),
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
fn a_missing_engine_is_named_with_its_address() {
    let text =
        "Cannot connect to the Docker daemon at unix:///nonexistent.sock. Is the docker daemon running?";
    let got = outcome(NOBODY, &["ps"]);
    assert_eq!((got.status, got.stderr.trim_end()), (1, text));
    let got = outcome(NOBODY, &["run", "x"]);
    assert_eq!(got.status, 125);
    assert_eq!(
        got.stderr.trim_end(),
        format!("docker: {text}\n\nRun 'docker run --help' for more information")
    );
}

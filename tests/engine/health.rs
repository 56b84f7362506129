//! Health checks: commands, native probes, and what becomes of a container that is not well.

use std::time::Instant;

use crate::House;

const HEALTH: &str = "{{.State.Health.Status}}";
const QUICK: [&str; 4] = ["--health-interval", "100ms", "--health-retries", "2"];

impl House {
    /// A container that is checked ten times a second, and ill after two failures.
    fn checked(&self, name: &str, options: &[&str], command: &[&str]) {
        let start = ["run", "-d", "--name", name];
        self.ok(&[&start, &QUICK[..], options, &["bb"], command].concat());
    }
}

#[test]
fn a_command_says_how_a_container_is() {
    let mut house = House::new();
    // Its own output, both streams, more than is kept; then as `/well` says.
    let line = "cat /dev/zero | tr '\\0' x | head -c 5000 >&2; echo; test -e /well";
    house.checked("ch", &["--health-cmd", line], &["sleep", "1000"]);
    house.until("ch", HEALTH, "unhealthy");
    let log = house.inspect("ch", "{{range .State.Health.Log}}{{.ExitCode}} {{len .Output}};{{end}}");
    assert!(log.starts_with("1 4096;1 4096;"), "{log}");
    assert!(house.ok(&["ps"]).contains("(unhealthy)"));
    house.ok(&["exec", "ch", "touch", "/well"]);
    house.until("ch", HEALTH, "healthy");
    assert!(house.ok(&["ps"]).contains("(healthy)"));
    house.until("ch", "{{len .State.Health.Log}} {{.State.Health.FailingStreak}}", "5 0");
    assert_eq!(house.ok(&["ps", "-q", "--filter", "health=healthy"]).lines().count(), 1);
    assert_eq!(house.ok(&["ps", "-q", "--filter", "health=none"]), "");
    let events = house.events(&["--filter", "container=ch"], "{{.Action}}");
    let told: Vec<&str> = events.lines().filter(|action| action.starts_with("health")).collect();
    assert_eq!(told, ["health_status: unhealthy", "health_status: healthy"], "{events}");
    assert!(events.contains("exec_create: /bin/sh -c cat") && events.contains("exec_die"), "{events}");

    // Paused, nobody looks; with a new engine it goes on.
    house.ok(&["pause", "ch"]);
    house.until("ch", HEALTH, "unhealthy");
    house.ok(&["unpause", "ch"]);
    house.until("ch", HEALTH, "healthy");
    house.engine.kill();
    house.engine.run();
    assert_eq!(house.inspect("ch", HEALTH), "healthy");
    house.ok(&["exec", "ch", "rm", "/well"]);
    house.until("ch", HEALTH, "unhealthy");
    house.ok(&["restart", "-t", "0", "ch"]);
    house.until("ch", "{{.State.Health.Status}} {{len .State.Health.Log}}", "unhealthy 5");
    house.ok(&["stop", "-t", "0", "ch"]);
    assert_eq!(house.inspect("ch", HEALTH), "unhealthy");
}

#[test]
fn the_images_check_holds_unless_another_is_said() {
    let house = House::new();
    house.import(&["HEALTHCHECK --interval=100ms --retries=1 CMD test -e /well"]);
    house.ok(&["run", "-d", "--name", "image", "bb", "sleep", "1000"]);
    house.until("image", HEALTH, "unhealthy");
    house.ok(&["run", "-d", "--name", "none", "--no-healthcheck", "bb", "sleep", "1000"]);
    assert_eq!(
        house.inspect("none", "{{json .Config.Healthcheck}} {{if .State.Health}}some{{else}}null{{end}}"),
        r#"{"Test":["NONE"]} null"#
    );
    house.ok(&["run", "-d", "--name", "own", "--health-cmd", "true", "bb", "sleep", "1000"]);
    house.until("own", HEALTH, "healthy");
    assert_eq!(house.inspect("own", "{{json .Config.Healthcheck}}"), r#"{"Test":["CMD-SHELL","true"]}"#);
    let status = house.ok(&["ps", "--format", "{{.Names}} {{.Status}}"]);
    assert!(status.lines().any(|line| line.starts_with("none Up") && !line.contains('(')), "{status}");
    // Not checked within its first half minute.
    house.ok(&[
        "run",
        "-d",
        "--name",
        "new",
        "--health-cmd",
        "true",
        "--health-interval",
        "30s",
        "bb",
        "sleep",
        "9",
    ]);
    assert!(house.ok(&["ps", "--filter", "name=new"]).contains("(health: starting)"));
    let (_, said) = house.fails(&["run", "--health-interval", "1us", "--health-cmd", "true", "bb", "true"]);
    assert!(said.contains("Interval in Healthcheck cannot be less than 1ms"), "{said}");
}

#[test]
fn a_check_that_hangs_is_killed_with_all_it_started() {
    let house = House::new();
    let line = "echo begun; sleep 4321 & sleep 4322";
    house.checked("slow", &["--health-timeout", "200ms", "--health-cmd", line], &["sleep", "1000"]);
    house.until("slow", HEALTH, "unhealthy");
    let last = house.inspect("slow", "{{with index .State.Health.Log 0}}{{.ExitCode}} {{.Output}}{{end}}");
    assert_eq!(last, "-1 Health check exceeded timeout (200ms): begun");
    let begun = Instant::now();
    let hung = house.ok(&["exec", "slow", "sh", "-c", "ps | grep -c 'sleep 43[2]'; true"]);
    // The one that is under way, at most.
    assert!(hung.parse::<u32>().expect("a number") <= 2, "{hung} still there");
    assert!(begun.elapsed() < crate::DEADLINE);
}

#[test]
fn probes_see_what_the_container_sees() {
    let house = House::new();
    let serve = "mkdir -p /www; echo fine > /www/live; httpd -p 127.0.0.1:8080 -h /www; sleep 1000";
    house.checked("web", &["--health-probe", "http://:8080/live"], &["sh", "-c", serve]);
    house.until("web", HEALTH, "healthy");
    assert_eq!(house.inspect("web", "{{json .Config.Healthcheck.Test}}"), r#"["PROBE","http://:8080/live"]"#);
    let said = "{{with index .State.Health.Log 0}}{{.ExitCode}} {{.Output}}{{end}}";
    house.until("web", said, "0 GET http://127.0.0.1:8080/live: 200 OK");
    // No process was needed.
    assert!(!house.events(&["--filter", "container=web"], "{{.Action}}").contains("exec"));
    house.ok(&["exec", "web", "rm", "/www/live"]);
    house.until("web", HEALTH, "unhealthy");
    house.until("web", said, "1 GET http://127.0.0.1:8080/live: 404 Not Found");

    house.checked("tcp", &["--health-probe", "tcp://:81"], &["sh", "-c", "sleep 0.5; httpd -f -p 81"]);
    house.until("tcp", HEALTH, "healthy");
    // Of another container's network there is nothing to be seen.
    house.checked("alone", &["--health-probe", "tcp://:81"], &["sleep", "1000"]);
    house.until("alone", HEALTH, "unhealthy");
    house.until("alone", said, "1 tcp://localhost:81: connection refused");

    // An absolute link stays within the container's root.
    let link = "ln -s /etc/only-here /ready; sleep 1000";
    house.checked("file", &["--health-probe", "file:///ready"], &["sh", "-c", link]);
    house.until("file", HEALTH, "unhealthy");
    house.ok(&["exec", "file", "touch", "/etc/only-here"]);
    house.until("file", HEALTH, "healthy");
    let (_, said) = house.fails(&["run", "--health-probe", "https://x/", "bb", "true"]);
    assert!(said.contains("invalid health probe \"https://x/\""), "{said}");
    let (_, said) = house.fails(&["run", "--health-probe", "tcp://:1", "--health-cmd", "true", "bb", "true"]);
    assert!(said.contains("--health-cmd conflicts with --health-probe"), "{said}");
}

#[test]
fn what_is_unhealthy_is_dealt_with_as_asked() {
    let house = House::new();
    let ill = ["--health-cmd", "false", "--stop-timeout", "0", "--health-on-failure"];
    house.checked("killed", &[&ill[..], &["kill"]].concat(), &["sleep", "1000"]);
    house.checked("stopped", &[&ill[..], &["stop"]].concat(), &["sleep", "1000"]);
    house.checked("again", &[&ill[..], &["restart"]].concat(), &["sleep", "1000"]);
    let policy = ["--health-cmd", "false", "--stop-timeout", "0", "--restart", "on-unhealthy:1"];
    house.checked("policy", &policy, &["sleep", "1000"]);
    house.until("killed", "{{.State.Status}} {{.State.ExitCode}}", "exited 137");
    house.until("stopped", "{{.State.Status}}", "exited");
    house.until("policy", "{{.State.Status}} {{.RestartCount}}", "exited 1");
    house.until("again", "{{gt .RestartCount 1}}", "true");
    let policy = "{{json .HostConfig.RestartPolicy}}";
    assert_eq!(house.inspect("policy", policy), r#"{"Name":"on-unhealthy","MaximumRetryCount":1}"#);
    assert_eq!(
        house.inspect("killed", r#"{{index .HostConfig.Annotations "wharf.health-on-failure"}}"#),
        "kill"
    );
    let (_, said) = house.fails(&["run", "--health-on-failure", "kill", "bb", "true"]);
    assert!(said.contains("cannot set on-failure action to kill without a health check"), "{said}");
}

//! Health and restart policies over fake ports and a clock that only moves when everybody waits.

use std::sync::Arc;
use std::time::Duration;

use super::{
    Container, ContainerSpec, Containers, HealthStatus, Healthcheck, RestartPolicy, Status, StopRequest,
};
use crate::container::command::Command;
use crate::flows::tests::{FakeClock, FakeExec, World, engine, spec};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);

struct House {
    world: Arc<World>,
    containers: Containers,
    root: tempfile::TempDir,
}

impl House {
    fn new() -> Self {
        let (world, root) = (Arc::<World>::default(), tempfile::tempdir().unwrap());
        FakeClock::take_over(&world);
        Self { containers: engine(&world, root.path()), world, root }
    }

    /// A container `web` that runs.
    async fn run(spec: ContainerSpec) -> Self {
        let house = Self::new();
        house.containers.create("web", spec).await.unwrap();
        house.containers.start("web").await.unwrap();
        house
    }

    async fn view(&self) -> Arc<Container> {
        self.containers.inspect("web", false).await.unwrap()
    }

    /// Waits until it is so; for how long that took on the test's clock.
    async fn until(&self, what: &str, so: impl Fn(&Container) -> bool) -> Duration {
        let begun = self.world.clock.since_epoch();
        let mut published = self.containers.core.index.find("web").unwrap().published;
        let came = tokio::select! {
            came = published.wait_for(|now| so(&now.view)) => came.is_ok(),
            () = self.sleep(HOUR * 24) => false,
        };
        assert!(came, "{what} never came: {:?}", self.view().await.state);
        self.world.clock.since_epoch() - begun
    }

    async fn sleep(&self, time: Duration) {
        self.world.clock.sleep(time).await;
    }

    async fn until_health(&self, status: HealthStatus) -> Duration {
        self.until(status.word(), |view| view.state.health.as_ref().is_some_and(|h| h.status == status)).await
    }

    async fn until_status(&self, status: Status) -> Duration {
        self.until(status.word(), |view| view.state.status == status).await
    }

    /// Actions without their details, those of execs left out.
    fn events(&self) -> Vec<String> {
        let all = self.containers.core.events.seen();
        let of_containers = all.into_iter().filter(|event| event.kind == "container");
        of_containers.map(|event| event.action).filter(|action| !action.starts_with("exec_")).collect()
    }

    fn execs(&self, execs: &[(i32, &'static str, Duration)]) {
        let execs = execs.iter().map(|&(code, output, takes)| FakeExec { code, output, takes });
        self.world.execs.lock().unwrap().extend(execs);
    }

    /// Seconds between the starts, rounded down to tenths.
    fn gaps(&self) -> Vec<f64> {
        let starts = self.world.starts.lock().unwrap().clone();
        starts.windows(2).map(|two| ((two[1] - two[0]).as_secs_f64() * 10.0).floor() / 10.0).collect()
    }
}

/// Every ten seconds, for at most five; two failures are enough.
fn checked(test: &[&str]) -> ContainerSpec {
    let healthcheck = Some(Healthcheck {
        test: test.iter().map(|word| (*word).to_owned()).collect(),
        interval_ns: 10_000_000_000,
        timeout_ns: 5_000_000_000,
        retries: 2,
        ..Healthcheck::default()
    });
    ContainerSpec { healthcheck, ..spec() }
}

fn policy(restart: RestartPolicy) -> ContainerSpec {
    let mut spec = spec();
    spec.host.restart = restart;
    spec
}

fn on_failure(action: &str) -> ContainerSpec {
    let mut spec = checked(&["CMD", "ok"]);
    spec.host.annotations.insert("wharf.health-on-failure".into(), action.into());
    spec
}

#[tokio::test]
async fn checks_come_in_their_intervals_and_are_told() {
    let house = House::run(checked(&["CMD", "curl", "x"])).await;
    let health = house.view().await.state.health.clone().unwrap();
    assert_eq!(
        (health.status, health.words(), health.log.len()),
        (HealthStatus::Starting, "health: starting", 0)
    );
    house.execs(&[(0, "fine", SECOND), (3, "no", SECOND), (4, "half", HOUR), (0, "", SECOND)]);
    // Ten seconds of waiting, one of checking.
    assert_eq!(house.until_health(HealthStatus::Healthy).await.as_secs(), 11);
    assert!(house.view().await.status_text(house.containers.core.ports.clock.now()).ends_with("(healthy)"));
    // One failure is not enough; the second takes its five seconds and no more.
    assert_eq!(house.until_health(HealthStatus::Unhealthy).await.as_secs(), 11 + 15);
    assert_eq!(house.until_health(HealthStatus::Healthy).await.as_secs(), 11);
    let health = house.view().await.state.health.clone().unwrap();
    let log: Vec<_> = health.log.iter().map(|r| (r.exit_code, r.output.as_str())).collect();
    assert_eq!(log, [(0, "fine"), (3, "no"), (-1, "Health check exceeded timeout (5s): half"), (0, "")]);
    assert_eq!(health.log[1].end.duration_since(health.log[1].start).as_secs(), 1);
    let told =
        ["create", "start", "health_status: healthy", "health_status: unhealthy", "health_status: healthy"];
    assert_eq!(house.events(), told);
    // An exec that cannot be started is a failure with its reason.
    house.until("a failure", |view| view.state.health.as_ref().is_some_and(|h| h.failing_streak == 1)).await;
    let last = house.view().await.state.health.clone().unwrap().log.pop().unwrap();
    assert_eq!(last.exit_code, -1);
    assert!(last.output.contains("no execs here"), "{last:?}");
    assert!(house.containers.core.execs.of_container(&house.view().await.id).is_empty());
}

#[tokio::test]
async fn a_check_rests_in_a_pause_and_goes_on_after_a_restart_of_the_engine() {
    let house = House::run(checked(&["CMD", "ok"])).await;
    house.execs(&[(0, "", SECOND), (0, "", HOUR)]);
    house.until_health(HealthStatus::Healthy).await;
    // In the middle of the second: it is killed, and its result is nobody's.
    house.sleep(SECOND * 11).await;
    assert_eq!(house.containers.core.execs.of_container(&house.view().await.id).len(), 1);
    house.containers.pause("web").await.unwrap();
    house.until_health(HealthStatus::Unhealthy).await;
    house.sleep(HOUR).await;
    assert_eq!(*house.world.killed_execs.lock().unwrap(), 1);
    assert_eq!(house.view().await.state.health.as_ref().unwrap().log.len(), 1);
    assert!(!house.events().contains(&"health_status: unhealthy".to_owned()));
    house.execs(&[(0, "", SECOND)]);
    house.containers.unpause("web").await.unwrap();
    assert_eq!(house.until_health(HealthStatus::Healthy).await.as_secs(), 11);

    house.execs(&[(1, "", SECOND), (1, "", SECOND)]);
    let next = House { containers: engine(&house.world, house.root.path()), ..house };
    crate::flows::tests::boot(&next.containers).await.unwrap();
    let health = next.view().await.state.health.clone().unwrap();
    assert_eq!((health.status, health.log.len()), (HealthStatus::Healthy, 2), "as it was");
    next.until_health(HealthStatus::Unhealthy).await;
}

#[tokio::test]
async fn what_is_unhealthy_is_killed_stopped_or_restarted_as_asked() {
    for (action, events) in [
        ("kill", &["kill", "die"][..]),
        ("stop", &["kill", "die", "stop"]),
        ("restart", &["kill", "die", "stop", "start", "restart"]),
    ] {
        let house = House::run(on_failure(action)).await;
        house.execs(&[(1, "", SECOND), (1, "", SECOND)]);
        if action == "restart" {
            house.until("a restart", |view| view.restart_count == 1).await;
            assert_eq!(house.view().await.state.status, Status::Running);
            assert_eq!(house.view().await.state.health.as_ref().unwrap().status, HealthStatus::Starting);
        } else {
            house.until_status(Status::Exited).await;
        }
        house.sleep(SECOND).await;
        let mut wanted = vec!["create", "start", "health_status: unhealthy"];
        wanted.extend(events);
        assert_eq!(house.events(), wanted, "{action}");
        assert_eq!(house.view().await.stopped_by_user, action == "stop");
    }
    // A kill is not a person's, so a policy brings it back; a stop is final.
    for (action, comes_back) in [("kill", true), ("stop", false)] {
        let mut spec = on_failure(action);
        spec.host.restart = RestartPolicy::Always;
        let house = House::run(spec).await;
        house.execs(&[(1, "", SECOND), (1, "", SECOND)]);
        house.until("its end", |view| view.state.finished_at.is_some()).await;
        house.sleep(SECOND).await;
        assert_eq!(house.view().await.state.is_running(), comes_back, "{action}");
    }
}

#[tokio::test]
async fn unhealthy_is_a_failure_for_its_own_policy() {
    let mut spec = checked(&["CMD", "ok"]);
    spec.host.restart = RestartPolicy::OnUnhealthy { max_retries: 1 };
    let house = House::run(spec).await;
    house.execs(&[(1, "", SECOND); 4]);
    house.until("a restart", |view| view.restart_count == 1).await;
    house.until_status(Status::Running).await;
    house.until_status(Status::Exited).await;
    house.sleep(HOUR).await;
    assert_eq!((house.view().await.state.status, house.view().await.restart_count), (Status::Exited, 1));

    let refused = House::new();
    let mut unchecked = policy(RestartPolicy::OnUnhealthy { max_retries: 0 });
    let error = refused.containers.create("web", unchecked.clone()).await.unwrap_err();
    assert_eq!(error.message, "invalid restart policy: 'on-unhealthy' needs a health check");
    unchecked.host.restart = RestartPolicy::No;
    unchecked.host.annotations.insert("wharf.health-on-failure".into(), "kill".into());
    let error = refused.containers.create("web", unchecked).await.unwrap_err();
    assert_eq!(error.message, "cannot set on-failure action to kill without a health check");
    let error = refused.containers.create("web", on_failure("explode")).await.unwrap_err();
    assert!(error.message.starts_with("invalid health on-failure action \"explode\""), "{error}");
    let error = refused.containers.create("web", checked(&["PROBE", "ftp://x"])).await.unwrap_err();
    assert!(error.message.starts_with("invalid health probe \"ftp://x\""), "{error}");
}

#[tokio::test]
async fn a_restart_waits_twice_as_long_each_time_and_again_little_after_a_good_run() {
    let house = House::new();
    *house.world.life.lock().unwrap() = Some((0, Duration::ZERO));
    house.containers.create("web", policy(RestartPolicy::Always)).await.unwrap();
    house.containers.start("web").await.unwrap();
    house.until("twelve restarts", |view| view.restart_count == 12).await;
    house.sleep(SECOND * 61).await;
    let gaps = house.gaps();
    assert_eq!(gaps[..12], [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 60.0, 60.0]);
    // One that has run for ten seconds begins anew.
    *house.world.life.lock().unwrap() = Some((0, SECOND * 10));
    let before = house.gaps().len();
    let starts = || house.world.starts.lock().unwrap().len();
    while starts() < before + 5 {
        house.sleep(SECOND).await;
    }
    assert_eq!(house.gaps()[before + 1..before + 3], [10.1, 10.1]);
}

/// By hand, by NTP, by a machine that was suspended. How long something ran is not what two clock times say.
#[tokio::test]
async fn steps_of_the_wall_clock_change_neither_back_off_nor_health() {
    let hour = jiff::SignedDuration::from_hours(1);
    let house = House::new();
    let set = |by: jiff::SignedDuration| *house.world.clock.step.lock().unwrap() += by;
    *house.world.life.lock().unwrap() = Some((1, Duration::from_millis(20)));
    house.containers.create("web", policy(RestartPolicy::Always)).await.unwrap();
    house.containers.start("web").await.unwrap();
    for count in 1..=7 {
        house.until("a process", |view| view.restart_count == count - 1 && view.state.pid != 0).await;
        // While it runs: it does not look as if it had run for an hour, and so no wait begins anew.
        set(hour);
        house.until("a restart", |view| view.restart_count >= count).await;
    }
    house.until("the last one", |view| view.restart_count == 7 && view.state.pid != 0).await;
    assert_eq!(house.gaps()[..7], [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4]);
    // And one that did run for long did so although the clock was set back.
    *house.world.life.lock().unwrap() = Some((1, SECOND * 20));
    house.until("a long run", |view| view.restart_count == 8 && view.state.pid != 0).await;
    set(-hour * 9);
    house.until("its restart", |view| view.restart_count == 9 && view.state.pid != 0).await;
    assert_eq!(*house.gaps().last().unwrap(), 20.1);

    // A start period is over when it is over.
    for step in [hour, -hour] {
        let mut spec = checked(&["CMD", "check"]);
        spec.healthcheck.as_mut().unwrap().start_period_ns = 60_000_000_000;
        let house = House::new();
        house.execs(&[(1, "", Duration::ZERO); 20]);
        house.containers.create("web", spec).await.unwrap();
        house.containers.start("web").await.unwrap();
        *house.world.clock.step.lock().unwrap() += step;
        let took = house.until_health(HealthStatus::Unhealthy).await;
        assert!(took > SECOND * 60 && took < SECOND * 100, "{took:?} after a step of {step:?}");
    }
}

#[tokio::test]
async fn policies_decide_by_exit_code_and_count() {
    use RestartPolicy::{Always, No, OnFailure, UnlessStopped};
    for (restart, code, restarts) in [
        (No, 1, 0),
        (OnFailure { max_retries: 0 }, 0, 0),
        (OnFailure { max_retries: 3 }, 1, 3),
        (OnFailure { max_retries: 0 }, 1, u32::MAX),
        (Always, 0, u32::MAX),
        (UnlessStopped, 0, u32::MAX),
    ] {
        let house = House::new();
        *house.world.life.lock().unwrap() = Some((code, Duration::ZERO));
        house.containers.create("web", policy(restart.clone())).await.unwrap();
        house.containers.start("web").await.unwrap();
        house.sleep(SECOND * 20).await;
        let count = house.view().await.restart_count;
        match restarts {
            // 0.1 + 0.2 + ... + 12.8 = 25.5, of which seven begin within 20 seconds and one waits.
            u32::MAX => assert_eq!(count, 8, "{restart:?}"),
            restarts => {
                assert_eq!(count, restarts, "{restart:?}");
                assert_eq!(house.view().await.state.status, Status::Exited, "{restart:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_stop_while_it_waits_ends_the_waiting() {
    let house = House::new();
    *house.world.life.lock().unwrap() = Some((7, Duration::ZERO));
    house.containers.create("web", policy(RestartPolicy::Always)).await.unwrap();
    house.containers.start("web").await.unwrap();
    house.until("a long wait", |v| v.restart_count == 8 && v.state.status == Status::Restarting).await;
    house.containers.stop("web", StopRequest::default()).await.unwrap();
    let state = house.view().await.state.clone();
    assert_eq!((state.status, state.exit_code), (Status::Exited, 7));
    house.sleep(HOUR).await;
    assert_eq!(house.view().await.state.status, Status::Exited);
    // A person's start begins counting anew.
    house.containers.start("web").await.unwrap();
    assert_eq!(house.view().await.restart_count, 0);
}

#[tokio::test]
async fn policies_hold_over_a_restart_of_the_engine() {
    use RestartPolicy::{Always, No, OnFailure, UnlessStopped};
    for (restart, stopped, back) in [
        (No, false, false),
        (Always, false, true),
        (Always, true, true),
        (UnlessStopped, false, true),
        (UnlessStopped, true, false),
        (OnFailure { max_retries: 0 }, false, true),
        (OnFailure { max_retries: 0 }, true, false),
    ] {
        let house = House::run(policy(restart.clone())).await;
        if stopped {
            house.containers.stop("web", StopRequest::default()).await.unwrap();
        }
        // The machine goes down: neither process nor monitor is left.
        house.world.processes.lock().unwrap().clear();
        let next = House { containers: engine(&house.world, house.root.path()), ..house };
        crate::flows::tests::boot(&next.containers).await.unwrap();
        next.sleep(SECOND).await;
        assert_eq!(next.view().await.state.is_running(), back, "{restart:?}, stopped: {stopped}");
    }
}

/// After a boot, what it links to may have been seen alive and be dying: then both come again.
#[tokio::test]
async fn a_restart_waits_for_what_it_links_to_also_when_that_ends_in_that_moment() {
    // Real time: what happens in between is the matter.
    let (world, root) = (Arc::<World>::default(), tempfile::tempdir().unwrap());
    let house = House { containers: engine(&world, root.path()), world, root };
    let containers = &house.containers;
    containers.create("db", policy(RestartPolicy::Always)).await.unwrap();
    let mut web = policy(RestartPolicy::Always);
    web.host.links = vec!["db".into()];
    containers.create("web", web).await.unwrap();
    let published = |name: &str| containers.core.index.find(name).unwrap().published;
    let end = |name: &str| {
        let id = containers.core.index.find(name).unwrap().view().id.clone();
        house.world.processes.lock().unwrap()[&id].send_replace(Some(1));
    };
    containers.start("db").await.unwrap();
    containers.start("web").await.unwrap();
    // Its waits get longer, so that there is time for what follows.
    for count in 1..=2 {
        end("db");
        published("db")
            .wait_for(|now| now.view.restart_count == count && now.view.state.pid != 0)
            .await
            .unwrap();
    }
    end("web");
    published("web").wait_for(|now| now.view.state.status == Status::Restarting).await.unwrap();
    // A client that is just coming holds the start between its looks at `db`.
    let (coming, client) = tokio::sync::oneshot::channel();
    let web = containers.core.index.find("web").unwrap();
    web.commands.send(Command::AttachAtStart(client)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(published("web").borrow().view.state.pid, 0, "it waits for the client");
    end("db");
    published("db").wait_for(|now| now.view.state.status == Status::Restarting).await.unwrap();
    drop(coming);
    let mut comes = published("web");
    let came =
        tokio::time::timeout(Duration::from_secs(10), comes.wait_for(|now| now.view.state.pid != 0)).await;
    assert_eq!(came.expect("it starts again").unwrap().view.restart_count, 1);
    assert_ne!(published("db").borrow().view.state.pid, 0);
}

#[tokio::test]
async fn who_signals_it_may_not_want_it_back() {
    use RestartPolicy::{Always, UnlessStopped};
    for (restart, own, signal, back) in [
        (Always, None, "HUP", false),
        (Always, Some("QUIT"), "HUP", true),
        (Always, Some("QUIT"), "QUIT", false),
        (Always, Some("QUIT"), "KILL", false),
        (UnlessStopped, Some("QUIT"), "HUP", false),
    ] {
        let mut spec = policy(restart.clone());
        spec.stop_signal = own.map(str::to_owned);
        let house = House::run(spec).await;
        house.containers.kill("web", signal).await.unwrap();
        house.until("its end", |view| view.state.finished_at.is_some()).await;
        house.sleep(SECOND).await;
        assert_eq!(house.view().await.state.is_running(), back, "{restart:?} {own:?} {signal}");
        // Until a person starts it.
        if !back {
            house.containers.start("web").await.unwrap();
            let id = house.view().await.id.clone();
            house.world.processes.lock().unwrap()[&id].send_replace(Some(1));
            house.until("its next start", |view| view.restart_count == 1 && view.state.pid != 0).await;
        }
    }
}

//! What a client is told by signals, the process is told.

use rustix::process::Signal;

use crate::{House, eventually};

const TELLS: &str = "trap 'echo got-usr1' USR1; trap 'echo got-hup' HUP; trap 'echo got-term; exit 9' TERM; \
                     echo ready; while :; do sleep 0.05; done";

#[test]
fn signals_reach_the_process() {
    let house = House::new();
    house.ok(&["create", "--name", "box", "bb", "sh", "-c", TELLS]);
    for words in [
        &["run", "--rm", "bb", "sh", "-c", TELLS][..],
        &["run", "--rm", "-t", "bb", "sh", "-c", TELLS],
        &["start", "-a", "box"],
    ] {
        let mut terminal = house.terminal(words);
        terminal.expect("ready");
        terminal.signal(Signal::USR1);
        terminal.expect("got-usr1");
        terminal.signal(Signal::HUP);
        terminal.expect("got-hup");
        terminal.signal(Signal::TERM);
        terminal.expect("got-term");
        assert_eq!(terminal.end(), 9, "{words:?}");
    }
    house.ok(&["start", "box"]);
    assert!(eventually(|| house.ok(&["logs", "-n", "1", "box"]) == "ready"));
    let mut terminal = house.terminal(&["attach", "box"]);
    // It is attached when the first signal shows its answer.
    let mut heard = false;
    assert!(
        eventually(|| {
            heard = heard || house.ok(&["logs", "-n", "1", "box"]) == "got-usr1";
            if !heard {
                house.ok(&["kill", "-s", "USR1", "box"]);
            }
            heard
        }),
        "{}",
        house.engine.log()
    );
    terminal.expect("got-usr1");
    terminal.signal(Signal::TERM);
    terminal.expect("got-term");
    assert_eq!(terminal.end(), 9);
}

#[test]
fn without_the_proxy_a_signal_is_for_the_client() {
    let house = House::new();
    let mut terminal =
        house.terminal(&["run", "--sig-proxy=false", "--name", "box", "bb", "sh", "-c", TELLS]);
    terminal.expect("ready");
    terminal.signal(Signal::TERM);
    assert_eq!(terminal.end(), 143);
    assert!(house.is_running("box"));
    // What had been passed on would be there before this.
    house.ok(&["kill", "-s", "USR1", "box"]);
    assert!(eventually(|| house.ok(&["logs", "box"]) == "ready\ngot-usr1"), "{}", house.ok(&["logs", "box"]));
}

#[test]
fn a_question_that_is_interrupted_ends_the_command_and_does_nothing() {
    let house = House::new();
    house.ok(&["create", "--name", "stays", "bb", "true"]);
    house.ok(&["network", "create", "stays"]);
    for words in [
        &["container", "prune"][..],
        &["network", "prune"],
        &["volume", "prune"],
        &["image", "prune"],
        &["system", "prune"],
    ] {
        for signal in [Signal::INT, Signal::TERM] {
            let mut terminal = house.terminal(words);
            terminal.expect("[y/N] ");
            terminal.signal(signal);
            terminal.expect("\n");
            assert_eq!(terminal.end(), 0, "{words:?}");
        }
    }
    house.ok(&["container", "inspect", "stays"]);
    house.ok(&["network", "inspect", "stays"]);
}

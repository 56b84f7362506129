//! The same for several containers, many at a time or not, told in the order in which they were named.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::Poll;

/// As many as Docker's client asks for at a time.
pub(crate) const MANY: usize = 50;

enum Turn<F: Future> {
    Running(Pin<Box<F>>),
    Done(F::Output),
}

/// Calls `act` for each name, for `at_once` at a time, and `tell` with what came of it; what runs is dropped when `tell`
/// breaks off.
pub(super) async fn each<'a, F: Future>(
    names: &'a [String],
    at_once: usize,
    mut act: impl FnMut(&'a str) -> F,
    mut tell: impl FnMut(&'a str, F::Output) -> ControlFlow<()>,
) {
    let mut waiting = names.iter();
    // From the first that has not been told of.
    let mut turns: VecDeque<(&'a str, Turn<F>)> = VecDeque::new();
    let mut running = 0;
    poll_fn(|context| {
        loop {
            while running < at_once
                && let Some(name) = waiting.next()
            {
                turns.push_back((name, Turn::Running(Box::pin(act(name)))));
                running += 1;
            }
            let before = running;
            for (_, turn) in &mut turns {
                if let Turn::Running(future) = turn
                    && let Poll::Ready(output) = future.as_mut().poll(context)
                {
                    *turn = Turn::Done(output);
                    running -= 1;
                }
            }
            while let Some((name, turn)) = turns.pop_front() {
                match turn {
                    Turn::Running(_) => {
                        turns.push_front((name, turn));
                        break;
                    }
                    Turn::Done(output) => {
                        if tell(name, output).is_break() {
                            return Poll::Ready(());
                        }
                    }
                }
            }
            if turns.is_empty() && waiting.len() == 0 {
                return Poll::Ready(());
            }
            // Without room for another there is nothing to do until somebody is woken.
            if running == before || waiting.len() == 0 {
                return Poll::Pending;
            }
        }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::time::Duration;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|n| n.to_string()).collect()
    }

    #[tokio::test]
    async fn many_take_as_long_as_one_and_are_told_in_order() {
        let (names, told) = (names(120), RefCell::new(Vec::new()));
        let begin = std::time::Instant::now();
        let act = async |name: &str| {
            let number: u64 = name.parse().unwrap();
            // The first of each fifty takes longest.
            tokio::time::sleep(Duration::from_millis(200 - number % 50)).await;
            number
        };
        each(&names, MANY, act, |name, number| {
            told.borrow_mut().push((name.to_owned(), number));
            ControlFlow::Continue(())
        })
        .await;
        let expected: Vec<_> = (0..120).map(|n| (n.to_string(), n)).collect();
        assert_eq!(told.into_inner(), expected);
        // One after the other it would be twenty seconds.
        assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    }

    #[tokio::test]
    async fn one_at_a_time_begins_after_the_one_before_was_told_of() {
        let (names, log) = (names(3), RefCell::new(Vec::new()));
        let act = async |name: &str| {
            log.borrow_mut().push(format!("begin {name}"));
            tokio::task::yield_now().await;
        };
        each(&names, 1, act, |name, ()| {
            log.borrow_mut().push(format!("told {name}"));
            ControlFlow::Continue(())
        })
        .await;
        assert_eq!(log.into_inner(), ["begin 0", "told 0", "begin 1", "told 1", "begin 2", "told 2"]);
    }

    #[tokio::test]
    async fn what_is_broken_off_is_not_told_of() {
        let (names, mut told) = (names(3), Vec::new());
        each(
            &names,
            MANY,
            async |name| name.to_owned(),
            |_, output| {
                told.push(output);
                if told.len() == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            },
        )
        .await;
        assert_eq!(told, ["0", "1"]);
        each(&[], MANY, async |_| (), |_, ()| ControlFlow::Continue(())).await;
    }
}

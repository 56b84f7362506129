//! What [`sys::process::vfork`] promises, in a process with one thread.

use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};

use rustix::process::{WaitId, WaitIdOptions, waitid};
use rustix::thread::gettid;
use sys::process::{CloneFlags, Cloned, clone3, exit_now, vfork};

fn main() {
    shares_memory_and_nothing_else();
    may_copy_itself();
    leaves_the_callers_stack_alone();
    refuses_threads();
}

fn shares_memory_and_nothing_else() {
    let (mut reader, writer) = std::io::pipe().expect("pipe");
    let parent = gettid();
    let (mut seen, mut closed) = (None, false);
    let child = vfork(None, &mut || {
        seen = Some(gettid());
        // In its own table: the caller's end stays open.
        closed = sys::fd::close_except(&[writer.as_raw_fd()]).is_ok();
        let _ = rustix::process::chdir("/proc");
    })
    .expect("vfork");
    assert!(seen.is_some_and(|child| child != parent), "the child's memory is the caller's");
    assert!(closed);
    let status =
        waitid(WaitId::PidFd(child.as_fd()), WaitIdOptions::EXITED).expect("waitid").expect("a status");
    assert_eq!(status.exit_status(), Some(0));
    assert_ne!(std::env::current_dir().expect("getcwd"), std::path::Path::new("/proc"));
    (&writer).write_all(b"x").expect("the caller's descriptors are open");
    let mut byte = [0];
    reader.read_exact(&mut byte).expect("read");
    assert_eq!(&byte, b"x");
}

/// As a stage does: its own child lives on, in memory of its own, as the caller's child.
fn may_copy_itself() {
    let (mut reader, writer) = std::io::pipe().expect("pipe");
    let mut shared = 1;
    let mut grandchild = None;
    let child = vfork(None, &mut || match clone3(CloneFlags::PARENT, None) {
        Ok(Cloned::Child) => {
            shared = 2;
            let _ = (&writer).write_all(b"grandchild");
            exit_now(7)
        }
        Ok(Cloned::Parent { pid, .. }) => grandchild = Some(pid),
        Err(_) => {}
    })
    .expect("vfork");
    let pid = grandchild.expect("a grandchild");
    let status = waitid(WaitId::Pid(pid), WaitIdOptions::EXITED).expect("waitid").expect("a status");
    assert_eq!(status.exit_status(), Some(7), "it is the caller's to reap");
    waitid(WaitId::PidFd(child.as_fd()), WaitIdOptions::EXITED).expect("waitid");
    drop(writer);
    let mut told = String::new();
    reader.read_to_string(&mut told).expect("read");
    assert_eq!(told, "grandchild");
    assert_eq!(std::hint::black_box(shared), 1);
}

/// The child calls deeper than anything that the caller still needs.
fn leaves_the_callers_stack_alone() {
    fn deep(level: u32) -> u64 {
        let filler = std::hint::black_box([u64::from(level); 64]);
        if level == 0 { filler[0] } else { deep(level - 1) + filler[63] }
    }
    let before: Vec<u64> = (0..64).collect();
    let local = std::hint::black_box([7_u64; 64]);
    let mut sum = 0;
    for _ in 0..100 {
        let child = vfork(None, &mut || sum += deep(100)).expect("vfork");
        waitid(WaitId::PidFd(child.as_fd()), WaitIdOptions::EXITED).expect("waitid");
    }
    assert_eq!(sum, 100 * 5050);
    assert_eq!(before.iter().sum::<u64>(), 2016);
    assert_eq!(local, [7; 64]);
}

fn refuses_threads() {
    let (ask, asked) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || asked.recv());
    let refused = vfork(None, &mut || {}).expect_err("a second thread runs");
    assert_eq!(refused.raw_os_error(), Some(rustix::io::Errno::DEADLK.raw_os_error()));
    drop(ask);
    let _ = thread.join();
}

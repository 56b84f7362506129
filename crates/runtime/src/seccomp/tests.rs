//! The compiler against the rules it compiles: an interpreter of classic BPF runs the program for every
//! number, and a plain reading of the rules says what should come out.

mod install;

use std::collections::BTreeSet;

use oci::runtime::{Action, Arch, ArgRule, LinuxSeccomp, Operator, SyscallRule};

use super::arch::{X32_BIT, multiplexed};
use super::syscalls::TABLE;
use super::{Abi, Filter, Host, Profile, compile_for, default_profile};

const ALLOW: u32 = 0x7fff_0000;
const ERRNO: u32 = 0x0005_0000;
const KILL: u32 = 0;
const ENOSYS: u32 = 38;

/// A program taken apart once, to be run many times.
struct Machine(Vec<(u16, usize, usize, u32)>);

impl Machine {
    fn new(filter: &Filter) -> Machine {
        let decode = |i: &[u8]| {
            let code = u16::from_ne_bytes([i[0], i[1]]);
            (code, usize::from(i[2]), usize::from(i[3]), u32::from_ne_bytes([i[4], i[5], i[6], i[7]]))
        };
        Machine(filter.program().chunks(8).map(decode).collect())
    }

    /// Runs it as the kernel does, for the instructions that a filter may hold.
    fn run(&self, audit: u32, number: u32, args: [u64; 6]) -> u32 {
        let word = |offset: u32| match offset {
            0 => number,
            4 => audit,
            16..64 => {
                let arg = args[(offset as usize - 16) / 8].to_ne_bytes();
                let at = offset as usize % 8;
                u32::from_ne_bytes([arg[at], arg[at + 1], arg[at + 2], arg[at + 3]])
            }
            other => panic!("load from {other}"),
        };
        let (mut at, mut a) = (0, 0u32);
        loop {
            let (code, jt, jf, k) = self.0[at];
            let branch = |holds: bool| if holds { jt } else { jf };
            at += 1;
            match code {
                0x20 => a = word(k),
                0x54 => a &= k,
                0x05 => at += k as usize,
                0x15 => at += branch(a == k),
                0x25 => at += branch(a > k),
                0x35 => at += branch(a >= k),
                0x06 => return k,
                other => panic!("instruction {other:#x} at {}", at - 1),
            }
        }
    }
}

fn run(filter: &Filter, audit: u32, number: u32, args: [u64; 6]) -> u32 {
    Machine::new(filter).run(audit, number, args)
}

fn value(action: Action, errno: Option<u32>) -> u32 {
    match action {
        Action::Allow => ALLOW,
        Action::Errno => ERRNO | errno.unwrap_or(1),
        Action::Kill | Action::KillThread => KILL,
        Action::KillProcess => 0x8000_0000,
        Action::Trap => 0x0003_0000,
        Action::Trace => 0x7ff0_0000 | errno.unwrap_or(1),
        Action::Log => 0x7ffc_0000,
        Action::Notify => 0x7fc0_0000,
    }
}

fn holds(arg: &ArgRule, args: [u64; 6], narrow: bool) -> bool {
    let cut = |v: u64| if narrow { v & 0xffff_ffff } else { v };
    let (a, v, v2) = (cut(args[arg.index as usize]), cut(arg.value), cut(arg.value_two));
    match arg.op {
        Operator::NotEqual => a != v,
        Operator::LessThan => a < v,
        Operator::LessEqual => a <= v,
        Operator::Equal => a == v,
        Operator::GreaterEqual => a >= v,
        Operator::GreaterThan => a > v,
        Operator::MaskedEqual => a & v == v2,
    }
}

/// The rules that concern one number, read plainly.
struct Reading<'s> {
    default: u32,
    unknown: bool,
    always: Option<u32>,
    /// Tests, and the call that comes through a multiplexer, if it does.
    conditional: Vec<(&'s [ArgRule], Option<u64>, u32)>,
    narrow: bool,
}

impl<'s> Reading<'s> {
    fn new(seccomp: &'s LinuxSeccomp, abi: Abi, number: u32, newest: Option<u32>) -> Reading<'s> {
        let default = value(seccomp.default_action, seccomp.default_errno_ret);
        let unknown = default != ALLOW && default != ERRNO | ENOSYS && newest.is_some_and(|n| number > n);
        let mut reading =
            Reading { default, unknown, always: None, conditional: Vec::new(), narrow: abi.narrow() };
        for rule in &seccomp.syscalls {
            let answer = value(rule.action, rule.errno_ret);
            if answer == default {
                continue;
            }
            for name in &rule.names {
                if abi.number(name) == Some(number) {
                    if rule.args.is_empty() {
                        reading.always = reading.always.or(Some(answer));
                    } else {
                        reading.conditional.push((&rule.args, None, answer));
                    }
                }
                if let Some((door, call)) = multiplexed(name)
                    && abi == Abi::X86
                    && rule.args.is_empty()
                    && abi.number(door) == Some(number)
                {
                    reading.conditional.push((&[], Some(call), answer));
                }
            }
        }
        reading
    }

    fn answer(&self, args: [u64; 6]) -> u32 {
        if self.unknown {
            return ERRNO | ENOSYS;
        }
        if let Some(answer) = self.always {
            return answer;
        }
        self.conditional
            .iter()
            .find(|(tests, call, _)| {
                call.is_none_or(|c| args[0] == c) && tests.iter().all(|t| holds(t, args, self.narrow))
            })
            .map_or(self.default, |(_, _, answer)| *answer)
    }
}

/// Numbers around everything any table names, and the edges.
fn numbers(abi: Abi) -> BTreeSet<u32> {
    let mut numbers: BTreeSet<u32> = (0..1200).collect();
    for (name, _) in &TABLE {
        numbers.extend(abi.number(name).into_iter().flat_map(|n| [n.saturating_sub(1), n, n + 1]));
    }
    if abi == Abi::X32 {
        numbers = numbers.into_iter().map(|n| n | X32_BIT).collect();
        numbers.extend([u32::MAX, u32::MAX - 1]);
    }
    numbers
}

/// Values next to everything that the rules compare with.
fn arguments(seccomp: &LinuxSeccomp) -> Vec<[u64; 6]> {
    let mut interesting = BTreeSet::from([0, 1, u64::MAX, 1 << 32]);
    for arg in seccomp.syscalls.iter().flat_map(|r| &r.args) {
        for v in [arg.value, arg.value_two] {
            interesting.extend([v, v.wrapping_add(1), v.wrapping_sub(1), v | 1 << 32, v ^ 1 << 63, !v]);
        }
    }
    let mut all = Vec::new();
    for a in &interesting {
        all.push([*a, 0, 0, 0, 0, 0]);
        all.push([0, *a, 0, 0, 0, 0]);
        all.push([*a; 6]);
        all.push([*a, 7, *a, 7, *a, 7]);
    }
    all
}

fn equivalent(seccomp: &LinuxSeccomp, native: Abi, abis: &[Abi]) -> Filter {
    let filter = compile_for(seccomp, native).unwrap();
    let machine = Machine::new(&filter);
    let arguments = arguments(seccomp);
    for abi in abis {
        let newest = seccomp.syscalls.iter().flat_map(|r| &r.names).filter_map(|n| abi.number(n)).max();
        for number in numbers(*abi) {
            let reading = Reading::new(seccomp, *abi, number, newest);
            // Where no rule looks at arguments, two sets of them show that the program does not either.
            let sets = if reading.conditional.is_empty() { 2.min(arguments.len()) } else { arguments.len() };
            for args in &arguments[..sets] {
                let args = if abi.narrow() { args.map(|a| a & 0xffff_ffff) } else { *args };
                let (got, want) = (machine.run(abi.audit(), number, args), reading.answer(args));
                assert_eq!(got, want, "{abi:?} number {number} arguments {args:x?}");
            }
        }
    }
    filter
}

fn rule(
    names: &[&str],
    action: Action,
    errno: Option<u32>,
    args: &[(u32, Operator, u64, u64)],
) -> SyscallRule {
    SyscallRule {
        names: names.iter().map(|n| (*n).to_owned()).collect(),
        action,
        errno_ret: errno,
        args: args
            .iter()
            .map(|(index, op, value, value_two)| ArgRule {
                index: *index,
                op: *op,
                value: *value,
                value_two: *value_two,
            })
            .collect(),
    }
}

fn seccomp(default: Action, architectures: &[Arch], syscalls: Vec<SyscallRule>) -> LinuxSeccomp {
    LinuxSeccomp {
        default_action: default,
        default_errno_ret: None,
        architectures: architectures.to_vec(),
        flags: Vec::new(),
        listener_path: String::new(),
        listener_metadata: String::new(),
        syscalls,
    }
}

const DOCKER_CAPABILITIES: [&str; 14] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_RAW",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

const PC: Host = Host { abi: Abi::X86_64, kernel: (6, 18) };

#[test]
fn the_table_is_sorted_and_agrees_with_the_c_library() {
    assert!(TABLE.is_sorted_by(|a, b| a.0 < b.0));
    assert_eq!(Abi::X86_64.number("read"), Some(0));
    assert_eq!(Abi::X86.number("read"), Some(3));
    assert_eq!(Abi::X32.number("ioctl"), Some(514 | X32_BIT));
    assert_eq!(Abi::Aarch64.number("openat2"), Some(437));
    assert_eq!(Abi::Arm.number("set_tls"), Some(0xf_0005));
    assert_eq!(Abi::X86_64.number("file_setattr"), Some(469));
    assert_eq!(Abi::X86_64.number("no_such_call"), None);
}

#[test]
fn the_default_profile_is_dockers() {
    let file = include_bytes!("../../tests/data/seccomp-default.json");
    let theirs = Profile::parse(file).unwrap();
    let ours = default_profile();
    let head = |p: &Profile| (p.default_action, p.default_errno_ret, p.arch_map.clone(), p.flags.clone());
    assert_eq!(head(ours), head(&theirs));
    // The same rules, in whatever order.
    let lines = |p: &Profile| -> BTreeSet<String> {
        let text = |rule: &super::profile::Rule| {
            let mut rule = rule.clone();
            rule.names.sort_unstable();
            serde_json::to_string(&rule).unwrap()
        };
        p.syscalls.iter().map(text).collect()
    };
    assert_eq!(lines(ours), lines(&theirs));
}

#[test]
fn the_default_profile_compiles_to_what_it_says() {
    for (capabilities, host, abis) in [
        (&DOCKER_CAPABILITIES[..], PC, &[Abi::X86_64, Abi::X86, Abi::X32][..]),
        (&["CAP_SYS_ADMIN", "CAP_SYS_TIME"][..], PC, &[Abi::X86_64, Abi::X86, Abi::X32][..]),
        (&DOCKER_CAPABILITIES[..], Host { abi: Abi::Aarch64, kernel: (6, 1) }, &[Abi::Aarch64, Abi::Arm][..]),
        (&DOCKER_CAPABILITIES[..], Host { abi: Abi::Riscv64, kernel: (6, 1) }, &[Abi::Riscv64][..]),
    ] {
        let resolved = default_profile().resolve(capabilities, host).unwrap();
        let filter = equivalent(&resolved, host.abi, abis);
        let length = filter.program().len() / 8;
        assert!(length < 400, "{length} instructions for {host:?}");
    }
}

#[test]
fn the_default_profile_grows_with_capabilities() {
    let answer = |capabilities: &[&str], name: &str| {
        let filter = compile_for(&default_profile().resolve(capabilities, PC).unwrap(), Abi::X86_64).unwrap();
        run(&filter, Abi::X86_64.audit(), Abi::X86_64.number(name).unwrap(), [0; 6])
    };
    assert_eq!(answer(&[], "mount"), ERRNO | 1);
    assert_eq!(answer(&["CAP_SYS_ADMIN"], "mount"), ALLOW);
    assert_eq!(answer(&[], "clone3"), ERRNO | ENOSYS);
    assert_eq!(answer(&["CAP_SYS_ADMIN"], "clone3"), ALLOW);
    assert_eq!(answer(&[], "chroot"), ERRNO | 1);
    assert_eq!(answer(&["CAP_SYS_CHROOT"], "chroot"), ALLOW);
    assert_eq!(answer(&[], "ptrace"), ALLOW);
}

#[test]
fn every_operator_compares_all_64_bits() {
    use Operator::{Equal, GreaterEqual, GreaterThan, LessEqual, LessThan, MaskedEqual, NotEqual};
    let wide = 0x5_0000_0003u64;
    let mut syscalls = Vec::new();
    for (i, op) in [NotEqual, LessThan, LessEqual, Equal, GreaterEqual, GreaterThan].into_iter().enumerate() {
        let names = ["read", "write", "open", "close", "stat", "fstat"];
        syscalls.push(rule(&[names[i]], Action::Allow, None, &[(0, op, wide, 0)]));
    }
    syscalls.push(rule(&["lseek"], Action::Allow, None, &[(0, MaskedEqual, 0xf_0000_00f0, 0x5_0000_0030)]));
    syscalls.push(rule(&["mmap"], Action::Allow, None, &[(0, MaskedEqual, 0xf0, 0x30)]));
    syscalls.push(rule(&["brk"], Action::Allow, None, &[(0, MaskedEqual, 0xf0, 0x31)]));
    let s = seccomp(Action::Errno, &[Arch::X86], syscalls);
    equivalent(&s, Abi::X86_64, &[Abi::X86_64, Abi::X86]);
}

#[test]
fn several_tests_are_and_several_rules_are_or_and_none_beats_both() {
    use Operator::{Equal, GreaterThan};
    let s = seccomp(
        Action::KillProcess,
        &[],
        vec![
            rule(&["ioctl"], Action::Allow, None, &[(0, Equal, 1, 0), (1, GreaterThan, 7, 0)]),
            rule(&["ioctl"], Action::Errno, Some(13), &[(2, Equal, 7, 0)]),
            rule(&["read"], Action::Trap, None, &[(0, Equal, 1, 0)]),
            rule(&["read", "no_such_call"], Action::Log, None, &[]),
            rule(&["read"], Action::Allow, None, &[]),
            rule(&["write"], Action::Trace, Some(9), &[]),
            rule(&["close"], Action::KillThread, None, &[]),
            rule(&["open"], Action::KillProcess, None, &[]),
        ],
    );
    let filter = equivalent(&s, Abi::X86_64, &[Abi::X86_64]);
    let ask = |number, args| run(&filter, Abi::X86_64.audit(), number, args);
    assert_eq!(ask(16, [1, 8, 0, 0, 0, 0]), ALLOW);
    assert_eq!(ask(16, [1, 7, 7, 0, 0, 0]), ERRNO | 13);
    assert_eq!(ask(16, [0; 6]), 0x8000_0000);
    assert_eq!(ask(0, [1, 0, 0, 0, 0, 0]), 0x7ffc_0000);
}

#[test]
fn two_tests_of_one_argument_mean_or() {
    use Operator::Equal;
    let s = seccomp(
        Action::Errno,
        &[],
        vec![rule(&["personality"], Action::Allow, None, &[(0, Equal, 0, 0), (0, Equal, 8, 0)])],
    );
    let filter = compile_for(&s, Abi::X86_64).unwrap();
    let ask = |a| run(&filter, Abi::X86_64.audit(), 135, [a, 0, 0, 0, 0, 0]);
    assert_eq!([0, 8, 1].map(ask), [ALLOW, ALLOW, ERRNO | 1]);
}

#[test]
fn calls_newer_than_the_profile_do_not_exist() {
    let profile = vec![rule(&["read", "openat2"], Action::Allow, None, &[])];
    let ask = |s: &LinuxSeccomp, number| {
        run(&compile_for(s, Abi::X86_64).unwrap(), Abi::X86_64.audit(), number, [0; 6])
    };
    let strict = seccomp(Action::Errno, &[], profile.clone());
    assert_eq!([437, 436, 438, 5000].map(|n| ask(&strict, n)), [ALLOW, ERRNO | 1, ERRNO | 38, ERRNO | 38]);
    let deny_list = seccomp(Action::Allow, &[], vec![rule(&["openat2"], Action::Errno, None, &[])]);
    assert_eq!([437, 438].map(|n| ask(&deny_list, n)), [ERRNO | 1, ALLOW]);
}

#[test]
fn unlisted_abis_are_killed() {
    let s = seccomp(Action::Allow, &[], vec![rule(&["mount"], Action::Errno, None, &[])]);
    let filter = compile_for(&s, Abi::X86_64).unwrap();
    assert_eq!(run(&filter, Abi::X86.audit(), 3, [0; 6]), KILL);
    assert_eq!(run(&filter, Abi::X86_64.audit(), X32_BIT, [0; 6]), KILL);
    assert_eq!(run(&filter, Abi::X86_64.audit(), u32::MAX, [0; 6]), ALLOW, "a tracer's skip");
    assert_eq!(run(&filter, 0x1234, 0, [0; 6]), KILL);
}

#[test]
fn profiles_that_cannot_work_are_refused() {
    let fails = |s: &LinuxSeccomp| compile_for(s, Abi::X86_64).unwrap_err().to_string();
    let one = |r| seccomp(Action::Errno, &[], vec![r]);
    assert!(fails(&seccomp(Action::Notify, &[], vec![])).contains("default action"));
    assert!(fails(&one(rule(&["write"], Action::Notify, None, &[]))).contains("write"));
    assert!(
        fails(&one(rule(&["read"], Action::Allow, None, &[(6, Operator::Equal, 0, 0)]))).contains("index 6")
    );
    assert!(fails(&one(rule(&["read"], Action::Errno, Some(5000), &[]))).contains("5000"));
    let flagged = LinuxSeccomp {
        flags: vec!["SECCOMP_FILTER_FLAG_NOPE".into()],
        ..seccomp(Action::Allow, &[], vec![])
    };
    assert!(fails(&flagged).contains("NOPE"));

    let both = br#"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["SCMP_ARCH_X86"],
        "archMap":[{"architecture":"SCMP_ARCH_X86_64","subArchitectures":null}],"syscalls":null}"#;
    let none: [&str; 0] = [];
    let error = Profile::parse(both).unwrap().resolve(&none, PC).unwrap_err();
    assert!(error.to_string().contains("use either 'architectures' or 'archMap'"), "{error}");
    assert!(Profile::parse(b"{").unwrap_err().to_string().starts_with("decoding seccomp profile failed"));
}

#[test]
fn conditions_on_kernel_and_architecture() {
    let json = br#"{"defaultAction":"SCMP_ACT_ERRNO","syscalls":[
        {"name":"read","action":"SCMP_ACT_ALLOW","includes":{"minKernel":"6.18"}},
        {"names":["write"],"action":"SCMP_ACT_ALLOW","excludes":{"minKernel":"5.0"}},
        {"names":["open"],"action":"SCMP_ACT_ALLOW","includes":{"arches":["arm64"]}},
        {"names":["close"],"action":"SCMP_ACT_ALLOW","includes":{"caps":["CAP_A","CAP_B"]}}]}"#;
    let names = |caps: &[&str], abi, kernel| {
        let resolved = Profile::parse(json).unwrap().resolve(caps, Host { abi, kernel }).unwrap();
        resolved.syscalls.iter().map(|r| r.names.join(",")).collect::<Vec<_>>()
    };
    assert_eq!(names(&["CAP_A"], Abi::X86_64, (6, 18)), ["read"]);
    assert_eq!(names(&["CAP_A", "CAP_B"], Abi::X86_64, (4, 19)), ["write", "close"]);
    assert_eq!(names(&[], Abi::Aarch64, (5, 10)), ["open"]);
}

#[test]
fn a_filter_survives_json() {
    let filter =
        compile_for(&default_profile().resolve(&DOCKER_CAPABILITIES, PC).unwrap(), Abi::X86_64).unwrap();
    let text = serde_json::to_string(&filter).unwrap();
    assert_eq!(serde_json::from_str::<Filter>(&text).unwrap(), filter);
}

#[test]
fn programs_longer_than_a_jump_still_arrive() {
    // 90 calls with tests of their own: chains far beyond what a conditional jump reaches.
    let names: Vec<&str> = TABLE.iter().filter(|r| r.1[0] >= 0).step_by(4).map(|r| r.0).collect();
    let syscalls = names
        .iter()
        .enumerate()
        .map(|(i, n)| {
            let i = i as u64;
            rule(
                &[n],
                Action::Errno,
                Some(i as u32 + 2),
                &[(0, Operator::Equal, i, 0), (1, Operator::LessThan, i << 33, 0)],
            )
        })
        .collect();
    let filter =
        equivalent(&seccomp(Action::Allow, &[Arch::X32], syscalls), Abi::X86_64, &[Abi::X86_64, Abi::X32]);
    assert!(filter.program().len() / 8 > 1000);
}

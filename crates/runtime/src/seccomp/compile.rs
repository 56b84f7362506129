//! From rules to a program: answers per number, ranges of equal answers, a tree over the ranges.

use std::collections::{BTreeMap, HashMap};

use oci::runtime::{Action, ArgRule, LinuxSeccomp, Operator, SyscallRule};
use sys::seccomp::flag;

use super::Error;
use super::arch::{Abi, X32_BIT, multiplexed};
use super::assemble::{Assembler, Compare, Label};
use super::filter::Filter;

// linux/seccomp.h
const KILL_PROCESS: u32 = 0x8000_0000;
const KILL_THREAD: u32 = 0;
const TRAP: u32 = 0x0003_0000;
const ERRNO: u32 = 0x0005_0000;
const USER_NOTIF: u32 = 0x7fc0_0000;
const TRACE: u32 = 0x7ff0_0000;
const LOG: u32 = 0x7ffc_0000;
const ALLOW: u32 = 0x7fff_0000;

const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

// struct seccomp_data { int nr; __u32 arch; __u64 instruction_pointer; __u64 args[6]; }
const NR: u32 = 0;
const ARCH: u32 = 4;
const ARGS: u32 = 16;
const ARGUMENTS: u32 = 6;

/// Compiles for the ABIs that this machine's kernel can run.
pub fn compile(seccomp: &LinuxSeccomp) -> Result<Filter, Error> {
    compile_for(seccomp, Abi::NATIVE)
}

/// As [`compile`], for a kernel of `native`.
///
/// # Errors
/// An unknown flag, an argument index above 5, an error number above 4095, NOTIFY where it cannot work, or a
/// program that is too long.
pub fn compile_for(seccomp: &LinuxSeccomp, native: Abi) -> Result<Filter, Error> {
    let default = verdict(seccomp.default_action, seccomp.default_errno_ret)?;
    if default == USER_NOTIF {
        return Err(Error::Invalid("SCMP_ACT_NOTIFY cannot be used as default action".to_owned()));
    }
    check(seccomp)?;

    // The native ABI is always there, as in libseccomp.
    let mut abis = vec![native];
    for abi in seccomp.architectures.iter().filter_map(|a| Abi::from_spec(*a, native)) {
        if abi.runs_on(native) && !abis.contains(&abi) {
            abis.push(abi);
        }
    }

    let mut assembler = Assembler::default();
    let kill = KILL_THREAD;
    let mut sections: Vec<(u32, Label)> = Vec::new();
    for audit in distinct(abis.iter().map(|a| a.audit())) {
        let tables: Vec<Answers> =
            abis.iter().filter(|a| a.audit() == audit).map(|abi| answers(seccomp, *abi, default)).collect();
        let mut ranges = Vec::new();
        if audit == Abi::X86_64.audit() {
            let find = |abi| tables.iter().find(|t| t.abi == abi);
            let killed = [(0, Answer::Return(kill))];
            let low = find(Abi::X86_64).map_or(killed.to_vec(), Answers::ranges);
            let high = find(Abi::X32).map_or(killed.to_vec(), Answers::ranges);
            ranges.extend(low.into_iter().filter(|(start, _)| *start < X32_BIT));
            // The table of the upper half says what holds from its first number on, and below that from 0.
            let first =
                high.iter().rev().find(|(start, _)| *start <= X32_BIT).map(|(_, answer)| answer.clone());
            ranges.push((X32_BIT, first.unwrap_or(Answer::Return(kill))));
            ranges.extend(high.into_iter().filter(|(start, _)| *start > X32_BIT));
            if find(Abi::X32).is_none() {
                // -1 is what a tracer writes to skip a call, and belongs to no ABI.
                let skipped = find(Abi::X86_64).map_or(Answer::Return(kill), Answers::above);
                ranges.push((u32::MAX, skipped));
            }
        } else {
            ranges = tables[0].ranges();
        }
        ranges.dedup_by(|next, before| next.1 == before.1);
        let narrow = tables[0].abi.narrow();
        let mut chains = HashMap::new();
        let tree = tree(&mut assembler, &ranges, narrow, default, &mut chains);
        sections.push((audit, assembler.load(NR, tree)));
    }

    let mut entry = assembler.ret(kill);
    for (audit, section) in sections.into_iter().rev() {
        entry = assembler.branch(Compare::Equal, audit, section, entry);
    }
    let entry = assembler.load(ARCH, entry);
    Ok(Filter::new(assembler.finish(entry)?, flags(seccomp)?))
}

fn distinct(audits: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut seen = Vec::new();
    for audit in audits {
        if !seen.contains(&audit) {
            seen.push(audit);
        }
    }
    seen
}

fn check(seccomp: &LinuxSeccomp) -> Result<(), Error> {
    for rule in &seccomp.syscalls {
        if let Some(arg) = rule.args.iter().find(|a| a.index >= ARGUMENTS) {
            return Err(Error::Invalid(format!("seccomp: argument index {} is above 5", arg.index)));
        }
        verdict(rule.action, rule.errno_ret)?;
        // Sending the listener away takes a sendmsg here and a write in other runtimes: nobody could answer it yet.
        let needed = |name: &&String| matches!(name.as_str(), "write" | "sendmsg");
        if let Some(name) = rule.names.iter().find(needed).filter(|_| rule.action == Action::Notify) {
            return Err(Error::Invalid(format!("SCMP_ACT_NOTIFY cannot be used for the {name} syscall")));
        }
    }
    Ok(())
}

fn flags(seccomp: &LinuxSeccomp) -> Result<u32, Error> {
    // As runc: without any word on flags, no speculation barrier is asked for.
    let mut flags = if seccomp.flags.is_empty() { flag::SPEC_ALLOW } else { 0 };
    for name in &seccomp.flags {
        flags |= match name.as_str() {
            "SECCOMP_FILTER_FLAG_TSYNC" => flag::TSYNC,
            "SECCOMP_FILTER_FLAG_LOG" => flag::LOG,
            "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => flag::SPEC_ALLOW,
            "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" => flag::WAIT_KILLABLE_RECV,
            other => return Err(Error::Invalid(format!("unknown seccomp flag {other:?}"))),
        };
    }
    if seccomp.syscalls.iter().any(|rule| rule.action == Action::Notify) {
        // A new listener and TSYNC exclude each other, and the process that installs a filter has one thread.
        flags = flags & !flag::TSYNC | flag::NEW_LISTENER;
    } else if flags & flag::WAIT_KILLABLE_RECV != 0 {
        return Err(Error::Invalid(
            "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV needs a rule with SCMP_ACT_NOTIFY".to_owned(),
        ));
    }
    Ok(flags)
}

/// The filter's return value.
fn verdict(action: Action, errno: Option<u32>) -> Result<u32, Error> {
    let data = errno.unwrap_or(EPERM);
    match action {
        // The kernel's MAX_ERRNO; a tracer may be sent any 16 bits.
        Action::Errno if data > 4095 => {
            Err(Error::Invalid(format!("seccomp: {data} is not an error number")))
        }
        Action::Trace if data > 0xffff => {
            Err(Error::Invalid(format!("seccomp: {data} is not a trace number")))
        }
        Action::Errno => Ok(ERRNO | data),
        Action::Trace => Ok(TRACE | data),
        Action::Kill | Action::KillThread => Ok(KILL_THREAD),
        Action::KillProcess => Ok(KILL_PROCESS),
        Action::Trap => Ok(TRAP),
        Action::Allow => Ok(ALLOW),
        Action::Log => Ok(LOG),
        Action::Notify => Ok(USER_NOTIF),
    }
}

/// What happens to one number.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Answer {
    Return(u32),
    /// The first whose tests all hold, else the default.
    Tests(Vec<(Vec<ArgRule>, u32)>),
}

#[derive(Debug)]
struct Answers {
    abi: Abi,
    default: u32,
    /// Above this, calls are newer than the profile. `None` where they get the default.
    newest: Option<u32>,
    by_number: BTreeMap<u32, Answer>,
}

fn answers(seccomp: &LinuxSeccomp, abi: Abi, default: u32) -> Answers {
    let mut by_number: BTreeMap<u32, Answer> = BTreeMap::new();
    let mut newest = 0;
    for rule in &seccomp.syscalls {
        let value = verdict(rule.action, rule.errno_ret).unwrap_or(default);
        for name in &rule.names {
            let Some(number) = abi.number(name) else {
                if abi == Abi::X86 {
                    demultiplex(&mut by_number, abi, name, rule, value, default);
                }
                continue;
            };
            newest = newest.max(number);
            if value == default {
                continue;
            }
            add(&mut by_number, number, &rule.args, value);
            if abi == Abi::X86 {
                demultiplex(&mut by_number, abi, name, rule, value, default);
            }
        }
    }
    let passes = default == ALLOW || default == LOG;
    let newest = (!passes && default != ERRNO | ENOSYS && newest > 0).then_some(newest);
    Answers { abi, default, newest, by_number }
}

/// On i386 a call can come through `socketcall` or `ipc` as well. Its own arguments lie in memory there, out of
/// a filter's sight: a rule that tests them covers the direct call only.
fn demultiplex(
    by_number: &mut BTreeMap<u32, Answer>,
    abi: Abi,
    name: &str,
    rule: &SyscallRule,
    value: u32,
    default: u32,
) {
    if value == default || !rule.args.is_empty() {
        return;
    }
    if let Some((door, call)) = multiplexed(name)
        && let Some(number) = abi.number(door)
    {
        let test = ArgRule { index: 0, value: call, value_two: 0, op: Operator::Equal };
        add(by_number, number, &[test], value);
    }
}

fn add(by_number: &mut BTreeMap<u32, Answer>, number: u32, args: &[ArgRule], value: u32) {
    use std::collections::btree_map::Entry;
    let entry = by_number.entry(number);
    if args.is_empty() {
        // Beats tests, but not an earlier one of its kind.
        match entry {
            Entry::Occupied(mut entry) if matches!(entry.get(), Answer::Tests(_)) => {
                entry.insert(Answer::Return(value));
            }
            entry => drop(entry.or_insert(Answer::Return(value))),
        }
        return;
    }
    let Answer::Tests(tests) = entry.or_insert_with(|| Answer::Tests(Vec::new())) else { return };
    // Two tests of one argument in a rule mean "or": so Docker's old profiles were written, and runc keeps it.
    let repeated = args.iter().enumerate().any(|(i, a)| args[..i].iter().any(|b| b.index == a.index));
    if repeated {
        tests.extend(args.iter().map(|arg| (vec![*arg], value)));
    } else {
        tests.push((args.to_vec(), value));
    }
}

impl Answers {
    /// The answer to numbers beyond the newest.
    fn above(&self) -> Answer {
        Answer::Return(if self.newest.is_some() { ERRNO | ENOSYS } else { self.default })
    }

    /// Ranges by their first number, in order, neighbours with equal answers joined.
    fn ranges(&self) -> Vec<(u32, Answer)> {
        let mut ranges = vec![(0, Answer::Return(self.default))];
        for (number, answer) in &self.by_number {
            ranges.push((*number, answer.clone()));
            if let Some(next) = number.checked_add(1) {
                ranges.push((next, Answer::Return(self.default)));
            }
        }
        // Where a range ends and the next begins at the same number, the next counts.
        ranges.dedup_by(|next, before| {
            let same = next.0 == before.0;
            if same {
                std::mem::swap(next, before);
            }
            same
        });
        if let Some(next) = self.newest.and_then(|n| n.checked_add(1)) {
            ranges.retain(|(start, _)| *start < next);
            ranges.push((next, self.above()));
        }
        ranges.dedup_by(|next, before| next.1 == before.1);
        ranges
    }
}

/// A balanced tree of `number >= start?` over the ranges.
fn tree(
    assembler: &mut Assembler,
    ranges: &[(u32, Answer)],
    narrow: bool,
    default: u32,
    chains: &mut HashMap<Answer, Label>,
) -> Label {
    if let [(_, answer)] = ranges {
        return match answer {
            Answer::Return(value) => assembler.ret(*value),
            Answer::Tests(tests) => {
                if let Some(label) = chains.get(answer) {
                    return *label;
                }
                let label = chain(assembler, tests, narrow, default);
                chains.insert(answer.clone(), label);
                label
            }
        };
    }
    let middle = ranges.len() / 2;
    let upper = tree(assembler, &ranges[middle..], narrow, default, chains);
    let lower = tree(assembler, &ranges[..middle], narrow, default, chains);
    assembler.branch(Compare::GreaterEqual, ranges[middle].0, upper, lower)
}

fn chain(assembler: &mut Assembler, tests: &[(Vec<ArgRule>, u32)], narrow: bool, default: u32) -> Label {
    let mut otherwise = assembler.ret(default);
    for (args, value) in tests.iter().rev() {
        let mut then = assembler.ret(*value);
        for arg in args.iter().rev() {
            then = test(assembler, arg, narrow, then, otherwise);
        }
        otherwise = then;
    }
    otherwise
}

/// One comparison of 64 bits (32 in narrow ABIs) by a machine with words of 32.
fn test(assembler: &mut Assembler, arg: &ArgRule, narrow: bool, yes: Label, no: Label) -> Label {
    let halves = |value: u64| ((value >> 32) as u32, value as u32);
    let offset = ARGS + 8 * arg.index;
    let (high_offset, low_offset) =
        if cfg!(target_endian = "big") { (offset, offset + 4) } else { (offset + 4, offset) };
    let (high, low) = halves(arg.value);
    match arg.op {
        Operator::Equal | Operator::NotEqual => {
            let (equal, differs) = if arg.op == Operator::Equal { (yes, no) } else { (no, yes) };
            let next = assembler.branch(Compare::Equal, low, equal, differs);
            let next = assembler.load(low_offset, next);
            if narrow {
                return next;
            }
            let next = assembler.branch(Compare::Equal, high, next, differs);
            assembler.load(high_offset, next)
        }
        Operator::MaskedEqual => {
            let ((mask_high, mask_low), (high, low)) = (halves(arg.value), halves(arg.value_two));
            let next = assembler.branch(Compare::Equal, low, yes, no);
            let next = assembler.and(mask_low, next);
            let next = assembler.load(low_offset, next);
            if narrow || (mask_high == 0 && high == 0) {
                return next;
            }
            let next = assembler.branch(Compare::Equal, high, next, no);
            let next = assembler.and(mask_high, next);
            assembler.load(high_offset, next)
        }
        Operator::GreaterThan | Operator::GreaterEqual | Operator::LessThan | Operator::LessEqual => {
            let (compare, above, below) = match arg.op {
                Operator::GreaterThan => (Compare::Greater, yes, no),
                Operator::GreaterEqual => (Compare::GreaterEqual, yes, no),
                Operator::LessEqual => (Compare::Greater, no, yes),
                _ => (Compare::GreaterEqual, no, yes),
            };
            let next = assembler.branch(compare, low, above, below);
            let next = assembler.load(low_offset, next);
            if narrow {
                return next;
            }
            // Equal upper halves leave it to the lower ones.
            let next = assembler.branch(Compare::Equal, high, next, below);
            let next = assembler.branch(Compare::Greater, high, above, next);
            assembler.load(high_offset, next)
        }
    }
}

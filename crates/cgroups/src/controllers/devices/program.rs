//! A policy as an eBPF program of type `BPF_PROG_TYPE_CGROUP_DEVICE`: 1 in r0 allows.
//!
//! ```text
//! struct bpf_cgroup_dev_ctx { u32 access_type; /* access << 16 | type */ u32 major; u32 minor; };
//! ```
//! Five instructions take that apart (r2 type, r3 access, r4 major, r5 minor), then each exception is a row of
//! comparisons that jump to the next exception, and the default stands at the end.

use sys::bpf::Instruction;

use super::policy::{ALL, Entry, Kind, Policy};

// Operation codes of linux/bpf.h and linux/bpf_common.h.
const LOAD_WORD: u8 = 0x61; // BPF_LDX | BPF_MEM | BPF_W
const MOV32_IMM: u8 = 0xb4; // BPF_ALU | BPF_MOV | BPF_K
const MOV32_REG: u8 = 0xbc; // BPF_ALU | BPF_MOV | BPF_X
const AND32_IMM: u8 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const RSH32_IMM: u8 = 0x74; // BPF_ALU | BPF_RSH | BPF_K
const JNE_IMM: u8 = 0x55; // BPF_JMP | BPF_JNE | BPF_K
const JNE_REG: u8 = 0x5d; // BPF_JMP | BPF_JNE | BPF_X
const JEQ_IMM: u8 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const EXIT: u8 = 0x95; // BPF_JMP | BPF_EXIT

const R0: u8 = 0;
const CONTEXT: u8 = 1;
const TYPE: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
/// The context is not needed once it is taken apart.
const SCRATCH: u8 = CONTEXT;

pub(super) fn assemble(policy: &Policy) -> Vec<Instruction> {
    let mut program = vec![
        encode(LOAD_WORD, TYPE, CONTEXT, 0, 0),
        encode(LOAD_WORD, MAJOR, CONTEXT, 4, 0),
        encode(LOAD_WORD, MINOR, CONTEXT, 8, 0),
        encode(MOV32_REG, ACCESS, TYPE, 0, 0),
        encode(RSH32_IMM, ACCESS, 0, 0, 16),
        encode(AND32_IMM, TYPE, 0, 0, 0xffff),
    ];
    for entry in policy.entries() {
        program.extend(row(&entry, !policy.default_allow));
    }
    program.extend(verdict(policy.default_allow));
    program
}

fn row(Entry { nodes, access }: &Entry, allow: bool) -> Vec<Instruction> {
    /// A comparison whose jump leads to the end of the row, which is known last.
    type Test = (u8, u8, u8, i32);
    let kind = match nodes.kind {
        Kind::Block => 1,
        Kind::Char => 2,
    };
    let mut tests: Vec<(Option<[Instruction; 2]>, Test)> = vec![(None, (JNE_IMM, TYPE, 0, kind))];
    if *access != ALL {
        let masked =
            [encode(MOV32_REG, SCRATCH, ACCESS, 0, 0), encode(AND32_IMM, SCRATCH, 0, 0, i32::from(*access))];
        // All that is asked for must be allowed; any of it may be what is denied.
        let test = if allow { (JNE_REG, SCRATCH, ACCESS, 0) } else { (JEQ_IMM, SCRATCH, 0, 0) };
        tests.push((Some(masked), test));
    }
    for (register, number) in [(MAJOR, nodes.major), (MINOR, nodes.minor)] {
        if let Some(number) = number {
            tests.push((None, (JNE_IMM, register, 0, number.cast_signed())));
        }
    }
    let length: usize = tests.iter().map(|(before, _)| 1 + before.map_or(0, |b| b.len())).sum::<usize>() + 2;
    let mut row = Vec::with_capacity(length);
    for (before, (code, dst, src, imm)) in tests {
        row.extend(before.into_iter().flatten());
        let skip = length - row.len() - 1;
        // A row is at most nine instructions.
        row.push(encode(code, dst, src, skip as i16, imm));
    }
    row.extend(verdict(allow));
    row
}

fn verdict(allow: bool) -> [Instruction; 2] {
    [encode(MOV32_IMM, R0, 0, 0, i32::from(allow)), encode(EXIT, 0, 0, 0, 0)]
}

/// `struct bpf_insn { u8 code; u8 dst:4, src:4; s16 off; s32 imm; }`
fn encode(code: u8, dst: u8, src: u8, off: i16, imm: i32) -> Instruction {
    let [o0, o1] = off.to_ne_bytes();
    let [i0, i1, i2, i3] = imm.to_ne_bytes();
    let registers = if cfg!(target_endian = "big") { dst << 4 | src } else { src << 4 | dst };
    [code, registers, o0, o1, i0, i1, i2, i3]
}

#[cfg(test)]
mod tests {
    use super::super::policy::{MKNOD, READ, WRITE, tests::rule};
    use super::*;

    /// Runs a program the way the kernel would, for the instructions used here.
    fn allowed(program: &[Instruction], kind: u32, major: u32, minor: u32, access: u8) -> bool {
        let context = [u32::from(access) << 16 | kind, major, minor];
        let mut r = [0u64; 8];
        let mut at = 0;
        loop {
            let [code, registers, o0, o1, imm @ ..] = program[at];
            let (dst, src) = (usize::from(registers & 15), usize::from(registers >> 4));
            let (off, imm) = (i16::from_ne_bytes([o0, o1]), i32::from_ne_bytes(imm));
            let jump = match code {
                LOAD_WORD => {
                    r[dst] = context[off as usize / 4].into();
                    false
                }
                MOV32_IMM => {
                    r[dst] = (imm as u32).into();
                    false
                }
                MOV32_REG => {
                    r[dst] = r[src];
                    false
                }
                AND32_IMM => {
                    r[dst] &= u64::from(imm as u32);
                    false
                }
                RSH32_IMM => {
                    r[dst] >>= imm;
                    false
                }
                JNE_IMM => r[dst] != imm as i64 as u64,
                JNE_REG => r[dst] != r[src],
                JEQ_IMM => r[dst] == imm as i64 as u64,
                EXIT => return r[0] == 1,
                other => panic!("{other:#x}"),
            };
            at += 1 + if jump { off as usize } else { 0 };
        }
    }

    const BLOCK: u32 = 1;
    const CHAR: u32 = 2;

    #[test]
    fn a_list_of_allowed_devices() {
        let policy = Policy::from_rules(&[
            rule(false, "a", None, None, ""),
            rule(true, "c", Some(1), Some(3), "rwm"),
            rule(true, "c", Some(136), None, "rw"),
            rule(true, "b", None, None, "m"),
        ])
        .unwrap();
        let program = assemble(&policy);
        let ask = |kind, major, minor, access| allowed(&program, kind, major, minor, access);
        assert!(ask(CHAR, 1, 3, READ | WRITE));
        assert!(ask(CHAR, 136, 77, READ | WRITE));
        assert!(!ask(CHAR, 136, 77, READ | MKNOD));
        assert!(ask(BLOCK, 8, 0, MKNOD));
        assert!(!ask(BLOCK, 8, 0, READ));
        assert!(!ask(BLOCK, 1, 3, READ));
        assert!(!ask(CHAR, 1, 5, READ));
    }

    #[test]
    fn a_list_of_denied_devices() {
        let policy =
            Policy::from_rules(&[rule(true, "a", None, None, ""), rule(false, "c", Some(1), Some(7), "w")])
                .unwrap();
        let program = assemble(&policy);
        assert!(allowed(&program, CHAR, 1, 7, READ));
        assert!(!allowed(&program, CHAR, 1, 7, READ | WRITE));
        assert!(allowed(&program, BLOCK, 1, 7, WRITE));
    }
}

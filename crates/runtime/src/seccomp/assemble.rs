//! Classic BPF, written from the last instruction to the first.
//!
//! Every jump goes forward and a conditional one reaches 255 instructions at most. Going backwards, each target
//! exists before what jumps to it, so distances are known at once; where a target is too far, a copy of the
//! `ret`, or one unconditional jump, is put in between.

use std::collections::HashMap;

use super::Error;

// linux/bpf_common.h
const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const AND: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

/// Conditional jumps on the accumulator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(super) enum Compare {
    Equal = 0x15,
    Greater = 0x25,
    GreaterEqual = 0x35,
}

/// `struct sock_filter`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instruction {
    pub(super) code: u16,
    pub(super) jt: u8,
    pub(super) jf: u8,
    pub(super) k: u32,
}

/// A place in the program, counted from its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Label(usize);

/// The most instructions that the kernel takes (BPF_MAXINSNS).
const MAX: usize = 4096;
/// How far a conditional jump may lead when up to two helpers are still put before it.
const REACH: usize = 255 - 2;

#[derive(Debug, Default)]
pub(super) struct Assembler {
    backwards: Vec<Instruction>,
    returns: HashMap<u32, Label>,
}

impl Assembler {
    fn push(&mut self, code: u16, jt: u8, jf: u8, k: u32) -> Label {
        self.backwards.push(Instruction { code, jt, jf, k });
        Label(self.backwards.len() - 1)
    }

    /// Distance from an instruction that would be put now.
    fn distance(&self, to: Label) -> usize {
        self.backwards.len() - to.0 - 1
    }

    /// A `ret` of this value, an old one if it is near.
    pub(super) fn ret(&mut self, value: u32) -> Label {
        match self.returns.get(&value) {
            Some(label) if self.distance(*label) <= REACH => *label,
            _ => {
                let label = self.push(RETURN, 0, 0, value);
                self.returns.insert(value, label);
                label
            }
        }
    }

    /// The same place, near enough for a conditional jump.
    fn near(&mut self, to: Label) -> Label {
        if self.distance(to) <= REACH {
            return to;
        }
        let target = self.backwards[to.0];
        if target.code == RETURN {
            return self.ret(target.k);
        }
        let distance = self.distance(to) as u32;
        self.push(JUMP, 0, 0, distance)
    }

    /// `if A <compare> k goto yes else goto no`
    pub(super) fn branch(&mut self, compare: Compare, k: u32, yes: Label, no: Label) -> Label {
        if yes == no {
            return self.at(yes);
        }
        let (yes, no) = (self.near(yes), self.near(no));
        // `near` leaves room for the one helper that the other target may have got.
        let (jt, jf) = (self.distance(yes) as u8, self.distance(no) as u8);
        self.push(compare as u16, jt, jf, k)
    }

    /// Makes `to` the place where execution goes on from whatever is put before next.
    fn at(&mut self, to: Label) -> Label {
        match self.distance(to) {
            0 => to,
            distance => self.push(JUMP, 0, 0, distance as u32),
        }
    }

    /// `A = word at offset of struct seccomp_data`, then on to `next`.
    pub(super) fn load(&mut self, offset: u32, next: Label) -> Label {
        self.at(next);
        self.push(LOAD, 0, 0, offset)
    }

    /// `A &= k`, then on to `next`.
    pub(super) fn and(&mut self, k: u32, next: Label) -> Label {
        self.at(next);
        self.push(AND, 0, 0, k)
    }

    /// The program, forwards, with `entry` as its first instruction, in the machine's byte order.
    pub(super) fn finish(mut self, entry: Label) -> Result<Vec<u8>, Error> {
        self.at(entry);
        if self.backwards.len() > MAX {
            return Err(Error::TooLong(self.backwards.len()));
        }
        let mut bytes = Vec::with_capacity(self.backwards.len() * 8);
        for Instruction { code, jt, jf, k } in self.backwards.iter().rev() {
            bytes.extend_from_slice(&code.to_ne_bytes());
            bytes.extend_from_slice(&[*jt, *jf]);
            bytes.extend_from_slice(&k.to_ne_bytes());
        }
        Ok(bytes)
    }
}

//! bzip2, decoded: what a format of 1996 needs for somebody's old archive, and nothing to make one with.
//!
//! A stream is a head and blocks, which begin at any bit. A block has up to 900,000 bytes: Huffman codes of several tables in
//! turns, moved to the front, with runs as numbers; then sorted by what follows each byte (Burrows and Wheeler), and before
//! all that, runs of four and more were shortened. Several streams may follow each other, as pbzip2 writes them.

use std::io::{self, BufRead, Read};

const BLOCK: u64 = 0x3141_5926_5359;
const END: u64 = 0x1772_4538_5090;
/// Of a Huffman code.
const BITS_MAX: usize = 20;
/// Codes that one table is used for, before the next is chosen.
const TURN: usize = 50;

/// Decodes all streams that there are.
pub(crate) struct Bzip2<R> {
    bits: Bits<R>,
    /// Bytes of a block at most; zero between two streams.
    block_max: usize,
    /// Of each place in the sorted block: its byte, and above that the place of the next.
    next: Vec<u32>,
    place: u32,
    left: usize,
    /// The last byte, how often it has come in a row, and how often it comes again.
    last: u8,
    run: usize,
    repeats: usize,
    checked: Crc,
    announced: Option<u32>,
    combined: u32,
}

impl<R: BufRead> Bzip2<R> {
    pub(crate) fn new(reader: R) -> Bzip2<R> {
        Bzip2 {
            bits: Bits { reader, held: 0, count: 0 },
            block_max: 0,
            next: Vec::new(),
            place: 0,
            left: 0,
            last: 0,
            run: 0,
            repeats: 0,
            checked: Crc::default(),
            announced: None,
            combined: 0,
        }
    }

    /// Checks the block that has ended, and reads the next. `false` at the end.
    fn advance(&mut self) -> io::Result<bool> {
        if let Some(announced) = self.announced.take() {
            let actual = self.checked.finish();
            if actual != announced {
                return Err(bad("checksum mismatch"));
            }
            self.combined = self.combined.rotate_left(1) ^ actual;
        }
        loop {
            if self.block_max == 0 {
                if self.bits.is_at_end()? {
                    return Ok(false);
                }
                if self.bits.take(24)? != u64::from(u32::from_be_bytes([0, b'B', b'Z', b'h'])) {
                    return Err(bad("no stream where one should begin"));
                }
                self.block_max = match self.bits.take(8)? as u8 {
                    level @ b'1'..=b'9' => usize::from(level - b'0') * 100_000,
                    _ => return Err(bad("unknown size of blocks")),
                };
                self.combined = 0;
            }
            match self.bits.take(48)? {
                BLOCK => {
                    self.announced = Some(self.bits.take(32)? as u32);
                    self.block()?;
                    (self.run, self.repeats, self.checked) = (0, 0, Crc::default());
                    return Ok(true);
                }
                END => {
                    if self.bits.take(32)? as u32 != self.combined {
                        return Err(bad("checksum mismatch"));
                    }
                    self.bits.align();
                    self.block_max = 0;
                }
                _ => return Err(bad("no block where one should begin")),
            }
        }
    }

    fn block(&mut self) -> io::Result<()> {
        let bits = &mut self.bits;
        if bits.take(1)? == 1 {
            return Err(bad("blocks of versions before 1.0 are not supported"));
        }
        let origin = bits.take(24)? as usize;
        let groups = bits.take(16)?;
        let mut symbols = Vec::with_capacity(256);
        for group in (0..16_u8).filter(|group| groups & 0x8000 >> group != 0) {
            let members = bits.take(16)?;
            symbols.extend(
                (0..16).filter(|member| members & 0x8000 >> member != 0).map(|member| group * 16 + member),
            );
        }
        if symbols.is_empty() {
            return Err(bad("a block without symbols"));
        }
        let tables = bits.take(3)? as usize;
        if !(2..=6).contains(&tables) {
            return Err(bad("wrong number of tables"));
        }
        let selectors = bits.take(15)? as usize;
        let mut order: Vec<u8> = (0..tables as u8).collect();
        let mut chosen = Vec::with_capacity(selectors);
        for _ in 0..selectors {
            let mut at = 0;
            while bits.take(1)? == 1 {
                at += 1;
            }
            if at >= tables {
                return Err(bad("a table that is not there"));
            }
            order[..=at].rotate_right(1);
            chosen.push(order[0]);
        }
        // Two numbers of runs, each symbol but the one in front, and the end.
        let codes = symbols.len() + 2;
        let tables = (0..tables).map(|_| Table::read(bits, codes)).collect::<io::Result<Vec<_>>>()?;

        let next = &mut self.next;
        next.clear();
        let mut counts = [0_usize; 256];
        let (mut run, mut weight) = (0, 1);
        let mut chosen = chosen.into_iter();
        'block: loop {
            let table = chosen.next().ok_or_else(|| bad("a block without its end"))?;
            let table = &tables[usize::from(table)];
            for _ in 0..TURN {
                let code = usize::from(table.decode(bits)?);
                if code < 2 {
                    run += weight << code;
                    weight <<= 1;
                    if run > self.block_max {
                        return Err(bad("a block that is too large"));
                    }
                    continue;
                }
                if next.len() + run >= self.block_max + usize::from(code == codes - 1) {
                    return Err(bad("a block that is too large"));
                }
                next.resize(next.len() + run, u32::from(symbols[0]));
                counts[usize::from(symbols[0])] += run;
                (run, weight) = (0, 1);
                if code == codes - 1 {
                    break 'block;
                }
                symbols[..code].rotate_right(1);
                next.push(u32::from(symbols[0]));
                counts[usize::from(symbols[0])] += 1;
            }
        }
        if origin >= next.len() {
            return Err(bad("a block that begins outside of itself"));
        }
        // Where each byte's places begin, were the block sorted by its bytes.
        let mut start = 0;
        for count in &mut counts {
            start += std::mem::replace(count, start);
        }
        for place in 0..next.len() {
            let byte = usize::from(next[place] as u8);
            next[counts[byte]] |= (place as u32) << 8;
            counts[byte] += 1;
        }
        (self.place, self.left) = (next[origin] >> 8, next.len());
        Ok(())
    }
}

impl<R: BufRead> Read for Bzip2<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < out.len() {
            if self.repeats > 0 {
                let again = self.repeats.min(out.len() - filled);
                out[filled..filled + again].fill(self.last);
                self.checked.update(&out[filled..filled + again]);
                self.repeats -= again;
                filled += again;
                continue;
            }
            if self.left == 0 {
                if filled > 0 {
                    break;
                }
                if !self.advance()? {
                    return Ok(0);
                }
                continue;
            }
            let entry = self.next[self.place as usize];
            let byte = entry as u8;
            self.place = entry >> 8;
            self.left -= 1;
            if self.run == 4 {
                (self.run, self.repeats) = (0, usize::from(byte));
                continue;
            }
            self.run = if byte == self.last && self.run > 0 { self.run + 1 } else { 1 };
            self.last = byte;
            out[filled] = byte;
            self.checked.update(&[byte]);
            filled += 1;
        }
        Ok(filled)
    }
}

/// A Huffman code: of codes of one length, the first is next to the last of those that are shorter.
struct Table {
    /// Behind the last code of each length, with as many bits as the longest may have.
    ends: [u32; BITS_MAX + 1],
    /// What to add to a code of that length for its place among the symbols.
    offsets: [i32; BITS_MAX + 1],
    symbols: Vec<u16>,
}

impl Table {
    fn read(bits: &mut Bits<impl BufRead>, codes: usize) -> io::Result<Table> {
        let mut lengths = Vec::with_capacity(codes);
        let mut length = bits.take(5)? as usize;
        for _ in 0..codes {
            loop {
                if !(1..=BITS_MAX).contains(&length) {
                    return Err(bad("a code of a length that there is not"));
                }
                match bits.take(1)? {
                    0 => break,
                    _ if bits.take(1)? == 0 => length += 1,
                    _ => length -= 1,
                }
            }
            lengths.push(length);
        }
        let mut table =
            Table { ends: [0; BITS_MAX + 1], offsets: [0; BITS_MAX + 1], symbols: Vec::with_capacity(codes) };
        let mut code = 0_u32;
        for length in 1..=BITS_MAX {
            code <<= 1;
            table.offsets[length] = table.symbols.len() as i32 - code as i32;
            let of_it = (0..codes as u16).filter(|&symbol| lengths[usize::from(symbol)] == length);
            table.symbols.extend(of_it);
            code = (table.symbols.len() as i32 - table.offsets[length]) as u32;
            if code > 1 << length {
                return Err(bad("more codes than there can be"));
            }
            table.ends[length] = code << (BITS_MAX - length);
        }
        Ok(table)
    }

    fn decode(&self, bits: &mut Bits<impl BufRead>) -> io::Result<u16> {
        let ahead = bits.peek(BITS_MAX)?;
        for length in 1..=BITS_MAX {
            if ahead < self.ends[length] {
                bits.drop(length)?;
                let code = (ahead >> (BITS_MAX - length)) as i32;
                let symbol = self.symbols.get((code + self.offsets[length]) as usize);
                return symbol.copied().ok_or_else(|| bad("a code that there is not"));
            }
        }
        Err(bad("a code that there is not"))
    }
}

/// Bits, the highest of each byte first.
struct Bits<R> {
    reader: R,
    held: u64,
    count: usize,
}

impl<R: BufRead> Bits<R> {
    /// As many bytes as there is room for, or all that are left.
    fn fill(&mut self, wanted: usize) -> io::Result<()> {
        while self.count < wanted {
            let buffer = self.reader.fill_buf()?;
            let taken = buffer.len().min((64 - self.count) / 8);
            if taken == 0 {
                break;
            }
            for &byte in &buffer[..taken] {
                self.held = self.held << 8 | u64::from(byte);
            }
            self.count += 8 * taken;
            self.reader.consume(taken);
        }
        Ok(())
    }

    fn take(&mut self, count: usize) -> io::Result<u64> {
        self.fill(count)?;
        self.drop(count)?;
        Ok(self.held >> self.count & ((1 << count) - 1))
    }

    /// With zeros behind the end.
    fn peek(&mut self, count: usize) -> io::Result<u32> {
        self.fill(count)?;
        let bits = match self.count.checked_sub(count) {
            Some(more) => self.held >> more,
            None => self.held << (count - self.count),
        };
        Ok((bits & ((1 << count) - 1)) as u32)
    }

    fn drop(&mut self, count: usize) -> io::Result<()> {
        self.count = self.count.checked_sub(count).ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(())
    }

    /// To the next byte.
    fn align(&mut self) {
        self.count -= self.count % 8;
    }

    fn is_at_end(&mut self) -> io::Result<bool> {
        self.fill(8)?;
        Ok(self.count == 0)
    }
}

/// CRC-32 with the highest bit first, unlike gzip's.
struct Crc(u32);

impl Default for Crc {
    fn default() -> Crc {
        Crc(!0)
    }
}

const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut rest = (byte as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            rest = if rest >> 31 == 1 { rest << 1 ^ 0x04c1_1db7 } else { rest << 1 };
            bit += 1;
        }
        table[byte] = rest;
        byte += 1;
    }
    table
};

impl Crc {
    fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0 << 8 ^ CRC_TABLE[usize::from((self.0 >> 24) as u8 ^ byte)];
        }
    }

    fn finish(&self) -> u32 {
        !self.0
    }
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("bzip2: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        // Few bytes at a time: blocks begin and end anywhere.
        Bzip2::new(io::BufReader::with_capacity(7, bytes)).read_to_end(&mut out).map(|_| out)
    }

    /// By bzip2(1).
    fn encoded(bytes: &[u8], level: &str) -> Vec<u8> {
        use std::io::{Seek, Write};
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        let output = std::process::Command::new("bzip2").args(["-c", level]).stdin(file).output();
        let output = output.expect("run bzip2 (Debian: bzip2)");
        assert!(output.status.success());
        output.stdout
    }

    #[test]
    fn what_bzip2_made_comes_back() {
        let mut state = 1_u32;
        let mut noise = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        let mut mixed: Vec<u8> = (0..300_000).map(|_| noise()).collect();
        // Runs of all lengths, around those that are written as numbers.
        (0..600).for_each(|length| mixed.extend(std::iter::repeat_n(noise() % 3, length)));
        let cases = [
            Vec::new(),
            b"a".to_vec(),
            b"aaaa".to_vec(),
            b"banana banana banana".to_vec(),
            vec![7; 3_000_000],
            (0..=255).collect(),
            mixed,
        ];
        for bytes in &cases {
            for level in ["-1", "-9"] {
                let packed = encoded(bytes, level);
                assert!(decoded(&packed).unwrap() == *bytes, "{} bytes {level}", bytes.len());
                // Two streams are one.
                let twice = decoded(&packed.repeat(2)).unwrap();
                assert!(twice == bytes.repeat(2), "{} bytes {level}, twice", bytes.len());
            }
        }
    }

    #[test]
    fn what_is_damaged_is_an_error() {
        let bytes: Vec<u8> =
            (0..20_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8 % 60).collect();
        let packed = encoded(&bytes, "-1");
        for cut in (1..packed.len()).step_by(97) {
            assert_eq!(
                decoded(&packed[..cut]).unwrap_err().kind(),
                io::ErrorKind::UnexpectedEof,
                "cut at {cut}"
            );
        }
        for bit in (0..packed.len() * 8).step_by(101) {
            let mut flipped = packed.clone();
            flipped[bit / 8] ^= 0x80 >> (bit % 8);
            // Either it is noticed, or it was a bit that means nothing.
            assert!(
                decoded(&flipped).is_ok_and(|out| out == bytes) || decoded(&flipped).is_err(),
                "bit {bit}"
            );
        }
        let more = [&packed[..], b"more"].concat();
        assert_eq!(decoded(&more).unwrap_err().to_string(), "bzip2: no stream where one should begin");
    }
}

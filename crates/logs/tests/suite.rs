//! What every log driver that keeps its records must do: `json-file`, `local`, and what is kept beside a remote one.

mod common;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use common::{at, destination};
use logs::{Destination, Format, LogWriter, Query, Reader, Stream, Tail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// A driver and a directory of its own.
struct Place {
    format: Format,
    directory: tempfile::TempDir,
    driver: &'static str,
    /// A `max-size` of a few lines.
    small: &'static str,
}

fn no_forwarder(_: &logs::RemoteDestination) -> std::io::Result<logs::Pipe> {
    panic!("a file needs no forwarder")
}

/// Runs a test with each format.
fn each(test: fn(&Place)) {
    for (driver, format, small) in [("json-file", Format::JsonFile, "700"), ("local", Format::Local, "300")] {
        test(&Place { format, directory: tempfile::tempdir().unwrap(), driver, small });
    }
}

impl Place {
    fn path(&self) -> PathBuf {
        self.directory.path().join("logs/c.log")
    }

    fn destination(&self, options: &[(&str, &str)]) -> Destination {
        std::fs::create_dir_all(self.path().parent().unwrap()).unwrap();
        destination(self.driver, options, &self.path())
    }

    fn writer(&self, options: &[(&str, &str)]) -> Box<dyn LogWriter> {
        logs::open(&self.destination(options), no_forwarder).unwrap()
    }

    fn reader(&self, query: Query) -> Reader {
        Reader::open(&self.path(), self.format, query).unwrap()
    }

    fn read(&self, query: Query) -> Vec<String> {
        drain(&mut self.reader(query))
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(self.path().parent().unwrap())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

fn drain(reader: &mut Reader) -> Vec<String> {
    let mut out = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        let text = String::from_utf8_lossy(entry.bytes);
        out.push(format!("{} {}", &entry.stream.as_str()[3..], text.trim_end()));
    }
    out
}

/// Writes `line <n>` for each n, one per second of the epoch.
fn write_lines(writer: &mut dyn LogWriter, numbers: std::ops::Range<i64>) {
    for n in numbers {
        writer.write(Stream::Stdout, format!("line {n}\n").as_bytes(), at(n)).unwrap();
    }
}

fn lines(numbers: std::ops::Range<i64>) -> Vec<String> {
    numbers.map(|n| format!("out line {n}")).collect()
}

#[test]
fn what_is_written_is_read() {
    each(|place| {
        let mut writer = place.writer(&[("labels", "team"), ("env-regex", "^[AB]$"), ("tag", "{{.Name}}")]);
        writer.write(Stream::Stdout, b"one\ntw", at(1)).unwrap();
        writer.write(Stream::Stderr, b"oops\n\n", at(2)).unwrap();
        writer.write(Stream::Stdout, b"o\n\xffend", at(3)).unwrap();
        writer.close().unwrap();
        let mut reader = place.reader(Query::default());
        let first = reader.next_entry().unwrap().unwrap();
        let (mut details, mut time) = (Vec::new(), Vec::new());
        first.write_details(&mut details);
        first.write_timestamp(&mut time);
        assert_eq!(String::from_utf8(details).unwrap(), "A=1,B=2,tag=name,team=a+b");
        assert_eq!(time, b"1970-01-01T00:00:01.000000000Z");
        assert!(!first.is_partial());
        assert_eq!(drain(&mut reader), ["err oops", "err ", "out two", "out \u{fffd}end"]);
        assert!(reader.is_finished());
    });
}

#[test]
fn all_bytes_come_back_but_those_that_json_has_no_word_for() {
    each(|place| {
        let mut writer = place.writer(&[]);
        let text: Vec<u8> = (0..=255).filter(|b| *b != b'\n').collect();
        writer.write(Stream::Stdout, &[&text[..], b"\n"].concat(), at(1)).unwrap();
        let long = "ü<&>\\\"\r".repeat(9000);
        writer.write(Stream::Stdout, &[long.as_bytes(), b"\n"].concat(), at(1)).unwrap();
        let mut reader = place.reader(Query::default());
        let first = reader.next_entry().unwrap().unwrap().bytes.to_vec();
        match place.format {
            Format::Local => assert_eq!(first, [&text[..], b"\n"].concat()),
            Format::JsonFile => {
                assert_eq!(first, [String::from_utf8_lossy(&text).as_bytes(), b"\n"].concat())
            }
        }
        let mut rest = Vec::new();
        while let Some(entry) = reader.next_entry().unwrap() {
            rest.extend_from_slice(entry.bytes);
        }
        // A piece may end within a letter.
        let rest = String::from_utf8_lossy(&rest).replace('\u{fffd}', "");
        let lost = long.len() + 1 - rest.len();
        assert!(lost <= 8 && rest.ends_with("\r\n"), "{lost}");
    });
}

#[test]
fn what_is_typed_is_recorded_where_it_is_wanted() {
    each(|place| {
        let mut writer = place.writer(&[("stdin", "true")]);
        assert!(writer.records(Stream::Stdin));
        writer.write(Stream::Stdin, b"ls\n", at(1)).unwrap();
        writer.write(Stream::Stdout, b"file\n", at(2)).unwrap();
        writer.close().unwrap();
        let mut reader = place.reader(Query::default());
        let entry = reader.next_entry().unwrap().unwrap();
        assert_eq!((entry.stream, entry.bytes), (Stream::Stdin, &b"ls\n"[..]));
        assert_eq!(drain(&mut reader), ["out file"]);
        assert!(!place.writer(&[]).records(Stream::Stdin));
    });
}

#[test]
fn since_until_and_tail_choose() {
    each(|place| {
        let mut writer = place.writer(&[]);
        write_lines(&mut *writer, 0..10);
        let query = Query { since: Some(at(3)), until: Some(at(5)), ..Query::default() };
        assert_eq!(place.read(query), lines(3..6));
        for (n, from) in [(0, 10), (3, 7), (10, 0), (99, 0)] {
            let query = Query { tail: Tail::Last(n), ..Query::default() };
            assert_eq!(place.read(query), lines(from..10), "tail {n}");
        }
    });
}

#[test]
fn rotation_keeps_the_newest_files_and_reads_through_them() {
    each(|place| {
        for compress in ["false", "true"] {
            let place = Place { directory: tempfile::tempdir().unwrap(), ..*place };
            let mut writer =
                place.writer(&[("max-size", place.small), ("max-file", "3"), ("compress", compress)]);
            write_lines(&mut *writer, 0..40);
            writer.close().unwrap();
            let gz = if compress == "true" { ".gz" } else { "" };
            assert_eq!(place.names(), ["c.log".to_owned(), format!("c.log.1{gz}"), format!("c.log.2{gz}")]);
            let all = place.read(Query::default());
            assert!(all.len() > 10 && all.len() < 40, "{}", all.len());
            assert_eq!(all, lines(40 - all.len() as i64..40));
            let query = Query { tail: Tail::Last(10), ..Query::default() };
            assert_eq!(place.read(query), lines(30..40));
            let size = logs::size(&place.path());
            let names = place.names();
            let there = names.iter().map(|n| place.path().with_file_name(n).metadata().unwrap().len());
            assert_eq!(size, there.sum::<u64>());
        }
    });
}

#[test]
fn one_file_is_emptied_in_place() {
    each(|place| {
        let mut writer = place.writer(&[("max-size", place.small), ("max-file", "1"), ("compress", "false")]);
        write_lines(&mut *writer, 0..12);
        assert_eq!(place.names().len(), 1);
        let all = place.read(Query::default());
        assert_eq!(all, lines(12 - all.len() as i64..12));
        assert!(all.len() < 12);
    });
}

#[test]
fn a_follower_sees_every_line_over_rotation_and_compression() {
    each(|place| {
        for (files, compress) in [("3", "false"), ("3", "true"), ("80", "true")] {
            let place = Place { directory: tempfile::tempdir().unwrap(), ..*place };
            let mut writer =
                place.writer(&[("max-size", place.small), ("max-file", files), ("compress", compress)]);
            let mut reader = place.reader(Query { follow: true, ..Query::default() });
            let mut seen = drain(&mut reader);
            let mut n = 0;
            // Batches that stay inside one file and batches that jump over several.
            for batch in [1, 2, 9, 1, 12, 15, 1, 1, 30] {
                write_lines(&mut *writer, n..n + batch);
                n += batch;
                while writer.idle().unwrap() {}
                wait_readable(&reader);
                reader.clear_events().unwrap();
                seen.extend(drain(&mut reader));
                if files == "80" {
                    assert_eq!(seen, lines(0..n));
                }
            }
            assert_eq!(seen.last(), lines(n - 1..n).last());
            assert!(!reader.is_finished());
        }
    });
}

#[test]
fn what_is_written_after_a_reader_came_is_for_followers() {
    each(|place| {
        let mut writer = place.writer(&[("compress", "false")]);
        write_lines(&mut *writer, 0..5);
        let last = Query { tail: Tail::Last(1), ..Query::default() };
        let mut readers = [place.reader(Query::default()), place.reader(last)];
        let mut follower = place.reader(Query { follow: true, ..last });
        write_lines(&mut *writer, 5..9);
        let [all, one] = &mut readers;
        assert_eq!((drain(all), drain(one)), (lines(0..5), lines(4..5)));
        assert_eq!(drain(&mut follower), lines(4..9));
    });
}

#[test]
fn readers_beside_a_writer_that_rotates_without_end_see_each_line_once() {
    each(|place| {
        let mut writer =
            place.writer(&[("max-size", place.small), ("max-file", "999"), ("compress", "false")]);
        let mut follower = place.reader(Query { follow: true, ..Query::default() });
        std::thread::scope(|scope| {
            let writing = scope.spawn(move || {
                for n in 0..2000 {
                    write_lines(&mut *writer, n..n + 1);
                }
            });
            let mut seen = Vec::new();
            while seen.len() < 2000 {
                seen.extend(drain(&mut follower));
                assert_eq!(seen, lines(0..seen.len() as i64));
                // Whoever comes in between sees all from the first on.
                let before = place.read(Query::default());
                assert_eq!(before, lines(0..before.len() as i64));
                assert!(before.len() >= seen.len());
                assert!(!writing.is_finished() || place.read(Query::default()).len() == 2000);
            }
        });
    });
}

#[test]
fn a_follower_sees_a_file_that_is_emptied() {
    each(|place| {
        let mut writer = place.writer(&[("max-size", place.small), ("max-file", "1"), ("compress", "false")]);
        let mut reader = place.reader(Query { follow: true, ..Query::default() });
        for n in 0..30 {
            write_lines(&mut *writer, n..n + 1);
            assert_eq!(drain(&mut reader), lines(n..n + 1));
        }
    });
}

#[test]
fn a_cleared_log_is_empty_and_goes_on() {
    each(|place| {
        let mut writer = place.writer(&[("max-size", place.small), ("max-file", "4"), ("compress", "true")]);
        write_lines(&mut *writer, 0..30);
        let mut follower = place.reader(Query { follow: true, ..Query::default() });
        drain(&mut follower);
        writer.clear().unwrap();
        assert_eq!((place.names(), logs::size(&place.path())), (vec!["c.log".to_owned()], 0));
        assert_eq!(drain(&mut follower), [""; 0]);
        write_lines(&mut *writer, 30..32);
        assert_eq!(place.read(Query::default()), lines(30..32));
        assert_eq!(drain(&mut follower), lines(30..32));
        // Without a writer.
        drop(writer);
        logs::clear(&place.path()).unwrap();
        assert_eq!(place.read(Query::default()), [""; 0]);
        logs::clear(&place.directory.path().join("never/written")).unwrap();
    });
}

#[test]
fn damage_costs_one_line_only() {
    each(|place| {
        let mut writer = place.writer(&[]);
        write_lines(&mut *writer, 0..2);
        let mut bytes = std::fs::read(place.path()).unwrap();
        let half = bytes[..bytes.len() / 4].to_vec();
        // The first record is spoiled, a crash left half a record in the middle and at the end.
        bytes[3] = b'\xff';
        bytes.extend_from_slice(&half);
        if place.format == Format::JsonFile {
            bytes.push(b'\n');
        }
        std::fs::write(place.path(), bytes).unwrap();
        write_lines(&mut *writer, 2..4);
        let mut bytes = std::fs::read(place.path()).unwrap();
        bytes.extend_from_slice(&half);
        std::fs::write(place.path(), bytes).unwrap();
        assert_eq!(place.read(Query::default()), lines(1..4));
        let query = Query { tail: Tail::Last(2), ..Query::default() };
        let last = place.read(query);
        assert_eq!(last, lines(2..4), "{:?}", place.format);
    });
}

#[test]
fn a_full_disk_is_told_and_the_writer_goes_on() {
    for driver in ["json-file", "local"] {
        let mut writer = logs::open(&destination(driver, &[], Path::new("/dev/full")), no_forwarder).unwrap();
        for n in 0..3 {
            let error = writer.write(Stream::Stdout, format!("line {n}\n").as_bytes(), at(n)).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
            assert!(error.to_string().starts_with("log file /dev/full: "), "{error}");
        }
    }
}

fn wait_readable(reader: &Reader) {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let fd = reader.event_fd().unwrap();
        let timeout = Timespec { tv_sec: 1, tv_nsec: 0 };
        if poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&timeout)).unwrap() > 0 {
            return;
        }
        assert!(Instant::now() < deadline, "no event");
    }
}

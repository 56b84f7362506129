//! What every log driver that keeps its records must do, and what is particular to `json-file`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use logs::{Destination, LogWriter, Query, Reader, Stream, Tail};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

fn destination(dir: &Path, options: &[(&str, &str)]) -> Destination {
    let options: BTreeMap<_, _> = options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let attrs = match options.contains_key("labels") {
        true => BTreeMap::from([("team".to_owned(), "a b".to_owned())]),
        false => BTreeMap::new(),
    };
    logs::resolve("json-file", &options, &attrs, dir.join("c-json.log")).unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::new(second, 0).unwrap()
}

fn read(dir: &Path, query: Query) -> Vec<String> {
    let mut reader = Reader::open(&dir.join("c-json.log"), query).unwrap();
    drain(&mut reader)
}

fn drain(reader: &mut Reader) -> Vec<String> {
    let mut out = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        let text = String::from_utf8(entry.bytes).unwrap();
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
    let dir = tempfile::tempdir().unwrap();
    let mut writer = logs::open(&destination(dir.path(), &[("labels", "team")])).unwrap();
    writer.write(Stream::Stdout, b"one\ntw", at(1)).unwrap();
    writer.write(Stream::Stderr, b"oops\n", at(2)).unwrap();
    writer.write(Stream::Stdout, b"o\n\xffend", at(3)).unwrap();
    writer.close().unwrap();
    let mut reader = Reader::open(&dir.path().join("c-json.log"), Query::default()).unwrap();
    let first = reader.next_entry().unwrap().unwrap();
    assert_eq!(first.details(), "team=a+b");
    assert_eq!(first.timestamp(), "1970-01-01T00:00:01.000000000Z");
    assert!(!first.is_partial());
    assert_eq!(drain(&mut reader), ["err oops", "out two", "out \u{fffd}end"]);
    assert!(reader.is_finished());
}

#[test]
fn since_until_and_tail_choose() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = logs::open(&destination(dir.path(), &[])).unwrap();
    write_lines(&mut *writer, 0..10);
    let query = Query { since: Some(at(3)), until: Some(at(5)), ..Query::default() };
    assert_eq!(read(dir.path(), query), lines(3..6));
    for (n, from) in [(0, 10), (3, 7), (10, 0), (99, 0)] {
        let query = Query { tail: Tail::Last(n), ..Query::default() };
        assert_eq!(read(dir.path(), query), lines(from..10), "tail {n}");
    }
}

#[test]
fn rotation_keeps_the_newest_files_and_reads_through_them() {
    for compress in ["false", "true"] {
        let dir = tempfile::tempdir().unwrap();
        let options = [("max-size", "700"), ("max-file", "3"), ("compress", compress)];
        let mut writer = logs::open(&destination(dir.path(), &options)).unwrap();
        write_lines(&mut *writer, 0..40);
        writer.close().unwrap();
        let mut names: Vec<_> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        let expected = if compress == "true" {
            ["c-json.log", "c-json.log.1.gz", "c-json.log.2.gz"]
        } else {
            ["c-json.log", "c-json.log.1", "c-json.log.2"]
        };
        assert_eq!(names, expected);
        let all = read(dir.path(), Query::default());
        assert!(all.len() > 15 && all.len() < 40, "{}", all.len());
        assert_eq!(all, lines(40 - all.len() as i64..40));
        let query = Query { tail: Tail::Last(15), ..Query::default() };
        assert_eq!(read(dir.path(), query), lines(25..40));
    }
}

#[test]
fn one_file_is_emptied_in_place() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = logs::open(&destination(dir.path(), &[("max-size", "700")])).unwrap();
    write_lines(&mut *writer, 0..12);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    let all = read(dir.path(), Query::default());
    assert_eq!(all, lines(12 - all.len() as i64..12));
    assert!(all.len() < 12);
}

#[test]
fn a_follower_sees_every_line_over_rotation_and_compression() {
    for (files, compress) in [("3", "false"), ("3", "true"), ("50", "true")] {
        let dir = tempfile::tempdir().unwrap();
        let options = [("max-size", "700"), ("max-file", files), ("compress", compress)];
        let mut writer = logs::open(&destination(dir.path(), &options)).unwrap();
        let query = Query { follow: true, ..Query::default() };
        let mut reader = Reader::open(&dir.path().join("c-json.log"), query).unwrap();
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
            if files == "50" {
                assert_eq!(seen, lines(0..n));
            }
        }
        assert_eq!(seen.last(), lines(n - 1..n).last());
        assert!(!reader.is_finished());
    }
}

#[test]
fn a_follower_sees_a_file_that_is_emptied() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = logs::open(&destination(dir.path(), &[("max-size", "700")])).unwrap();
    let query = Query { follow: true, ..Query::default() };
    let mut reader = Reader::open(&dir.path().join("c-json.log"), query).unwrap();
    for n in 0..30 {
        write_lines(&mut *writer, n..n + 1);
        assert_eq!(drain(&mut reader), lines(n..n + 1));
    }
}

#[test]
fn damage_costs_one_line_only() {
    let dir = tempfile::tempdir().unwrap();
    let mut writer = logs::open(&destination(dir.path(), &[])).unwrap();
    write_lines(&mut *writer, 0..2);
    let path = dir.path().join("c-json.log");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[3] = b'\xff';
    bytes.extend_from_slice(b"{\"log\":\"half of a rec");
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(read(dir.path(), Query::default()), lines(1..2));
}

#[test]
fn a_full_disk_is_told_and_the_writer_goes_on() {
    use logs::JsonFileDestination;
    let full = JsonFileDestination {
        path: "/dev/full".into(),
        file_bytes_max: None,
        files_max: 1,
        compress: false,
        attrs: None,
    };
    let mut writer = logs::open(&Destination::JsonFile(full)).unwrap();
    for n in 0..3 {
        let error = writer.write(Stream::Stdout, format!("line {n}\n").as_bytes(), at(n)).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
        assert!(error.to_string().starts_with("log file /dev/full: "), "{error}");
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

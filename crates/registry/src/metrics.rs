//! Counters, in Prometheus' text format.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Upper bounds of the histogram of durations, in seconds.
const BOUNDS: [f64; 9] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 10.0, 60.0];

#[derive(Debug, Default)]
pub(crate) struct Metrics {
    /// By kind of request, method and status. A few dozen at most; held to add one.
    requests: Mutex<BTreeMap<(&'static str, String, u16), Count>>,
    in_flight: AtomicI64,
    /// Announced lengths of bodies.
    sent_bytes: AtomicU64,
}

#[derive(Debug, Default)]
struct Count {
    requests: u64,
    seconds: f64,
    buckets: [u64; BOUNDS.len()],
}

impl Metrics {
    pub(crate) fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn end(&self, kind: &'static str, method: &str, status: u16, took: Duration, bytes: u64) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.sent_bytes.fetch_add(bytes, Ordering::Relaxed);
        // Methods come from outside: whatever is not known is one.
        let method = match method {
            "GET" | "HEAD" | "PUT" | "POST" | "PATCH" | "DELETE" => method,
            _ => "other",
        };
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let count = requests.entry((kind, method.to_owned(), status)).or_default();
        count.requests += 1;
        count.seconds += took.as_secs_f64();
        for (bucket, bound) in count.buckets.iter_mut().zip(BOUNDS) {
            *bucket += u64::from(took.as_secs_f64() <= bound);
        }
    }

    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        let name = "wharf_registry_http_request_duration_seconds";
        let _ = writeln!(out, "# HELP {name} Time until the head of the answer.\n# TYPE {name} histogram");
        for ((kind, method, status), count) in &*self.requests.lock().unwrap_or_else(PoisonError::into_inner)
        {
            let labels = format!("handler=\"{kind}\",method=\"{method}\",code=\"{status}\"");
            for (bucket, bound) in count.buckets.iter().zip(BOUNDS) {
                let _ = writeln!(out, "{name}_bucket{{{labels},le=\"{bound}\"}} {bucket}");
            }
            let _ = writeln!(out, "{name}_bucket{{{labels},le=\"+Inf\"}} {}", count.requests);
            let _ = writeln!(out, "{name}_sum{{{labels}}} {}", count.seconds);
            let _ = writeln!(out, "{name}_count{{{labels}}} {}", count.requests);
        }
        let gauge = "wharf_registry_http_in_flight_requests";
        let in_flight = self.in_flight.load(Ordering::Relaxed);
        let _ = writeln!(
            out,
            "# HELP {gauge} Requests without an answer yet.\n# TYPE {gauge} gauge\n{gauge} {in_flight}"
        );
        let counter = "wharf_registry_http_sent_bytes_total";
        let sent = self.sent_bytes.load(Ordering::Relaxed);
        let _ = writeln!(
            out,
            "# HELP {counter} Lengths of bodies of answers.\n# TYPE {counter} counter\n{counter} {sent}"
        );
        out
    }
}

//! The small ports: clock, ids, seccomp compiler.

use std::sync::Arc;
use std::time::Duration;

use engine::ports::{BoxFuture, Clock, Ids, SeccompCompiler};
use oci::runtime::LinuxSeccomp;
use rustix::rand::{GetRandomFlags, getrandom};

#[derive(Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> jiff::Timestamp {
        jiff::Timestamp::now()
    }
    fn steady(&self) -> Duration {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        // Neither is ever negative.
        Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
    }
    fn sleep(&self, for_: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(for_))
    }
}

/// Digits of an id that people see, and that are the default host name.
const SHORT: usize = 12;

#[derive(Debug)]
pub struct RandomIds;

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // Up to 256 bytes come whole, once the kernel's pool is ready.
    getrandom(&mut bytes, GetRandomFlags::empty()).expect("the kernel has random numbers");
    bytes
}

impl Ids for RandomIds {
    fn id(&self) -> String {
        use std::fmt::Write as _;
        loop {
            let id = random::<32>().iter().fold(String::with_capacity(64), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            });
            // As in Docker: a short id of digits alone would be taken for a number (as a host name it is even an
            // address). One in 280 is.
            if !id.bytes().take(SHORT).all(|digit| digit.is_ascii_digit()) {
                return id;
            }
        }
    }
    fn number(&self) -> u64 {
        u64::from_ne_bytes(random())
    }
}

/// Docker's profiles, compiled by `runtime`.
#[derive(Debug)]
pub struct Seccomp;

impl SeccompCompiler for Seccomp {
    fn compile(&self, profile_json: Option<&str>, capabilities: &[String]) -> Result<Arc<[u8]>, String> {
        let resolved = self.resolve(profile_json, capabilities)?;
        let filter = runtime::seccomp::compile(&resolved).map_err(|error| error.to_string())?;
        if filter.notifies() {
            return Err("SCMP_ACT_NOTIFY needs a listener, which the engine does not have".into());
        }
        // With its flags: a profile may ask for SECCOMP_FILTER_FLAG_LOG or SPEC_ALLOW.
        Ok(shim::protocol::seccomp_bytes(&filter).into())
    }

    fn resolve(&self, profile_json: Option<&str>, capabilities: &[String]) -> Result<LinuxSeccomp, String> {
        use runtime::seccomp::{Host, Profile, default_profile};
        let host = Host::detect();
        let resolved = match profile_json {
            None => default_profile().resolve(capabilities, host),
            Some(text) => {
                Profile::parse(text.as_bytes()).and_then(|profile| profile.resolve(capabilities, host))
            }
        };
        resolved.map_err(|error| error.to_string())
    }
}

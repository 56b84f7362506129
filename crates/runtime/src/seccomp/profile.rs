//! Docker's profile format (`--security-opt seccomp=profile.json`): the runtime spec's filter, with conditions
//! on capabilities, architecture and kernel.

use oci::runtime::{Action, Arch, ArgRule, LinuxSeccomp, SyscallRule};
use serde::{Deserialize, Deserializer, Serialize};

use super::Error;
use super::arch::Abi;

/// A profile as it stands in a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    /// For calls that no rule names.
    pub default_action: Action,
    /// Its error number; `EPERM` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_errno_ret: Option<u32>,
    /// ABIs, given outright ...
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub architectures: Vec<Arch>,
    /// ... or by the machine's own.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub arch_map: Vec<ArchMap>,
    /// `SECCOMP_FILTER_FLAG_*`.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    /// A unix socket for the listener of `SCMP_ACT_NOTIFY`.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub listener_path: String,
    /// Handed over with it.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub listener_metadata: String,
    /// The rules.
    #[serde(default, deserialize_with = "nullable")]
    pub syscalls: Vec<Rule>,
}

/// The ABIs beside a machine's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchMap {
    /// The machine's.
    pub architecture: Arch,
    /// Those that its kernel runs too.
    #[serde(rename = "subArchitectures", default, deserialize_with = "nullable")]
    pub sub_architectures: Vec<Arch>,
}

/// A rule with its conditions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// One call: the form of Docker before 1.13.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Several.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// What happens.
    pub action: Action,
    /// With this error number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno_ret: Option<u32>,
    /// If all of these hold.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<ArgRule>,
    /// For people.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// The rule counts only where all of this holds ...
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Condition::is_empty")]
    pub includes: Condition,
    /// ... and none of this.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Condition::is_empty")]
    pub excludes: Condition,
}

/// What a rule may ask about container and machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// `CAP_SYS_ADMIN`
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub caps: Vec<String>,
    /// Go's names: `amd64`.
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "Vec::is_empty")]
    pub arches: Vec<String>,
    /// `4.8`
    #[serde(default, deserialize_with = "nullable", skip_serializing_if = "String::is_empty")]
    pub min_kernel: String,
}

impl Condition {
    fn is_empty(&self) -> bool {
        *self == Condition::default()
    }
}

/// The machine that conditions are held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Host {
    /// The kernel's own ABI.
    pub abi: Abi,
    /// Major and minor version of the kernel.
    pub kernel: (u32, u32),
}

impl Host {
    /// This one.
    pub fn detect() -> Host {
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        Host { abi: Abi::NATIVE, kernel: version(&release).unwrap_or((0, 0)) }
    }
}

/// `6.18.44-fc` is (6, 18).
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

impl Profile {
    /// Reads a profile file.
    pub fn parse(json: &[u8]) -> Result<Profile, Error> {
        Ok(serde_json::from_slice(json)?)
    }

    /// Decides every condition, for a container with `capabilities` (`CAP_...`; those it is bounded by).
    ///
    /// # Errors
    /// Both forms of naming ABIs or calls are used at once, or a kernel version is not one.
    pub fn resolve<S: AsRef<str>>(&self, capabilities: &[S], host: Host) -> Result<LinuxSeccomp, Error> {
        let both = |a: &str, b: &str| {
            Error::Invalid(format!(
                "both '{a}' and '{b}' are specified in the seccomp profile, use either '{a}' or '{b}'"
            ))
        };
        if !self.architectures.is_empty() && !self.arch_map.is_empty() {
            return Err(both("architectures", "archMap"));
        }
        let mut architectures = self.architectures.clone();
        if let Some(map) = self.arch_map.iter().find(|m| m.architecture == host.abi.spec()) {
            architectures.push(map.architecture);
            architectures.extend(&map.sub_architectures);
        }
        let mut syscalls = Vec::with_capacity(self.syscalls.len());
        for rule in &self.syscalls {
            if !rule.name.is_empty() && !rule.names.is_empty() {
                return Err(both("name", "names"));
            }
            if !applies(rule, capabilities, host)? {
                continue;
            }
            let names = if rule.name.is_empty() { rule.names.clone() } else { vec![rule.name.clone()] };
            syscalls.push(SyscallRule {
                names,
                action: rule.action,
                errno_ret: rule.errno_ret,
                args: rule.args.clone(),
            });
        }
        Ok(LinuxSeccomp {
            default_action: self.default_action,
            default_errno_ret: self.default_errno_ret,
            architectures,
            flags: self.flags.clone(),
            listener_path: self.listener_path.clone(),
            listener_metadata: self.listener_metadata.clone(),
            syscalls,
        })
    }
}

fn applies<S: AsRef<str>>(rule: &Rule, capabilities: &[S], host: Host) -> Result<bool, Error> {
    let has = |cap: &String| capabilities.iter().any(|c| c.as_ref() == cap);
    let runs = |condition: &Condition| condition.arches.iter().any(|a| a == host.abi.go_name());
    let reached = |condition: &Condition| match condition.min_kernel.as_str() {
        "" => Ok(None),
        text => version(text)
            .map(|wanted| Some(host.kernel >= wanted))
            .ok_or_else(|| Error::Invalid(format!("invalid kernel version {text:?} in the seccomp profile"))),
    };
    let Rule { includes, excludes, .. } = rule;
    let excluded = runs(excludes) || excludes.caps.iter().any(has) || reached(excludes)? == Some(true);
    let included = (includes.arches.is_empty() || runs(includes))
        && includes.caps.iter().all(has)
        && reached(includes)? != Some(false);
    Ok(included && !excluded)
}

/// Go writes an empty list as `null`.
fn nullable<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

//! Ports in a record: many side by side are written as one, `20000-29999/tcp`, since a record is written, synced and read
//! whole. Everywhere else each has its own name.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::spec::PortBinding;

/// Fewer are written one by one, as they always were.
const RUN_MIN: usize = 16;

/// Ports of one protocol, one after the other, that have something in common.
struct Run<'a, T> {
    protocol: &'a str,
    first: u16,
    last: u16,
    common: T,
}

impl<T> Run<'_, T> {
    fn key(&self) -> String {
        format!("{}-{}/{}", self.first, self.last, self.protocol)
    }
}

/// Finds runs, and what is in none. Of each port is said what it has in common with neighbours, if it may have any.
fn runs<'a, T: Copy + PartialEq>(
    ports: impl Iterator<Item = (&'a String, Option<T>)>,
) -> (Vec<Run<'a, T>>, Vec<&'a String>) {
    let mut others = Vec::new();
    let mut parsed = Vec::new();
    for (name, common) in ports {
        match parse(name).zip(common) {
            Some(((protocol, number), common)) => parsed.push((protocol, number, common, name)),
            None => others.push(name),
        }
    }
    parsed.sort_unstable_by_key(|(protocol, number, ..)| (*protocol, *number));
    let mut found = Vec::new();
    for run in parsed.chunk_by(|a, b| (a.0, a.2) == (b.0, b.2) && a.1.checked_add(1) == Some(b.1)) {
        let ((protocol, first, common, _), (_, last, ..)) = (run[0], run[run.len() - 1]);
        match run.len() {
            RUN_MIN.. => found.push(Run { protocol, first, last, common }),
            _ => others.extend(run.iter().map(|(.., name)| *name)),
        }
    }
    (found, others)
}

/// `80/tcp`, and nothing that would be written otherwise.
fn parse(port: &str) -> Option<(&str, u16)> {
    let (digits, protocol) = port.split_once('/')?;
    let is_plain = digits == "0" || !digits.starts_with(['0', '+']);
    digits.parse().ok().filter(|_| is_plain).map(|number| (protocol, number))
}

/// `20000-29999/tcp`.
fn parse_run(key: &str) -> Option<(u16, u16, &str)> {
    let (numbers, protocol) = key.split_once('/')?;
    let (first, last) = range(numbers)?;
    Some((first, last, protocol))
}

fn range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?))
}

/// Of a set of ports.
pub(super) mod ports {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(all: &BTreeSet<String>, to: S) -> Result<S::Ok, S::Error> {
        let (runs, others) = runs(all.iter().map(|port| (port, Some(()))));
        let mut written: BTreeSet<String> = others.into_iter().cloned().collect();
        written.extend(runs.iter().map(Run::key));
        written.serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeSet<String>, D::Error> {
        let mut all = BTreeSet::new();
        for port in Vec::<String>::deserialize(from)? {
            match parse_run(&port) {
                Some((first, last, protocol)) => {
                    all.extend((first..=last).map(|n| format!("{n}/{protocol}")))
                }
                None => drop(all.insert(port)),
            }
        }
        Ok(all)
    }
}

/// Of ports with places on the host. A run has one place for each, and the same numbers apart; or the same for all, in
/// which the kernel's choice is.
pub(super) mod bindings {
    use super::*;

    type All = BTreeMap<String, Vec<PortBinding>>;

    fn common<'a>(port: &str, bindings: &'a [PortBinding]) -> Option<(&'a str, Option<i32>)> {
        let [PortBinding { host_ip, host_port }] = bindings else { return None };
        let (_, number) = parse(port)?;
        let apart = match host_port.as_str() {
            "" => None,
            text => {
                let there: u16 = text.parse().ok()?;
                if there == 0 || there.to_string() != text {
                    return None;
                }
                Some(i32::from(there) - i32::from(number))
            }
        };
        Some((host_ip, apart))
    }

    pub(crate) fn serialize<S: Serializer>(all: &All, to: S) -> Result<S::Ok, S::Error> {
        let (runs, others) = runs(all.iter().map(|(port, bindings)| (port, common(port, bindings))));
        let mut written: All = others.into_iter().map(|port| (port.clone(), all[port].clone())).collect();
        for run in runs {
            let (host_ip, apart) = run.common;
            let host_port = match apart {
                None => String::new(),
                Some(apart) => {
                    let [first, last] = [run.first, run.last].map(|port| i32::from(port) + apart);
                    format!("{first}-{last}")
                }
            };
            written.insert(run.key(), vec![PortBinding { host_ip: host_ip.to_owned(), host_port }]);
        }
        written.serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<All, D::Error> {
        let mut all = All::new();
        for (port, bindings) in All::deserialize(from)? {
            let (Some((first, last, protocol)), [PortBinding { host_ip, host_port }]) =
                (parse_run(&port), &bindings[..])
            else {
                all.insert(port, bindings);
                continue;
            };
            let there = range(host_port).map(|(there, _)| there);
            for number in first..=last {
                let there = there.map(|there| there.saturating_add(number - first).to_string());
                let one = PortBinding { host_ip: host_ip.clone(), host_port: there.unwrap_or_default() };
                all.insert(format!("{number}/{protocol}"), vec![one]);
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use crate::container::{ContainerSpec, PortBinding};
    use serde_json::{Value, json};

    fn spec(bindings: impl IntoIterator<Item = (String, Vec<(&'static str, String)>)>) -> ContainerSpec {
        let mut spec = ContainerSpec::default();
        for (port, places) in bindings {
            let place = |(ip, host_port): (&str, String)| PortBinding { host_ip: ip.to_owned(), host_port };
            spec.exposed_ports.insert(port.clone());
            spec.host.port_bindings.insert(port, places.into_iter().map(place).collect());
        }
        spec
    }

    /// What is written of it, which is read as it was.
    fn written(spec: &ContainerSpec) -> [Value; 2] {
        let text = serde_json::to_string(spec).unwrap();
        assert_eq!(serde_json::from_str::<ContainerSpec>(&text).unwrap(), *spec);
        let mut value: Value = serde_json::from_str(&text).unwrap();
        [value["exposed_ports"].take(), value["host"]["port_bindings"].take()]
    }

    #[test]
    fn many_side_by_side_are_one() {
        // Over a place where names are not in the order of numbers.
        let ports = (9_000..19_000).map(|n| (format!("{n}/tcp"), vec![("", (n + 1).to_string())]));
        let place = json!([{"host_ip": "", "host_port": "9001-19000"}]);
        assert_eq!(written(&spec(ports)), [json!(["9000-18999/tcp"]), json!({ "9000-18999/tcp": place })]);
        let any = (1..=16).map(|n| (format!("{n}/udp"), vec![("127.0.0.1", String::new())]));
        let place = json!([{"host_ip": "127.0.0.1", "host_port": ""}]);
        assert_eq!(written(&spec(any)), [json!(["1-16/udp"]), json!({ "1-16/udp": place })]);
    }

    #[test]
    fn what_has_nothing_in_common_is_written_as_it_is() {
        let few = (1..16).map(|n| (format!("{n}/tcp"), vec![("", n.to_string())]));
        assert_eq!(written(&spec(few))[1].as_object().unwrap().len(), 15);
        let places = |n: u16| match n % 4 {
            0 => vec![("", n.to_string()), ("127.0.0.1", n.to_string())],
            1 => vec![("", "8000-9000".to_owned())],
            2 => vec![("", format!("0{n}"))],
            _ => Vec::new(),
        };
        let many = (1..=100).map(|n| (format!("{n}/tcp"), places(n)));
        assert_eq!(written(&spec(many))[1].as_object().unwrap().len(), 100);
        let odd = ["0080/tcp", "+81/tcp", "x", "82", "70000/tcp", "65535/tcp", "0/tcp"];
        let odd = odd.map(|port| (port.to_owned(), vec![("", "80".to_owned())]));
        assert_eq!(written(&spec(odd))[1].as_object().unwrap().len(), 7);
        let to_the_last = (65_520..=65_535).map(|n| (format!("{n}/tcp"), vec![("", n.to_string())]));
        assert_eq!(written(&spec(to_the_last))[0], json!(["65520-65535/tcp"]));
    }
}

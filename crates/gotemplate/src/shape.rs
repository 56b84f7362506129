//! What JSON does not say about Docker's objects: which of them are structs, and what is behind a `null`, or a member that
//! is left out. Docker's templates see Go's values, and print them in Go's way: `[]`, `map[]`, `<nil>`, `{no 0}`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use gotmpl::Value;
use serde_json::Value as Json;

use crate::data::{Beside, Data, convert};

/// A type, as far as templates tell the difference.
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// As it is in JSON.
    Any,
    /// `""` where it is left out.
    Text,
    /// 0 where it is left out.
    Number,
    /// False where it is left out.
    Bool,
    /// A moment, printed with blanks and its zone.
    Time,
    /// Nanoseconds, printed as `1m30s`.
    Duration,
    /// A member that JSON calls by another name.
    Called(&'static str, &'static Shape),
    /// What may be nil.
    Pointer(&'static Shape),
    /// Of one kind of thing; nil is an empty one.
    List(&'static Shape),
    /// By names of the user's choosing; nil is an empty one.
    Map(&'static Shape),
    /// As a map, but its keys are no texts (ports, say): `index` finds nothing there by a text.
    Keyed(&'static Shape),
    /// The members in the order in which Go prints them, by Go's names. JSON's may have other capitals, and are known, too.
    Struct(&'static [(&'static str, Shape)]),
}

impl Data {
    /// From a JSON value whose type is known.
    #[must_use]
    pub fn of(json: &Json, shape: &Shape) -> Self {
        let mut data = Self::from_json(&Json::Null);
        data.value = Maker(&mut data.beside).make(Some(json), shape);
        data
    }
}

struct Maker<'a>(&'a mut Beside);

impl Maker<'_> {
    fn make(&mut self, json: Option<&Json>, shape: &Shape) -> Value {
        match (shape, json.filter(|json| !json.is_null())) {
            (Shape::Any, None) => Value::Nil,
            (Shape::Text, None) => Value::String("".into()),
            (Shape::Number, None) => Value::Int(0),
            (Shape::Bool, None) => Value::Bool(false),
            (Shape::Time, None) => self.printed(true, Json::Null, time(ZERO).unwrap_or_default()),
            (Shape::Duration, None) => self.printed(false, Json::from(0), duration(0)),
            (Shape::Called(_, of), json) => self.make(json, of),
            (Shape::Pointer(_), None) => self.nothing("<nil>"),
            (Shape::List(_), None) => self.nothing("[]"),
            (Shape::Map(_) | Shape::Keyed(_), None) => self.nothing("map[]"),
            (Shape::Struct(_), None) => self.make(Some(&Json::Object(Default::default())), shape),
            (Shape::Time, Some(json @ Json::String(at))) => match time(at) {
                Some(text) => self.printed(true, json.clone(), text),
                None => convert(json, &mut self.0.order),
            },
            (Shape::Duration, Some(Json::Number(ns))) => {
                let ns = ns.as_i64().unwrap_or_default();
                self.printed(ns != 0, Json::from(ns), duration(ns))
            }
            (Shape::Pointer(of), json) => self.make(json, of),
            (Shape::List(of), Some(Json::Array(items))) => {
                Value::List(items.iter().map(|item| self.make(Some(item), of)).collect())
            }
            (Shape::Map(of) | Shape::Keyed(of), Some(json @ Json::Object(members))) => {
                let made = members.iter().map(|(name, member)| (&**name, self.make(Some(member), of)));
                let made = made.map(|(name, member)| (Arc::from(name), member)).collect();
                let (value, identity) = self.keep(made, json.clone());
                if matches!(shape, Shape::Keyed(_)) {
                    self.0.keyed.insert(identity);
                }
                value
            }
            (Shape::Struct(fields), Some(json @ Json::Object(members))) => {
                // What the struct does not know, its JSON may.
                let mut made: BTreeMap<Arc<str>, Value> = BTreeMap::new();
                for (name, member) in members {
                    made.insert(Arc::from(name.as_str()), convert(member, &mut self.0.order));
                }
                let mut texts = Vec::new();
                for (name, shape) in *fields {
                    let called = if let Shape::Called(called, _) = shape { called } else { name };
                    let wire = members.iter().find(|(wire, _)| wire.eq_ignore_ascii_case(called));
                    let member = self.make(wire.map(|(_, member)| member), shape);
                    texts.push(text(&member, &self.0.texts));
                    if let Some((wire, _)) = wire {
                        made.insert(Arc::from(wire.as_str()), member.clone());
                    }
                    made.insert(Arc::from(*name), member);
                }
                let (value, identity) = self.keep(made, json.clone());
                self.0.texts.insert(identity, format!("{{{}}}", texts.join(" ")));
                value
            }
            (_, Some(json)) => convert(json, &mut self.0.order),
        }
    }

    /// Nil: an empty map is as false, as short and as empty, whatever it is called when it is printed.
    fn nothing(&mut self, printed: &str) -> Value {
        self.printed(false, Json::Null, printed.to_owned())
    }

    /// A value with a text of its own; a map that holds something is true.
    fn printed(&mut self, is_true: bool, json: Json, text: String) -> Value {
        let members = is_true.then(|| (Arc::from(""), Value::Nil)).into_iter().collect();
        let (value, identity) = self.keep(members, json);
        self.0.texts.insert(identity, text);
        value
    }

    fn keep(&mut self, members: BTreeMap<Arc<str>, Value>, json: Json) -> (Value, usize) {
        let map = Arc::new(members);
        // The map lives as long as the `Data`, so its address names it for that long.
        let identity = Arc::as_ptr(&map) as usize;
        self.0.order.insert(identity, json);
        (Value::Map(map), identity)
    }
}

const ZERO: &str = "0001-01-01T00:00:00Z";

/// `2026-01-02T03:04:05.6Z` is `2026-01-02 03:04:05.6 +0000 UTC`; a zone without a name is called by its distance.
fn time(text: &str) -> Option<String> {
    let (date, rest) = text.split_once('T')?;
    let (clock, zone) = rest.split_at(rest.find(['Z', '+', '-'])?);
    let zone = zone.replace(':', "");
    Some(match zone.as_str() {
        "Z" => format!("{date} {clock} +0000 UTC"),
        zone => format!("{date} {clock} {zone} {zone}"),
    })
}

/// As Go's `time.Duration` is printed.
fn duration(ns: i64) -> String {
    let sign = if ns < 0 { "-" } else { "" };
    let ns = ns.unsigned_abs();
    // Whole ones, and what is left without zeros at its end.
    let of = |unit: u64, name: &str, digits: usize| {
        let rest = format!("{:0digits$}", ns % unit);
        let rest = rest.trim_end_matches('0');
        let point = if rest.is_empty() || unit == 1 { String::new() } else { format!(".{rest}") };
        format!("{}{point}{name}", ns / unit)
    };
    let seconds = ns / 1_000_000_000;
    let text = match ns {
        0 => "0s".to_owned(),
        1..1_000 => of(1, "ns", 0),
        1_000..1_000_000 => of(1_000, "µs", 3),
        1_000_000..1_000_000_000 => of(1_000_000, "ms", 6),
        _ => {
            let whole = of(1_000_000_000, "s", 9);
            let fraction = whole.trim_start_matches(|c: char| c.is_ascii_digit());
            match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
                (0, 0, seconds) => format!("{seconds}{fraction}"),
                (0, minutes, seconds) => format!("{minutes}m{seconds}{fraction}"),
                (hours, minutes, seconds) => format!("{hours}h{minutes}m{seconds}{fraction}"),
            }
        }
    };
    format!("{sign}{text}")
}

/// A value as Go's `fmt` prints it. A pointer within a struct is printed as what it points to: Go prints where that is.
pub(crate) fn text(value: &Value, texts: &HashMap<usize, String>) -> String {
    match value {
        Value::Nil => "<nil>".to_owned(),
        Value::String(text) => text.to_string(),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(|item| text(item, texts)).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Map(map) => match texts.get(&(Arc::as_ptr(map) as usize)) {
            Some(known) => known.clone(),
            None => {
                let members: Vec<String> =
                    map.iter().map(|(name, member)| format!("{name}:{}", text(member, texts))).collect();
                format!("map[{}]", members.join(" "))
            }
        },
        other => other.to_string(),
    }
}

/// Sends what each action prints through `go_text`, which knows how Go does it.
pub(crate) fn with_printing(source: &str) -> String {
    let mut printing = String::with_capacity(source.len() + 32);
    let mut rest = source;
    while let Some(open) = rest.find("{{") {
        let inside = &rest[open + 2..];
        let Some(length) = length(inside) else { break };
        let (action, after) = inside.split_at(length);
        printing.push_str(&rest[..open + 2]);
        match action.strip_suffix(" -") {
            _ if !prints(action) => printing.push_str(action),
            Some(action) => printing.push_str(&format!("{action} | go_text -")),
            None => printing.push_str(&format!("{action} | go_text")),
        }
        rest = after;
    }
    printing.push_str(rest);
    printing
}

/// Up to the action's `}}`, which may stand in its texts as well.
fn length(inside: &str) -> Option<usize> {
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in inside.char_indices() {
        match quote {
            _ if std::mem::take(&mut escaped) => {}
            Some(open) if c == open => quote = None,
            Some('`') => {}
            Some(_) => escaped = c == '\\',
            None if matches!(c, '"' | '`' | '\'') => quote = Some(c),
            None if inside[at..].starts_with("}}") => return Some(at),
            None => {}
        }
    }
    None
}

/// Neither a comment, nor a piece of the template's structure, nor what gives a name to something.
fn prints(action: &str) -> bool {
    const STRUCTURE: [&str; 11] =
        ["if", "else", "end", "range", "with", "template", "block", "define", "break", "continue", "/*"];
    let action = action.strip_prefix('-').unwrap_or(action).trim();
    let word = action.split(|c: char| c.is_whitespace() || c == '(').next().unwrap_or_default();
    let names = action.starts_with('$')
        && action.split_once('=').is_some_and(|(name, _)| {
            let name = name.trim_end_matches(':').trim_end();
            name[1..].chars().all(|c| c.is_alphanumeric() || c == '_')
        });
    !action.is_empty() && !action.starts_with("/*") && !STRUCTURE.contains(&word) && !names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Missing, Template};
    use serde_json::json;

    const OBJECT: Shape = Shape::Struct(&[
        ("State", Shape::Pointer(&STATE)),
        ("Binds", Shape::List(&Shape::Text)),
        ("Labels", Shape::Map(&Shape::Text)),
        ("Ports", Shape::Map(&Shape::List(&BINDING))),
        ("Exposed", Shape::Keyed(&Shape::Struct(&[]))),
        ("Init", Shape::Pointer(&Shape::Bool)),
        ("SIGNAL", Shape::Text),
        ("Size", Shape::Number),
        ("More", Shape::Called("Extra", &Shape::Any)),
    ]);
    const STATE: Shape = Shape::Struct(&[
        ("Status", Shape::Text),
        ("ExitCode", Shape::Number),
        ("Health", Shape::Pointer(&Shape::Any)),
    ]);
    const BINDING: Shape = Shape::Struct(&[("HostIP", Shape::Text), ("HostPort", Shape::Text)]);

    fn of(template: &str) -> Result<String, String> {
        let object = json!({
            "State": {"ExitCode": 3, "Status": "exited"},
            "Binds": null,
            "Labels": null,
            "Ports": {"80/tcp": [{"HostIp": "", "HostPort": "99"}], "81/udp": null},
            "Signal": "TERM",
            "Exposed": {"80/tcp": {}},
            "Extra": {"a": [1, null]},
        });
        Template::parse(template)
            .and_then(|template| template.execute(&Data::of(&object, &OBJECT), Missing::Key))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn values_are_printed_as_in_go() {
        for (template, expected) in [
            ("{{.State}}", "{exited 3 <nil>}"),
            ("{{.Binds}} {{.Labels}} {{.Init}} {{.State.Health}}", "[] map[] <nil> <nil>"),
            ("{{.Signal}}|{{.SIGNAL}}|{{.Size}}", "TERM|TERM|0"),
            ("{{.Ports}}", "map[80/tcp:[{ 99}] 81/udp:[]]"),
            ("{{index .Ports \"80/tcp\"}}", "[{ 99}]"),
            ("{{(index (index .Ports \"80/tcp\") 0).HostPort}}", "99"),
            ("{{.Exposed}}{{range $port, $_ := .Exposed}} {{$port}}{{end}}", "map[80/tcp:{}] 80/tcp"),
            ("{{.Extra}} {{.More.a}}", "map[a:[1 <nil>]] [1 <nil>]"),
            (
                "{{json .Binds}} {{json .State}} {{json .Init}}",
                "null {\"ExitCode\":3,\"Status\":\"exited\"} null",
            ),
            ("{{len .Binds}}{{range .Binds}}x{{else}}none{{end}}{{if .Init}}x{{end}}", "0none"),
            ("{{join .Binds \",\"}}|{{ .Size -}} x", "|0x"),
            ("{{with $s := .State}}{{$s.Status}}{{end}}{{/* }} */}}", "exited"),
            ("{{$a := .Size}}{{$a}}{{$a = 4}}{{$a}}{{\"}}\"}}", "04}}"),
            ("{{.Labels.nope}}", "<no value>"),
        ] {
            assert_eq!(of(template).as_deref(), Ok(expected), "{template}");
        }
    }

    #[test]
    fn moments_and_durations() {
        for (text, printed) in [
            ("2026-01-02T03:04:05.6Z", "2026-01-02 03:04:05.6 +0000 UTC"),
            ("2026-01-02T03:04:05-07:00", "2026-01-02 03:04:05 -0700 -0700"),
        ] {
            assert_eq!(time(text).as_deref(), Some(printed));
        }
        assert_eq!(time("yesterday"), None);
        for (ns, printed) in [
            (0, "0s"),
            (7, "7ns"),
            (1_500, "1.5µs"),
            (500_000_000, "500ms"),
            (1_000_000_000, "1s"),
            (1_050_000_000, "1.05s"),
            (90_000_000_000, "1m30s"),
            (-3_600_000_000_000, "-1h0m0s"),
        ] {
            assert_eq!(duration(ns), printed);
        }
        const TIMES: Shape =
            Shape::Struct(&[("At", Shape::Time), ("Wait", Shape::Duration), ("None", Shape::Duration)]);
        let object = json!({"At": "2026-01-02T03:04:05Z", "Wait": 30_000_000_000_u64});
        let template = "{{.At}} {{.Wait}} {{json .}}{{json .Wait}}{{if .At}}{{if .None}}x{{end}}y{{end}}";
        let made =
            Template::parse(template).unwrap().execute(&Data::of(&object, &TIMES), Missing::Key).unwrap();
        let document = r#"{"At":"2026-01-02T03:04:05Z","Wait":30000000000}"#;
        assert_eq!(made, format!("2026-01-02 03:04:05 +0000 UTC 30s {document}30000000000y"));
    }

    #[test]
    fn nothing_has_no_members() {
        let error = of("{{.State.Health.Status}}").unwrap_err();
        assert!(error.contains("map has no entry for key \"Status\""), "{error}");
        assert!(of("{{.Nope}}").is_err());
        let error = of("{{index .Exposed \"80/tcp\"}}").unwrap_err();
        assert!(error.contains("error calling index: value has type string"), "{error}");
        assert!(of("{{.Size | }}").unwrap_err().starts_with("template: :1: "));
    }
}

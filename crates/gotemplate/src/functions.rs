//! Docker's functions beside Go's own.

use std::cell::RefCell;
use std::sync::Arc;

use gotmpl::{Result, Template, TemplateError, Value};
use serde_json::Value as Json;

use crate::data::{Beside, Data};
use crate::shape;

thread_local! {
    /// Of the execution that runs on this thread. A function of a template receives only its arguments, so what stands
    /// beside them comes this way; an execution never leaves its thread.
    static BESIDE: RefCell<Beside> = RefCell::new(Beside::default());
}

/// Runs an execution whose functions know what stands beside `data`'s values.
pub(crate) fn beside<T>(data: &Data, run: impl FnOnce() -> T) -> T {
    BESIDE.with(|beside| beside.borrow_mut().clone_from(&data.beside));
    let result = run();
    BESIDE.take();
    result
}

/// What a template is executed for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Use {
    /// Members are there; nil is the value of one.
    Rows,
    /// Members may be missing.
    Lenient,
    Header,
}

pub(crate) fn register(template: Template, use_for: Use) -> Template {
    let nil = if use_for == Use::Rows { "<nil>" } else { "<no value>" };
    let template = template.func("pad", pad).func("go_text", move |args| {
        let text = match argument("go_text", args, 0)? {
            Value::Nil => nil.to_owned(),
            value => BESIDE.with(|beside| shape::text(value, &beside.borrow().texts)),
        };
        Ok(Value::String(text.into()))
    });
    if use_for == Use::Header {
        let mut template = template;
        for name in ["json", "split", "join", "title", "lower", "upper", "truncate"] {
            template = template.func(name, |args| Ok(args.first().cloned().unwrap_or(Value::Nil)));
        }
        return template;
    }
    template
        .func("json", |args| Ok(Value::String(json_text(argument("json", args, 0)?).into())))
        .func("split", |args| {
            let (text, separator) = (text("split", args, 0)?, text("split", args, 1)?);
            let parts: Vec<Value> = if separator.is_empty() {
                text.chars().map(|c| Value::String(c.to_string().into())).collect()
            } else {
                text.split(separator).map(|part| Value::String(part.into())).collect()
            };
            Ok(Value::List(parts.into()))
        })
        .func("join", join)
        .func("title", |args| {
            let mut start = true;
            let titled: String = text("title", args, 0)?
                .chars()
                .map(|c| {
                    let upper = start;
                    start = !(c.is_alphanumeric() || c == '_' || c == '\'');
                    if upper { c.to_ascii_uppercase() } else { c }
                })
                .collect();
            Ok(Value::String(titled.into()))
        })
        .func("index", index)
        .func("lower", |args| Ok(Value::String(text("lower", args, 0)?.to_lowercase().into())))
        .func("upper", |args| Ok(Value::String(text("upper", args, 0)?.to_uppercase().into())))
        .func("truncate", |args| {
            let text = text("truncate", args, 0)?;
            let mut end = usize::try_from(number("truncate", args, 1)?).unwrap_or(0).min(text.len());
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            Ok(Value::String(text[..end].into()))
        })
}

/// Go's, whose maps know what they hold: a missing key of a map of texts is an empty text. Here a map of nothing but texts is
/// taken for one.
fn index(args: &[Value]) -> Result<Value> {
    let mut value = argument("index", args, 0)?.clone();
    argument("index", args, 1)?;
    for key in &args[1..] {
        if let Value::Map(map) = &value
            && BESIDE.with(|beside| beside.borrow().keyed.contains(&(Arc::as_ptr(map) as usize)))
        {
            return Err(TemplateError::Exec("error calling index: value has type string".to_owned()));
        }
        let holds_texts = match &value {
            Value::Map(map) => map.values().all(|member| matches!(member, Value::String(_))),
            _ => false,
        };
        value = match value.index(key)? {
            Value::Nil if holds_texts => Value::String("".into()),
            found => found,
        };
    }
    Ok(value)
}

fn pad(args: &[Value]) -> Result<Value> {
    let text = text("pad", args, 0)?;
    let spaces =
        |at| Ok::<_, TemplateError>(" ".repeat(usize::try_from(number("pad", args, at)?).unwrap_or(0)));
    if text.is_empty() {
        return Ok(Value::String("".into()));
    }
    Ok(Value::String(format!("{}{text}{}", spaces(1)?, spaces(2)?).into()))
}

fn join(args: &[Value]) -> Result<Value> {
    let separator = text("join", args, 1)?;
    let joined = match argument("join", args, 0)? {
        Value::Nil => String::new(),
        Value::List(items) => items.iter().map(ToString::to_string).collect::<Vec<_>>().join(separator),
        Value::Map(map) => {
            let mut items: Vec<String> = map.values().map(ToString::to_string).collect();
            items.sort();
            items.join(separator)
        }
        other => {
            return Err(TemplateError::Exec(format!(
                "error calling join: expected slice, got {}",
                other.type_name()
            )));
        }
    };
    Ok(Value::String(joined.into()))
}

/// JSON as Docker's `json` writes it: rows, which marshal themselves, with HTML escapes, everything else without.
fn json_text(value: &Value) -> String {
    match value {
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(json_text).collect();
            format!("[{}]", items.join(","))
        }
        Value::Map(map) => {
            let identity = Arc::as_ptr(map) as usize;
            if BESIDE.with(|beside| beside.borrow().rows.contains(&identity)) {
                let text = json(value).to_string();
                // These three stand in texts only.
                return text.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e");
            }
            if BESIDE.with(|beside| beside.borrow().order.contains_key(&identity)) {
                return json(value).to_string();
            }
            let members: Vec<String> = map
                .iter()
                .filter(|(_, value)| !value.is_function())
                .map(|(name, value)| format!("{}:{}", Json::from(name.as_ref()), json_text(value)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        other => json(other).to_string(),
    }
}

/// Go's `encoding/json` without HTML escapes: structs in their order, maps sorted, functions left out.
fn json(value: &Value) -> Json {
    match value {
        Value::Nil | Value::Function(_) => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Int(value) => Json::from(*value),
        Value::Uint(value) => Json::from(*value),
        Value::Float(value) => Json::from(*value),
        Value::String(text) => Json::String(text.to_string()),
        Value::List(items) => Json::Array(items.iter().map(json).collect()),
        Value::Map(map) => BESIDE
            .with(|beside| beside.borrow().order.get(&(Arc::as_ptr(map) as usize)).cloned())
            .unwrap_or_else(|| {
                let members = map.iter().filter(|(_, value)| !value.is_function());
                Json::Object(members.map(|(name, value)| (name.to_string(), json(value))).collect())
            }),
    }
}

fn argument<'a>(name: &str, args: &'a [Value], at: usize) -> Result<&'a Value> {
    args.get(at).ok_or_else(|| {
        TemplateError::Exec(format!(
            "wrong number of args for {name}: want at least {} got {}",
            at + 1,
            args.len()
        ))
    })
}

fn text<'a>(name: &str, args: &'a [Value], at: usize) -> Result<&'a str> {
    let value = argument(name, args, at)?;
    match value {
        Value::Nil => Ok(""),
        value => value.as_str().ok_or_else(|| {
            TemplateError::Exec(format!("wrong type for value; expected string; got {}", value.type_name()))
        }),
    }
}

fn number(name: &str, args: &[Value], at: usize) -> Result<i64> {
    let value = argument(name, args, at)?;
    value.as_int().ok_or_else(|| {
        TemplateError::Exec(format!("wrong type for value; expected int; got {}", value.type_name()))
    })
}

//! What a template is applied to.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use gotmpl::Value;
use serde_json::Value as Json;

/// The data of one execution.
#[derive(Debug)]
pub struct Data {
    pub(crate) value: Value,
    pub(crate) beside: Beside,
}

/// What values do not say, by the identity of their maps: these live as long as the data, so their addresses name them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Beside {
    /// Go's maps are sorted, structs are not: `{{json .State}}` prints members in the order they were declared. Values are
    /// sorted maps, so the order of each JSON object is kept here.
    pub(crate) order: HashMap<usize, Json>,
    /// Docker's rows make their own JSON, with HTML escapes.
    pub(crate) rows: HashSet<usize>,
    /// How Go prints structs, and what is nil.
    pub(crate) texts: HashMap<usize, String>,
    /// Maps whose keys are no texts.
    pub(crate) keyed: HashSet<usize>,
}

impl Beside {
    fn extend(&mut self, other: Beside) {
        self.order.extend(other.order);
        self.rows.extend(other.rows);
        self.texts.extend(other.texts);
        self.keyed.extend(other.keyed);
    }
}

impl Data {
    /// From a JSON value, keeping the order of its objects for `json`.
    #[must_use]
    pub fn from_json(json: &Json) -> Self {
        let mut beside = Beside::default();
        let value = convert(json, &mut beside.order);
        Self { value, beside }
    }

    /// A row of a table: named cells, with the labels that `.Label "key"` looks into.
    #[must_use]
    pub fn row<'a>(
        cells: impl IntoIterator<Item = (&'a str, Json)>,
        labels: Option<BTreeMap<String, String>>,
    ) -> Self {
        let mut beside = Beside::default();
        let order = &mut beside.order;
        let mut map: BTreeMap<Arc<str>, Value> =
            cells.into_iter().map(|(name, cell)| (Arc::from(name), convert(&cell, order))).collect();
        if let Some(labels) = labels {
            map.insert(
                Arc::from("Label"),
                Value::Function(Arc::new(move |args: &[Value]| {
                    let key = args.first().and_then(Value::as_str).unwrap_or_default();
                    Ok(Value::String(labels.get(key).map_or("", String::as_str).into()))
                })),
            );
        }
        let map = Arc::new(map);
        beside.rows.insert(Arc::as_ptr(&map) as usize);
        Self { value: Value::Map(map), beside }
    }

    /// How a cell is printed that is an object: Go's method `String`.
    #[must_use]
    pub fn printed(mut self, name: &str, text: String) -> Self {
        if let Value::Map(cells) = &self.value
            && let Some(Value::Map(cell)) = cells.get(name)
        {
            self.beside.texts.insert(Arc::as_ptr(cell) as usize, text);
        }
        self
    }

    /// Lists of rows, each with its name.
    #[must_use]
    pub fn lists<'a>(lists: impl IntoIterator<Item = (&'a str, Vec<Data>)>) -> Self {
        let mut beside = Beside::default();
        let mut map: BTreeMap<Arc<str>, Value> = BTreeMap::new();
        for (name, list) in lists {
            let mut values = Vec::new();
            for row in list {
                beside.extend(row.beside);
                values.push(row.value);
            }
            map.insert(Arc::from(name), Value::List(values.into()));
        }
        Self { value: Value::Map(Arc::new(map)), beside }
    }

    /// Column titles; `.Label "com.example.some-thing"` becomes `some thing`.
    #[must_use]
    pub fn titles<'a>(titles: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut map: BTreeMap<Arc<str>, Value> =
            titles.into_iter().map(|(name, title)| (Arc::from(name), Value::String(title.into()))).collect();
        map.insert(
            Arc::from("Label"),
            Value::Function(Arc::new(|args: &[Value]| {
                let key = args.first().and_then(Value::as_str).unwrap_or_default();
                let last = key.rsplit('.').next().unwrap_or_default();
                Ok(Value::String(last.replace(['-', '_'], " ").into()))
            })),
        );
        Self { value: Value::Map(Arc::new(map)), beside: Beside::default() }
    }
}

pub(crate) fn convert(json: &Json, order: &mut HashMap<usize, Json>) -> Value {
    match json {
        Json::Null => Value::Nil,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(value), _) => Value::Int(value),
            (None, Some(value)) => Value::Uint(value),
            (None, None) => Value::Float(number.as_f64().unwrap_or_default()),
        },
        Json::String(text) => Value::String(text.as_str().into()),
        Json::Array(items) => Value::List(items.iter().map(|item| convert(item, order)).collect()),
        Json::Object(members) => {
            let map: BTreeMap<Arc<str>, Value> = members
                .iter()
                .map(|(name, member)| (Arc::from(name.as_str()), convert(member, order)))
                .collect();
            let map = Arc::new(map);
            order.insert(Arc::as_ptr(&map) as usize, json.clone());
            Value::Map(map)
        }
    }
}

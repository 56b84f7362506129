//! JSON as Go's `encoding/json` reads and writes it.
//!
//! Docker's clients rely on what that decoder forgives: `null` leaves a field at its zero value, keys match
//! in any case, unknown keys are skipped, short arrays are filled up. Instead of annotating every field, one
//! [`Deserializer`] does so for every type of this crate. Errors name the path of the field.
//! Reference: <https://pkg.go.dev/encoding/json#Unmarshal>.

mod tree;

pub use tree::Tree;

use serde::de::value::CowStrDeserializer;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer, forward_to_deserialize_any};
use serde_json::Error;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::marker::PhantomData;

/// Reads one JSON document with Go's leniency. Text after the document is an error.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    from_tree(Tree::from_slice(bytes)?)
}

/// Like [`from_slice`], for a document that is parsed already.
pub fn from_tree<T: DeserializeOwned>(tree: Tree<'_>) -> Result<T, Error> {
    T::deserialize(Go(tree))
}

/// What Go's `omitempty` omits: false, 0, "", an empty list or map, an absent pointer.
pub fn is_zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What has a length, for [`null_if_empty`].
pub trait Emptiable {
    fn holds_nothing(&self) -> bool;
}

impl<T> Emptiable for Vec<T> {
    fn holds_nothing(&self) -> bool {
        self.is_empty()
    }
}

impl<K, V> Emptiable for BTreeMap<K, V> {
    fn holds_nothing(&self) -> bool {
        self.is_empty()
    }
}

/// Writes a nil slice or map as Go does.
pub fn null_if_empty<T: Emptiable + Serialize, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
    if value.holds_nothing() { to.serialize_none() } else { value.serialize(to) }
}

/// Reads a map that may have tens of thousands of entries, which is made at once: entry by entry it is looked for the place of
/// each.
pub fn large_map<'de, V, D>(from: D) -> Result<BTreeMap<String, V>, D::Error>
where
    V: Deserialize<'de>,
    D: Deserializer<'de>,
{
    struct Pairs<V>(PhantomData<V>);
    impl<'de, V: Deserialize<'de>> Visitor<'de> for Pairs<V> {
        type Value = BTreeMap<String, V>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a map")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut pairs = Vec::new();
            while let Some(pair) = map.next_entry()? {
                pairs.push(pair);
            }
            // Of two with one key the later one stays, as anywhere.
            Ok(pairs.into_iter().collect())
        }
    }
    from.deserialize_map(Pairs(PhantomData))
}

/// Reads a list of strings, or one string that stands for a list of one (`Cmd`, `Entrypoint` of old clients).
pub fn string_or_list<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    struct V;
    impl<'de> Visitor<'de> for V {
        type Value = Vec<String>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a string or a list of strings")
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Vec::new())
        }
        fn visit_str<E>(self, s: &str) -> Result<Self::Value, E> {
            Ok(vec![s.to_owned()])
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut list = Vec::new();
            while let Some(item) = seq.next_element()? {
                list.push(item);
            }
            Ok(list)
        }
    }
    from.deserialize_any(V)
}

/// [`string_or_list`] where absent differs from empty.
pub fn optional_string_or_list<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<String>>, D::Error> {
    string_or_list(from).map(Some)
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Standard base64 with padding: how Go writes a `[]byte`.
pub fn base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = u32::from_be_bytes([
            0,
            chunk[0],
            chunk.get(1).copied().unwrap_or(0),
            chunk.get(2).copied().unwrap_or(0),
        ]);
        for i in 0..4 {
            if i <= chunk.len() {
                out.push(char::from(ALPHABET[(word >> (18 - 6 * i)) as usize & 63]));
            } else {
                out.push('=');
            }
        }
    }
    out
}

/// What [`base64`] has written; `None` if it has not.
pub fn from_base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').as_bytes();
    let mut out = Vec::with_capacity(digits.len() * 3 / 4);
    for chunk in digits.chunks(4) {
        let mut word: u32 = 0;
        for digit in chunk {
            let value = ALPHABET.iter().position(|known| known == digit)?;
            word = word << 6 | u32::try_from(value).ok()?;
        }
        let bytes = (word << (6 * (4 - chunk.len()))).to_be_bytes();
        out.extend_from_slice(&bytes[1..chunk.len()]);
    }
    Some(out)
}

struct Go<'de>(Tree<'de>);

impl<'de> Go<'de> {
    fn mismatch<V: Visitor<'de>>(self, visitor: V) -> Error {
        let seen = match &self.0 {
            Tree::Null => "null",
            Tree::Bool(_) => "bool",
            Tree::Number(_) => "number",
            Tree::String(_) => "string",
            Tree::Array(_) => "array",
            Tree::Object(_) => "object",
        };
        Error::custom(format_args!("cannot unmarshal {seen} into {}", &visitor as &dyn serde::de::Expected))
    }
}

macro_rules! zero {
    ($($method:ident => $visit:ident($zero:expr);)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            match self.0 {
                Tree::Null => visitor.$visit($zero),
                _ => self.deserialize_any(visitor),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Go<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Tree::Array(items) => visitor.visit_seq(Items(items.into_iter())),
            Tree::Object(_) => self.deserialize_map(visitor),
            Tree::Null => visitor.visit_unit(),
            Tree::Bool(value) => visitor.visit_bool(value),
            Tree::Number(value) => value.deserialize_any(visitor),
            Tree::String(Cow::Borrowed(text)) => visitor.visit_borrowed_str(text),
            Tree::String(Cow::Owned(text)) => visitor.visit_string(text),
        }
    }

    zero! {
        deserialize_bool => visit_bool(false);
        deserialize_i8 => visit_i64(0);
        deserialize_i16 => visit_i64(0);
        deserialize_i32 => visit_i64(0);
        deserialize_i64 => visit_i64(0);
        deserialize_u8 => visit_u64(0);
        deserialize_u16 => visit_u64(0);
        deserialize_u32 => visit_u64(0);
        deserialize_u64 => visit_u64(0);
        deserialize_f32 => visit_f64(0.0);
        deserialize_f64 => visit_f64(0.0);
        deserialize_str => visit_str("");
        deserialize_string => visit_str("");
        deserialize_seq => visit_seq(Items(Vec::new().into_iter()));
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if matches!(self.0, Tree::Null) { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    /// A Go array: missing elements are zero, surplus ones are dropped.
    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Error> {
        let mut items = match self.0 {
            Tree::Array(items) => items,
            Tree::Null => Vec::new(),
            _ => return Err(self.mismatch(visitor)),
        };
        items.resize(len, Tree::Null);
        visitor.visit_seq(Items(items.into_iter()))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let entries = match self.0 {
            Tree::Object(fields) => fields,
            Tree::Null => Vec::new(),
            _ => return Err(self.mismatch(visitor)),
        };
        visitor.visit_map(Entries::new(entries))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let mut entries = match self.0 {
            Tree::Object(given) => given,
            Tree::Null => Vec::new(),
            _ => return Err(self.mismatch(visitor)),
        };
        entries.retain_mut(|(key, value)| {
            let is_name = |field: &&&str| field.eq_ignore_ascii_case(key);
            let field = fields.iter().find(|field| **field == *key).or_else(|| fields.iter().find(is_name));
            *key = Cow::Borrowed(field.copied().unwrap_or_default());
            field.is_some() && !matches!(value, Tree::Null)
        });
        // Of two keys that differ at most in case the later one wins.
        for at in (0..entries.len()).rev() {
            if entries[at + 1..].iter().any(|(later, _)| *later == entries[at].0) {
                entries.remove(at);
            }
        }
        visitor.visit_map(Entries::new(entries))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.into_value().deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        i128 u128 char bytes byte_buf unit unit_struct tuple_struct identifier ignored_any
    }
}

struct Items<'de>(std::vec::IntoIter<Tree<'de>>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        self.0.next().map(|item| seed.deserialize(Go(item))).transpose()
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

struct Entries<'de> {
    rest: std::vec::IntoIter<(Cow<'de, str>, Tree<'de>)>,
    current: Option<(Cow<'de, str>, Tree<'de>)>,
}

impl<'de> Entries<'de> {
    fn new(entries: Vec<(Cow<'de, str>, Tree<'de>)>) -> Self {
        Self { rest: entries.into_iter(), current: None }
    }
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some((key, value)) = self.rest.next() else { return Ok(None) };
        // Of a borrowed one this copies no text.
        let name = CowStrDeserializer::<Error>::new(key.clone());
        self.current = Some((key, value));
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        let Some((key, value)) = self.current.take() else {
            return Err(Error::custom("a value was asked for before its key"));
        };
        seed.deserialize(Go(value)).map_err(|e| {
            // "HostConfig: Memory: invalid ..." reads as a path: "HostConfig.Memory: invalid ...".
            let inner = e.to_string();
            match inner.split_once(": ") {
                Some((path, _))
                    if path.bytes().all(|b| b.is_ascii_alphanumeric() || b"./_-[]".contains(&b)) =>
                {
                    Error::custom(format_args!("{key}.{inner}"))
                }
                _ => Error::custom(format_args!("{key}: {inner}")),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, rename_all = "PascalCase")]
    struct Sample {
        name: String,
        count: i64,
        on: bool,
        list: Vec<String>,
        inner: Option<Inner>,
        map: BTreeMap<String, Inner>,
        size: [u64; 2],
        #[serde(deserialize_with = "string_or_list")]
        cmd: Vec<String>,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, rename_all = "PascalCase")]
    struct Inner {
        memory: i64,
    }

    #[test]
    fn null_case_and_unknown_keys_are_forgiven() {
        let got: Sample = from_slice(
            br#"{"NAME":"x","count":null,"List":[null,"a"],"Nope":{"a":1},"Inner":{"memory":3},
                "Map":{"k":null},"Size":[7],"Cmd":"true"}"#,
        )
        .unwrap();
        assert_eq!(got.name, "x");
        assert_eq!(got.list, ["", "a"]);
        assert_eq!(got.inner, Some(Inner { memory: 3 }));
        assert_eq!(got.map["k"], Inner::default(), "a null in a map keeps its key");
        assert_eq!(got.size, [7, 0]);
        assert_eq!(got.cmd, ["true"]);
        assert_eq!(from_slice::<Sample>(b"null").unwrap(), Sample::default());
    }

    #[test]
    fn the_later_of_two_keys_wins() {
        assert_eq!(from_slice::<Sample>(br#"{"name":"a","Name":"b","NAME":"c"}"#).unwrap().name, "c");
    }

    #[test]
    fn errors_name_the_path() {
        let e = from_slice::<Sample>(br#"{"Inner":{"Memory":"12"}}"#).unwrap_err().to_string();
        assert!(e.starts_with("Inner.Memory: invalid type: string"), "{e}");
        let e = from_slice::<Sample>(br#"{"Inner":[1]}"#).unwrap_err().to_string();
        assert!(e.starts_with("Inner: cannot unmarshal array"), "{e}");
        assert!(from_slice::<Sample>(b"{} {}").is_err());
    }

    #[test]
    fn base64_as_go_writes_it() {
        for bytes in [&b""[..], b"a", b"ab", b"abc", b"abcd"] {
            assert_eq!(from_base64(&base64(bytes)).as_deref(), Some(bytes));
        }
        assert_eq!(base64(b""), "");
        assert_eq!(base64(b"\x10"), "EA==");
        assert_eq!(base64(b"\x10\x11"), "EBE=");
        assert_eq!(base64(b"foobar"), "Zm9vYmFy");
    }
}

//! Where the subnets of networks come from for which nobody names one.

use net::{AddressPool, Ipv4Net};
use serde_json::Value;

use super::Config;

impl Config {
    /// `--default-address-pool base=10.10.0.0/16,size=24`, or the same as objects in the file. None: the built-in ones.
    ///
    /// # Errors
    /// One that cannot be cut so.
    pub(crate) fn address_pools(&self) -> Result<Vec<AddressPool>, String> {
        let said = self.values.get("default-address-pool").and_then(Value::as_array);
        said.into_iter().flatten().map(pool).collect()
    }
}

fn pool(value: &Value) -> Result<AddressPool, String> {
    let (mut base, mut size) = (String::new(), String::new());
    let mut put = |key: &str, text: String| {
        match key {
            "base" => base = text,
            "size" => size = text,
            other => return Err(format!("unexpected key '{other}' in the default address pool {value}")),
        }
        Ok(())
    };
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                put(&key.to_lowercase(), value.as_str().map_or_else(|| value.to_string(), str::to_owned))?;
            }
        }
        value => {
            for field in value.as_str().unwrap_or_default().split(',') {
                let (key, text) = field
                    .split_once('=')
                    .ok_or_else(|| format!("invalid field '{field}' must be a key=value pair"))?;
                put(&key.to_lowercase(), text.trim().to_owned())?;
            }
        }
    }
    if base.contains(':') {
        return Err(format!("the default address pool {base} is of IPv6, which is not built yet"));
    }
    let base: Ipv4Net = base.parse().map_err(|_| format!("invalid base pool {base:?}: not a network"))?;
    let bad = || format!("invalid pool size {size:?} of {base}: from {} to 30", base.prefix_len());
    let size: u8 = size.parse().map_err(|_| bad())?;
    match (base.prefix_len()..=30).contains(&size) {
        true => Ok(AddressPool { base, size }),
        false => Err(format!("invalid pool size {size} of {base}: from {} to 30", base.prefix_len())),
    }
}

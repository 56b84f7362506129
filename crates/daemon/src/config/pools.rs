//! What networks get that nobody names for them: subnets, and options of their driver.

use std::collections::BTreeMap;

use net::{AddressPool, IpNet, Ipv6Net};
use serde_json::Value;
use sha2::{Digest, Sha256};

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

    /// `--default-network-opt bridge=com.docker.network.driver.mtu=1400`, or the same as objects in the file: by driver.
    ///
    /// # Errors
    /// One that is none.
    pub(crate) fn network_options(&self) -> Result<BTreeMap<String, BTreeMap<String, String>>, String> {
        let mut all: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        let mut put = |driver: &str, key: &str, value: &str| match driver {
            "bridge" | "macvlan" | "ipvlan" => {
                all.entry(driver.to_owned()).or_default().insert(key.to_owned(), value.to_owned());
                Ok(())
            }
            other => Err(format!("default-network-opts: there is no network driver {other}")),
        };
        match self.values.get("default-network-opt") {
            Some(Value::Object(drivers)) => {
                for (driver, options) in drivers {
                    let wrong =
                        || format!("default-network-opts: {driver}: not an object of texts: {options}");
                    for (key, value) in options.as_object().ok_or_else(wrong)? {
                        put(driver, key, value.as_str().ok_or_else(wrong)?)?;
                    }
                }
            }
            said => {
                for text in said.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
                    let wrong = || format!("invalid default-network-opt {text:?}: must be driver=key=value");
                    let (driver, option) = text.split_once('=').ok_or_else(wrong)?;
                    let (key, value) = option.split_once('=').ok_or_else(wrong)?;
                    put(driver, key, value)?;
                }
            }
        }
        Ok(all)
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
    let base: IpNet = base.parse().map_err(|_| format!("invalid base pool {base:?}: not a network"))?;
    let most = if base.addr().is_ipv4() { 30 } else { 126 };
    let bad = || format!("invalid pool size {size:?} of {base}: from {} to {most}", base.prefix_len());
    let size: u8 = size.parse().map_err(|_| bad())?;
    match (base.prefix_len()..=most).contains(&size) {
        true => Ok(AddressPool { base, size }),
        false => Err(format!("invalid pool size {size} of {base}: from {} to {most}", base.prefix_len())),
    }
}

/// Where subnets of IPv6 come from that nobody names: a prefix of this engine's own (RFC 4193), as Docker derives it.
/// 65,536 of them.
pub(crate) fn own_prefix(engine_id: &str) -> AddressPool {
    let digest = Sha256::digest(engine_id.as_bytes());
    let mut prefix = [0u8; 16];
    prefix[0] = 0xfd;
    prefix[1..6].copy_from_slice(&digest[3..8]);
    AddressPool { base: IpNet::V6(Ipv6Net::new_assert(prefix.into(), 48)), size: 64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_docker_s() {
        for (id, prefix) in
            [("", "fd42:98fc:1c14::/48"), ("499d4bc0-b0b3-416f-b1ee-cf6486315593", "fd62:fb69:18af::/48")]
        {
            assert_eq!(own_prefix(id).base.to_string(), prefix);
        }
    }
}

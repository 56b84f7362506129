//! Hardware addresses.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::error::Error;

/// An Ethernet address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Mac(pub [u8; 6]);

/// The address Docker derives from an IPv4 address: `02:42` and its four bytes. Being a function of the IP
/// address, it lets neighbours' ARP caches stay right when an address is given to the next container.
pub fn mac_from_ipv4(ip: Ipv4Addr) -> Mac {
    let [a, b, c, d] = ip.octets();
    Mac([0x02, 0x42, a, b, c, d])
}

/// The same where there is no IPv4 address: of the last four bytes, which are what tells a network's addresses apart.
pub fn mac_from_ipv6(ip: Ipv6Addr) -> Mac {
    let [.., a, b, c, d] = ip.octets();
    Mac([0x02, 0x42, a, b, c, d])
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl FromStr for Mac {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let bad = || Error::BadMac(text.to_owned());
        let mut bytes = [0; 6];
        let mut parts = text.split([':', '-']);
        for byte in &mut bytes {
            let part = parts.next().filter(|p| p.len() == 2).ok_or_else(bad)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| bad())?;
        }
        // A group address cannot be an interface's own.
        if parts.next().is_some() || bytes[0] & 1 == 1 {
            return Err(bad());
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_parsed_and_printed() {
        assert_eq!(mac_from_ipv4(Ipv4Addr::new(172, 17, 0, 2)).to_string(), "02:42:ac:11:00:02");
        assert_eq!(mac_from_ipv6("fd00::1:2".parse().unwrap()).to_string(), "02:42:00:01:00:02");
        let mac: Mac = "02:42:AC-11:00:0f".parse().unwrap();
        assert_eq!(mac.to_string(), "02:42:ac:11:00:0f");
        for bad in ["", "02:42", "02:42:ac:11:00:02:03", "01:00:5e:00:00:01", "2:42:ac:11:00:02x"] {
            assert!(bad.parse::<Mac>().is_err(), "{bad}");
        }
    }
}

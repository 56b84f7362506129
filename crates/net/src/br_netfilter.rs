//! `br_netfilter`, the module that sends what bridges forward through the firewall.

use std::fs;

/// Whether what bridges forward passes the firewall, too (`br_netfilter`). The kernel then bridges what comes from a
/// container by way of a published port instead of routing it, also back to the very container.
pub(crate) fn bridges_filter() -> bool {
    fs::read("/proc/sys/net/bridge/bridge-nf-call-iptables").is_ok_and(|text| text.starts_with(b"1"))
}

/// The same of IPv6.
pub(crate) fn bridges_filter_ipv6() -> bool {
    fs::read("/proc/sys/net/bridge/bridge-nf-call-ip6tables").is_ok_and(|text| text.starts_with(b"1"))
}

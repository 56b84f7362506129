//! Carries a plan out. No decisions here.

use crate::desired::Desired;
use crate::error::{Error, Result};
use crate::firewall;
use crate::mac::Mac;
use crate::netlink::{Batch, Socket};
use crate::observe::IP_FORWARD;
use crate::plan::{Plan, Step};
use crate::sandbox::random_u32;

/// Does every step, in order, in the calling thread's network namespace.
pub(crate) fn apply(desired: &Desired, plan: &Plan, mut nft: Option<&mut Socket>) -> Result<()> {
    let mut socket = Socket::route()?;
    for step in &plan.steps {
        let mut batch = Batch::default();
        match step {
            Step::CreateBridge { name, mtu } => batch.create_bridge(name, *mtu, random_mac()?),
            Step::SetMtu { name, mtu } => batch.set_mtu(socket.link_index(name)?, *mtu),
            Step::AddAddress { name, address } => batch.add_address(socket.link_index(name)?, *address),
            Step::SetUp { name } => batch.set_up(socket.link_index(name)?),
            Step::TurnOnForwarding => {
                std::fs::write(IP_FORWARD, "1")
                    .map_err(|e| Error::kernel(format!("write {IP_FORWARD}"), e))?;
                continue;
            }
            Step::ReplaceTable { subnet, .. } => {
                if let Some(nft) = &mut nft {
                    firewall::install(desired, *subnet, nft)?;
                }
                continue;
            }
        }
        socket.send(&batch)?;
    }
    Ok(())
}

/// Docker's prefix `02:42` and four random bytes.
fn random_mac() -> Result<Mac> {
    let [a, b, c, d] = random_u32()?.to_ne_bytes();
    Ok(Mac([0x02, 0x42, a, b, c, d]))
}

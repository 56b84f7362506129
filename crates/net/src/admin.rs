//! `chain admin` in our table: the administrator's own rules, consulted before ours, which we never touch (`docs/firewall.md`).
//!
//! The table is put in order around it. If somebody takes the whole table away and the chain with it, what was in it is
//! put back from memory as far as it stands alone: a rule that names a set or another chain went with that.

use crate::desired::FirewallConfig;
use crate::error::Result;
use crate::netlink::Socket;
use crate::nft::{self, Family, RawRule, Transaction};

pub(crate) const ADMIN: &str = "admin";

/// What stands in our table beside the maps, as far as it has to be known again.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// Each rule of ours, as the kernel has it.
    ours: Vec<RawRule>,
    admin: Vec<RawRule>,
    /// How many of the administrator's rules could not be put back the last time; told once.
    lost: usize,
}

impl Memory {
    /// After the table was made, and whenever it is found in order.
    pub(crate) fn note(&mut self, config: &FirewallConfig, socket: &mut Socket) -> Result<()> {
        let (admin, ours) = split(nft::rules(socket, Family::Inet, &config.table)?);
        self.ours = ours;
        self.admin = admin;
        Ok(())
    }

    /// Whether all rules of ours are those that we have made, and no others.
    pub(crate) fn holds(&mut self, config: &FirewallConfig, socket: &mut Socket) -> Result<bool> {
        if !nft::has_chain(socket, Family::Inet, &config.table, ADMIN)? {
            return Ok(false);
        }
        let (admin, ours) = split(nft::rules(socket, Family::Inet, &config.table)?);
        self.admin = admin;
        Ok(ours == self.ours)
    }

    /// How many rules of the administrator's are gone for good.
    pub(crate) fn take_lost(&mut self) -> usize {
        std::mem::take(&mut self.lost)
    }

    /// The chain, with what is remembered of it if it is gone.
    pub(crate) fn restore(
        &mut self,
        config: &FirewallConfig,
        transaction: &mut Transaction<'_>,
        socket: &mut Socket,
        anew: bool,
    ) -> Result<()> {
        let is_there = nft::has_chain(socket, Family::Inet, &config.table, ADMIN)?;
        if is_there {
            // The engine before may have made it, and somebody has filled it meanwhile.
            self.admin = split(nft::rules(socket, Family::Inet, &config.table)?).0;
        }
        transaction.create_plain_chain(ADMIN);
        if is_there && !anew {
            return Ok(());
        }
        let (alone, lost): (Vec<_>, Vec<_>) = self.admin.iter().partition(|rule| rule.stands_alone());
        self.lost += lost.len();
        alone.into_iter().for_each(|rule| transaction.append_raw(ADMIN, rule));
        Ok(())
    }
}

fn split(rules: Vec<RawRule>) -> (Vec<RawRule>, Vec<RawRule>) {
    rules.into_iter().partition(|rule| rule.chain == ADMIN)
}

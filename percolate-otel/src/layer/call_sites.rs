//! The call sites of the process that one Layer has classified. They are only ever added, and read
//! without a lock.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use arc_swap::ArcSwap;
use tracing_core::Metadata;
use tracing_core::callsite::Identifier;

use super::call_site::CallSite;

/// `None` for a call site whose spans are not checked.
type Map = HashMap<Identifier, Option<&'static CallSite>, BuildHasherDefault<PointerHasher>>;

/// All classified call sites.
#[derive(Debug, Default)]
pub(crate) struct CallSites(ArcSwap<Map>);

impl CallSites {
    /// Returns the call site, which is classified first if it is new.
    pub(crate) fn get_or_classify(
        &self,
        metadata: &'static Metadata<'static>,
        classify: impl FnOnce() -> Option<CallSite>,
    ) -> Option<&'static CallSite> {
        let id = metadata.callsite();
        if let Some(known) = self.0.load().get(&id) {
            return *known;
        }
        // A call site lives as long as the process, and so does its classification: spans refer to
        // it for free.
        let site = classify().map(|site| -> &'static CallSite { Box::leak(Box::new(site)) });
        // The first thread wins, so that all spans of a call site count together.
        self.0.rcu(|sites| {
            let mut sites = Map::clone(sites);
            sites.entry(id.clone()).or_insert(site);
            sites
        });
        self.0.load().get(&id).copied().flatten()
    }

    /// Whether spans of this call site may be checked. True for a call site that is not classified
    /// yet.
    pub(crate) fn may_be_checked(&self, id: &Identifier) -> bool {
        self.0.load().get(id).is_none_or(Option::is_some)
    }

    /// Returns the call sites whose spans are checked.
    pub(crate) fn checked(&self) -> Vec<&'static CallSite> {
        self.0.load().values().copied().flatten().collect()
    }
}

/// Hashes the address of a call site.
#[derive(Debug, Default, Clone, Copy)]
struct PointerHasher(u64);

impl Hasher for PointerHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0.rotate_left(8) ^ u64::from(*byte)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }

    fn write_usize(&mut self, address: usize) {
        self.0 = (address as u64 >> 3).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}

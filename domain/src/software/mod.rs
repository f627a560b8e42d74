//! Vulnerabilities of installed programs that no update of the operating system closes: names of programs
//! become products, versions become comparable, and both meet what NVD says of a product.
//!
//! What cannot be decided is said to be unknown, and a name that nobody has mapped is listed: neither is
//! ever taken for safe.

mod catalogue;
mod judge;
mod summary;
#[cfg(test)]
mod tests;
mod version;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{ClientId, DeviceId};

pub use self::{
    catalogue::{Catalogue, Identity, Meant},
    judge::{Family, Finding, Matcher, Verdict},
    summary::{MOST_PRODUCTS, MOST_UNMATCHED, NameCount, ProductFindings, SoftwareSummary, Tally},
    version::{Reading, Rule},
};

/// Most programs that are kept of a device.
pub const MOST_PROGRAMS: usize = 2000;

/// A program as a device lists it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Program {
    /// Name, in the vendor's words.
    pub name: String,
    /// Version, in the vendor's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// What the software list of a device said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SoftwareList {
    /// Device.
    pub device: DeviceId,
    /// Its client.
    pub client: ClientId,
    /// When the list was read.
    pub read_at: Timestamp,
    /// Programs, at most [`MOST_PROGRAMS`].
    pub programs: Vec<Program>,
    /// Rows that could not be read.
    #[serde(default)]
    pub flaws: u64,
    /// Programs beyond [`MOST_PROGRAMS`], at least: the reading ends there.
    #[serde(default)]
    pub beyond: u64,
}

impl SoftwareList {
    /// Adds a later page; a program that is listed twice counts once.
    pub fn extend(&mut self, page: Self) {
        let known: std::collections::BTreeSet<Program> = self.programs.drain(..).collect();
        let mut all = known;
        all.extend(page.programs);
        self.beyond += page.beyond;
        self.flaws += page.flaws;
        self.read_at = page.read_at;
        self.programs = all.into_iter().collect();
        self.bound();
    }

    /// Keeps no more than [`MOST_PROGRAMS`], and counts the others.
    pub fn bound(&mut self) {
        let beyond = self.programs.len().saturating_sub(MOST_PROGRAMS);
        self.programs.truncate(MOST_PROGRAMS);
        self.beyond += beyond as u64;
    }
}

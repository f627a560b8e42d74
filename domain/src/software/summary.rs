//! What was found on all devices of a client, by product: bounded, whatever the size of the fleet.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
};

use jiff::{Timestamp, civil::Date};
use serde::{Deserialize, Serialize};

use super::{Family, Finding, Matcher, SoftwareList};
use crate::{
    device::Device,
    ids::{CveId, DeviceId},
    vulnerability::{cpe::Product, deadline::Deadline, version::Version},
};

/// Most products that a summary names; the others are counted.
pub const MOST_PRODUCTS: usize = 40;
/// Most names without a product that a summary lists; the others are counted.
pub const MOST_UNMATCHED: usize = 30;
/// Vulnerabilities, versions and devices that are named for a product.
const EXAMPLES: usize = 5;
/// Longest text of others that is kept, in characters.
const LONGEST: usize = 120;

/// What was found in the programs of a client's devices.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SoftwareSummary {
    /// Edition of the file that maps names to products.
    pub catalogue: String,
    /// Devices whose list is known.
    pub devices: u64,
    /// Devices whose list was never read: nothing is known of their programs.
    pub unread: u64,
    /// When the oldest of these lists was read.
    #[serde(default)]
    pub oldest: Option<Timestamp>,
    /// Programs on devices.
    pub programs: u64,
    /// Of these, how many have a name that means no product we know: nothing is said of them.
    pub unmatched: u64,
    /// Of these, how many have a version that cannot be compared.
    pub incomparable: u64,
    /// Rows that could not be read.
    pub flaws: u64,
    /// Programs beyond what is kept of a device, at least.
    pub beyond: u64,
    /// Vulnerabilities of programs on devices.
    pub findings: u64,
    /// Those of which nobody can say whether they are there.
    pub uncertain_findings: u64,
    /// Products with vulnerabilities: those that are exploited first, then by deadline and urgency.
    pub products: Vec<ProductFindings>,
    /// Products that are not named above.
    pub more_products: u64,
    /// Products of whose vulnerabilities nobody can say whether they are there.
    pub uncertain: Vec<ProductFindings>,
    /// Products that are not named above.
    pub more_uncertain: u64,
    /// Names that mean no product we know, the most frequent first.
    pub unmatched_names: Vec<NameCount>,
    /// Names that are not listed above.
    pub more_names: u64,
}

/// A product with vulnerabilities.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProductFindings {
    /// Vendor and product.
    #[serde(flatten)]
    pub product: Product,
    /// A name under which devices list it.
    pub name: String,
    /// The first of its versions that have some.
    pub versions: Vec<String>,
    /// Devices that have it in such a version.
    pub devices: u64,
    /// The first of them.
    pub examples: Vec<DeviceId>,
    /// Vulnerabilities.
    pub vulnerabilities: u64,
    /// The most urgent of them.
    pub cves: Vec<CveId>,
    /// One of them is in CISA's catalogue.
    pub in_kev: bool,
    /// The strictest deadline.
    pub band: Deadline,
    /// The earliest day.
    #[serde(default)]
    pub due: Option<Date>,
    /// That day is over.
    pub overdue: bool,
    /// Order inside the deadline, 0 to 1000; larger comes first.
    pub urgency_permille: u16,
    /// How likely exploitation of the most likely one is, 0 to 1000.
    pub exploit_permille: u16,
    /// First version without those of them for which one is named.
    #[serde(default)]
    pub fixed_in: Option<String>,
    /// Those of them for which none is named.
    pub without_fix: u64,
    /// The criterion of the most urgent one.
    pub why: String,
}

/// A name and how many devices have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameCount {
    /// Name, in the vendor's words.
    pub name: String,
    /// Devices.
    pub devices: u64,
}

/// Where a finding stands; larger comes first.
type Order = (bool, Deadline, u16);

/// A product that is being counted.
#[derive(Debug)]
struct Growing {
    worst: Order,
    found: ProductFindings,
    last: Option<DeviceId>,
    versions: BTreeSet<String>,
    /// Each vulnerability with its order and whether a version without it is named.
    cves: HashMap<CveId, (Order, bool)>,
}

/// Counts device by device.
#[derive(Debug, Default)]
pub struct Tally {
    summary: SoftwareSummary,
    products: BTreeMap<Product, Growing>,
    uncertain: BTreeMap<Product, Growing>,
    unmatched: HashMap<String, u64>,
}

impl Tally {
    /// Counts a device whose programs were never read.
    pub fn unread(&mut self) {
        self.summary.unread += 1;
    }

    /// Counts a device; records of its products have been added to the matcher.
    pub fn add(&mut self, matcher: &mut Matcher, device: &Device, list: &SoftwareList) {
        matcher.judge(Family::from(device.platform), list);
        let summary = &mut self.summary;
        summary.devices += 1;
        summary.programs += list.programs.len() as u64;
        summary.flaws += list.flaws;
        summary.beyond += list.beyond;
        summary.oldest = summary.oldest.into_iter().chain([list.read_at]).min();
        summary.incomparable += matcher.incomparable(device, list);
        let names: BTreeSet<&str> = matcher
            .unmatched(device, list)
            .inspect(|_| summary.unmatched += 1)
            .map(|program| program.name.as_str())
            .collect();
        for name in names {
            match self.unmatched.get_mut(name) {
                Some(devices) => *devices += 1,
                None => drop(self.unmatched.insert(name.to_owned(), 1)),
            }
        }
        for finding in matcher.findings(device, list) {
            let products = match finding.verdict.is_certain {
                true => {
                    self.summary.findings += 1;
                    &mut self.products
                }
                false => {
                    self.summary.uncertain_findings += 1;
                    &mut self.uncertain
                }
            };
            match products.get_mut(finding.product) {
                Some(growing) => growing.add(&device.id, &finding),
                None => {
                    let mut growing = Growing::new(&finding);
                    growing.add(&device.id, &finding);
                    products.insert(finding.product.clone(), growing);
                }
            }
        }
    }

    /// Ends with the summary.
    #[must_use]
    pub fn finish(self, matcher: &Matcher) -> SoftwareSummary {
        let (products, more_products) = sorted(self.products);
        let (uncertain, more_uncertain) = sorted(self.uncertain);
        let names = self.unmatched.into_iter();
        let mut names: Vec<NameCount> = names
            .map(|(name, devices)| NameCount { name, devices })
            .collect();
        names.sort_by(|a, b| (Reverse(a.devices), &a.name).cmp(&(Reverse(b.devices), &b.name)));
        let more_names = names.len().saturating_sub(MOST_UNMATCHED) as u64;
        names.truncate(MOST_UNMATCHED);
        for name in &mut names {
            name.name = short(&name.name);
        }
        SoftwareSummary {
            catalogue: matcher.edition().to_owned(),
            products,
            more_products,
            uncertain,
            more_uncertain,
            unmatched_names: names,
            more_names,
            ..self.summary
        }
    }
}

fn sorted(all: BTreeMap<Product, Growing>) -> (Vec<ProductFindings>, u64) {
    let mut all: Vec<Growing> = all.into_values().collect();
    all.sort_by_key(|one| (Reverse(one.worst), Reverse(one.found.devices)));
    let more = all.len().saturating_sub(MOST_PRODUCTS) as u64;
    let first = all.into_iter().take(MOST_PRODUCTS).map(Growing::done);
    (first.collect(), more)
}

fn order(finding: &Finding<'_>) -> Order {
    (finding.in_kev, finding.band, finding.urgency_permille)
}

impl Growing {
    fn new(finding: &Finding<'_>) -> Self {
        Self {
            worst: order(finding),
            found: ProductFindings {
                product: finding.product.clone(),
                name: short(&finding.program.name),
                versions: Vec::new(),
                devices: 0,
                examples: Vec::new(),
                vulnerabilities: 0,
                cves: Vec::new(),
                in_kev: false,
                band: finding.band,
                due: None,
                overdue: false,
                urgency_permille: 0,
                exploit_permille: 0,
                fixed_in: None,
                without_fix: 0,
                why: short(&finding.verdict.why),
            },
            last: None,
            versions: BTreeSet::new(),
            cves: HashMap::new(),
        }
    }

    fn add(&mut self, device: &DeviceId, finding: &Finding<'_>) {
        let (found, order) = (&mut self.found, order(finding));
        if self.last.as_ref() != Some(device) {
            self.last = Some(device.clone());
            found.devices += 1;
            if found.examples.len() < EXAMPLES {
                found.examples.push(device.clone());
            }
        }
        if order > self.worst {
            self.worst = order;
            found.why = short(&finding.verdict.why);
        }
        if let Some(version) = &finding.program.version
            && self.versions.len() < EXAMPLES
            && !self.versions.contains(version)
        {
            self.versions.insert(short(version));
        }
        found.in_kev |= finding.in_kev;
        found.band = found.band.max(finding.band);
        found.due = found.due.into_iter().chain(finding.due).min();
        found.overdue |= finding.overdue;
        found.exploit_permille = found.exploit_permille.max(finding.exploit_permille);
        let fixed_in = finding.verdict.fixed_in.as_ref();
        if let Some(fixed_in) = fixed_in
            && found
                .fixed_in
                .as_ref()
                .is_none_or(|known| Version::read(known) < Version::read(fixed_in))
        {
            found.fixed_in = Some(fixed_in.clone());
        }
        let is_named = fixed_in.is_some();
        match self.cves.get_mut(finding.cve) {
            Some(known) => *known = (known.0.max(order), known.1 && is_named),
            None => drop(self.cves.insert(finding.cve.clone(), (order, is_named))),
        }
    }

    fn done(self) -> ProductFindings {
        let mut cves: Vec<(&CveId, &(Order, bool))> = self.cves.iter().collect();
        cves.sort_by_key(|(cve, (order, _))| (Reverse(*order), *cve));
        let without_fix = cves.iter().filter(|(_, (_, is_named))| !is_named);
        ProductFindings {
            vulnerabilities: cves.len() as u64,
            without_fix: without_fix.count() as u64,
            urgency_permille: self.worst.2,
            cves: cves
                .into_iter()
                .take(EXAMPLES)
                .map(|(cve, _)| cve.clone())
                .collect(),
            versions: self.versions.into_iter().collect(),
            ..self.found
        }
    }
}

fn short(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

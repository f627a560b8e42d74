//! Which vulnerabilities a program has. Records are found by product, and each program in a version is
//! judged once, however many devices have it.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};

use super::{
    Program, SoftwareList,
    catalogue::{Catalogue, Identity},
    version::Reading,
};
use crate::{
    device::{Device, Platform},
    ids::CveId,
    vulnerability::{
        cpe::{Attribute, Criteria, Match, Product, any},
        deadline::Deadline,
        kev::Histories,
        ranking::{self, Target, Threat},
        record::VulnerabilityRecord,
    },
};

/// Which kind of system a program runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// Windows.
    Windows,
    /// macOS.
    Mac,
    /// Another one, or nobody knows.
    Other,
}

impl From<Platform> for Family {
    fn from(platform: Platform) -> Self {
        match platform {
            Platform::WindowsWorkstation | Platform::WindowsServer => Self::Windows,
            Platform::Mac => Self::Mac,
            Platform::Other => Self::Other,
        }
    }
}

impl Family {
    /// Says whether software for this target runs here.
    fn runs(self, target: &Attribute) -> Match {
        let Attribute::Value(target) = target else {
            return Match::Yes;
        };
        let is_here = match self {
            Self::Windows => target.starts_with("windows"),
            Self::Mac => target.starts_with("mac"),
            Self::Other => return Match::Unknown,
        };
        if is_here { Match::Yes } else { Match::No }
    }

    /// Says whether a row that is only context holds. Builds of the system, hardware and other programs
    /// are not looked at here, so they are unknown.
    fn holds(self, row: &Criteria) -> Match {
        let Some(["o", vendor, product]) = row.name.subject() else {
            return Match::Unknown;
        };
        let (is_here, is_any) = match self {
            Self::Windows => (
                vendor == "microsoft" && product.starts_with("windows"),
                product == "windows",
            ),
            Self::Mac => (
                vendor == "apple" && product.starts_with("mac"),
                product.starts_with("mac"),
            ),
            Self::Other => return Match::Unknown,
        };
        let names_no_version = row.bounds().next().is_none();
        match (is_here, is_any && names_no_version) {
            (false, _) => Match::No,
            (true, true) => Match::Yes,
            (true, false) => Match::Unknown,
        }
    }
}

/// A vulnerability of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Place of the record.
    record: u32,
    /// False when it cannot be decided.
    pub is_certain: bool,
    /// First version without it, where the record names one.
    pub fixed_in: Option<String>,
    /// The criterion that fits, and what is open.
    pub why: String,
}

/// What is known of a program in a version.
#[derive(Debug)]
struct Judged {
    /// The product it is shown as; absent when its name means none that we know.
    product: Option<Product>,
    /// Its version can be compared.
    is_comparable: bool,
    verdicts: Vec<Verdict>,
}

/// A vulnerability of a program on a device.
#[derive(Debug, Clone, Copy)]
pub struct Finding<'a> {
    /// The program.
    pub program: &'a Program,
    /// The product that it is.
    pub product: &'a Product,
    /// The vulnerability.
    pub cve: &'a CveId,
    /// Whether it is certain, since when it is fixed, and why.
    pub verdict: &'a Verdict,
    /// In CISA's catalogue.
    pub in_kev: bool,
    /// By when it has to be closed.
    pub band: Deadline,
    /// That day; absent until the next upgrade, or when nobody knows since when it is known.
    pub due: Option<Date>,
    /// That day is over.
    pub overdue: bool,
    /// Order inside the deadline, 0 to 1000.
    pub urgency_permille: u16,
    /// How likely exploitation is, 0 to 1000.
    pub exploit_permille: u16,
}

/// A record, ready to be met.
#[derive(Debug)]
struct Known {
    record: VulnerabilityRecord,
    threat: Threat,
    since: Option<Date>,
}

/// Meets programs with records.
#[derive(Debug)]
pub struct Matcher {
    catalogue: &'static Catalogue,
    histories: Histories,
    today: Date,
    records: Vec<Known>,
    ids: HashSet<CveId>,
    by_product: HashMap<Product, Vec<u32>>,
    judged: HashMap<Family, HashMap<Program, Arc<Judged>>>,
}

impl Matcher {
    /// Begins without records.
    #[must_use]
    pub fn new(catalogue: &'static Catalogue, histories: Histories, now: Timestamp) -> Self {
        Self {
            catalogue,
            histories,
            today: TimeZone::UTC.to_datetime(now).date(),
            records: Vec::new(),
            ids: HashSet::new(),
            by_product: HashMap::new(),
            judged: HashMap::new(),
        }
    }

    /// Returns which edition of the file of names it goes by.
    #[must_use]
    pub fn edition(&self) -> &'static str {
        self.catalogue.edition()
    }

    /// Lists the products of programs that have not been judged yet: their records have to be added
    /// before [`Self::judge`].
    #[must_use]
    pub fn products(&self, family: Family, list: &SoftwareList) -> BTreeSet<Product> {
        let judged = self.judged.get(&family);
        let is_new = |program: &&Program| judged.is_none_or(|known| !known.contains_key(*program));
        let meant = list.programs.iter().filter(is_new).flat_map(|program| {
            self.catalogue
                .meant(&program.name, program.version.as_deref(), family)
        });
        meant.map(|identity| identity.product).collect()
    }

    /// Adds a record; one that is known already, and one that was withdrawn, changes nothing.
    pub fn add(&mut self, record: VulnerabilityRecord) {
        if record.rejected || !self.ids.insert(record.id.clone()) {
            return;
        }
        let place = u32::try_from(self.records.len()).unwrap_or(u32::MAX);
        for product in record.applications() {
            self.by_product.entry(product).or_default().push(place);
        }
        self.records.push(Known {
            threat: record.threat(&self.histories),
            since: record.known_since(),
            record,
        });
    }

    /// Judges all programs of a list.
    pub fn judge(&mut self, family: Family, list: &SoftwareList) {
        for program in &list.programs {
            let known = self.judged.entry(family).or_default();
            if !known.contains_key(program) {
                let judged = Arc::new(self.judge_one(family, program));
                let known = self.judged.entry(family).or_default();
                known.insert(program.clone(), judged);
            }
        }
    }

    fn judge_one(&self, family: Family, program: &Program) -> Judged {
        let version = program.version.as_deref();
        let identities = self.catalogue.meant(&program.name, version, family);
        let places: BTreeSet<u32> = identities
            .iter()
            .filter_map(|identity| self.by_product.get(&identity.product))
            .flatten()
            .copied()
            .collect();
        let verdicts = places
            .into_iter()
            .filter_map(|place| self.verdict(place, &identities, family));
        Judged {
            verdicts: verdicts.collect(),
            is_comparable: identities
                .iter()
                .any(|identity| identity.version != Reading::Unknown),
            product: identities.into_iter().next().map(|first| first.product),
        }
    }

    fn verdict(&self, place: u32, identities: &[Identity], family: Family) -> Option<Verdict> {
        let record = &self.records.get(place as usize)?.record;
        let row = |row: &Criteria| match row.vulnerable {
            true => any(identities.iter().map(|identity| met(row, identity, family))),
            false => family.holds(row),
        };
        let configurations = &record.software.holds()?.value;
        let mut open = None;
        for configuration in configurations {
            let found = configuration.judge(row);
            if found == Match::No {
                continue;
            }
            let rows = configuration.nodes.iter().flat_map(|node| &node.criteria);
            let rows = rows.filter(|criteria| criteria.vulnerable);
            // The certain ones first.
            let fits = |wanted: Match| rows.clone().find(move |criteria| row(criteria) == wanted);
            let criteria = fits(Match::Yes).or_else(|| fits(Match::Unknown));
            let verdict = Verdict {
                record: place,
                is_certain: found == Match::Yes,
                fixed_in: criteria.and_then(|criteria| criteria.end_excluding.clone()),
                why: criteria.map(shown).unwrap_or_default(),
            };
            if verdict.is_certain {
                return Some(verdict);
            }
            open.get_or_insert(verdict);
        }
        open
    }

    /// Lists what a device has, of the programs that were judged.
    pub fn findings<'a>(
        &'a self,
        device: &Device,
        list: &'a SoftwareList,
    ) -> impl Iterator<Item = Finding<'a>> {
        let target = Target::from(device);
        let programs = self.known(device, list);
        let programs = programs.filter_map(|(program, judged)| {
            let judged = judged?;
            Some((program, judged.product.as_ref()?, &judged.verdicts))
        });
        programs.flat_map(move |(program, product, verdicts)| {
            let verdicts = verdicts.iter();
            verdicts.filter_map(move |verdict| self.finding(&target, program, product, verdict))
        })
    }

    fn finding<'a>(
        &'a self,
        target: &Target,
        program: &'a Program,
        product: &'a Product,
        verdict: &'a Verdict,
    ) -> Option<Finding<'a>> {
        let known = self.records.get(verdict.record as usize)?;
        let band = ranking::deadline(&known.threat, target);
        let due = band.days().and_then(|days| {
            let since = known.since?;
            since.checked_add(i64::from(days).days()).ok()
        });
        Some(Finding {
            program,
            product,
            cve: &known.record.id,
            verdict,
            in_kev: known.threat.in_kev,
            band,
            due,
            overdue: due.is_some_and(|due| due < self.today),
            urgency_permille: ranking::urgency_permille(&known.threat, target),
            exploit_permille: permille(known.threat.exploit_score),
        })
    }

    /// Lists programs whose names mean nothing that we know.
    pub fn unmatched<'a>(
        &'a self,
        device: &Device,
        list: &'a SoftwareList,
    ) -> impl Iterator<Item = &'a Program> {
        let programs = self.known(device, list);
        let unknown = programs.filter(|(_, judged)| judged.is_none_or(|j| j.product.is_none()));
        unknown.map(|(program, _)| program)
    }

    /// Counts programs that are known, in a version that cannot be compared.
    #[must_use]
    pub fn incomparable(&self, device: &Device, list: &SoftwareList) -> u64 {
        let programs = self.known(device, list).filter_map(|(_, judged)| judged);
        let open = programs.filter(|judged| judged.product.is_some() && !judged.is_comparable);
        open.count() as u64
    }

    fn known<'a>(
        &'a self,
        device: &Device,
        list: &'a SoftwareList,
    ) -> impl Iterator<Item = (&'a Program, Option<&'a Judged>)> {
        let judged = self.judged.get(&Family::from(device.platform));
        let find = move |program| judged.and_then(|judged| judged.get(program));
        let programs = list.programs.iter();
        programs.map(move |program| (program, find(program).map(AsRef::as_ref)))
    }
}

/// What a row that names a vulnerable product comes to.
fn met(row: &Criteria, identity: &Identity, family: Family) -> Match {
    if row.name.subject().is_none_or(|[_, vendor, product]| {
        vendor != identity.product.vendor || product != identity.product.product
    }) || !row.is_about(&identity.name)
    {
        return Match::No;
    }
    let runs = family.runs(row.name.target_software());
    let version = identity.version.corrected(row, row.matches(&identity.name));
    match (runs, version) {
        (Match::No, _) | (_, Match::No) => Match::No,
        (Match::Yes, Match::Yes) if !row.says_more_than(&identity.name) => Match::Yes,
        _ => Match::Unknown,
    }
}

/// A criterion for people.
fn shown(row: &Criteria) -> String {
    let bounds = [
        (">=", &row.start_including),
        (">", &row.start_excluding),
        ("<=", &row.end_including),
        ("<", &row.end_excluding),
    ];
    let mut shown = row.name.to_string();
    for (sign, bound) in bounds {
        if let Some(bound) = bound {
            shown += &format!(" {sign} {bound}");
        }
    }
    shown
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to 0 to 1; not a number becomes 0"
)]
fn permille(score: f64) -> u16 {
    (score.clamp(0.0, 1.0) * 1000.0).round() as u16
}

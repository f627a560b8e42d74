//! Workflow `IntelSync`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A source of facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntelSource {
    /// CISA's catalogue of known exploited vulnerabilities.
    Kev,
    /// Microsoft's security updates.
    Msrc,
    /// What NVD modified.
    Nvd,
    /// CVE records of publishers and CISA's analysts.
    CveServices,
    /// FIRST's predictions.
    Epss,
}

impl IntelSource {
    /// All of them, in the order in which they are read: the first ones say which vulnerabilities are
    /// looked up at the last ones.
    pub const ALL: [Self; 5] = [
        Self::Kev,
        Self::Msrc,
        Self::Nvd,
        Self::CveServices,
        Self::Epss,
    ];

    /// Returns the word used in inputs, results and the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kev => "kev",
            Self::Msrc => "msrc",
            Self::Nvd => "nvd",
            Self::CveServices => "cve_services",
            Self::Epss => "epss",
        }
    }
}

/// Input of a reading; all of it may be left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IntelSyncInput {
    /// Which sources; all when empty.
    pub sources: Vec<IntelSource>,
    /// Where the first reading of NVD begins; 120 days ago when absent.
    pub nvd_since: Option<Timestamp>,
    /// How many of Microsoft's monthly documents the first reading takes, the newest.
    pub months: u32,
    /// A source is left alone for so many seconds after a complete reading.
    pub kev_secs: u64,
    /// As `kev_secs`.
    pub msrc_secs: u64,
    /// As `kev_secs`; NVD asks for two hours at least.
    pub nvd_secs: u64,
    /// A CVE record is read again after so many seconds.
    pub cve_secs: u64,
    /// A prediction is read again after so many seconds; there is a new one each day.
    pub epss_secs: u64,
    /// Pages of NVD, 2,000 rows each, in one run; the next one goes on.
    pub most_pages: u32,
    /// CVE records in one run; the next one goes on.
    pub most_records: u32,
    /// How long all tries of one request may take, in seconds.
    pub give_up_secs: u64,
}

impl Default for IntelSyncInput {
    fn default() -> Self {
        const HOUR: u64 = 3600;
        const DAY: u64 = 24 * HOUR;
        Self {
            sources: Vec::new(),
            nvd_since: None,
            months: 24,
            kev_secs: HOUR,
            msrc_secs: 6 * HOUR,
            nvd_secs: 2 * HOUR,
            cve_secs: 7 * DAY,
            epss_secs: 20 * HOUR,
            most_pages: 200,
            most_records: 500,
            give_up_secs: HOUR,
        }
    }
}

impl IntelSyncInput {
    /// Least pause between readings of NVD, in seconds: it asks for this.
    pub const LEAST_NVD_SECS: u64 = 2 * 3600;
    /// Most requests of one kind in one run, so that its history stays small.
    pub const MOST_REQUESTS: u32 = 1000;

    /// Says what cannot be used.
    #[must_use]
    pub fn problems(&self) -> Vec<domain::input::Problem> {
        use domain::input::Problem;
        let mut problems = Vec::new();
        if self.nvd_secs < Self::LEAST_NVD_SECS {
            let allowed = format!("{} or more: NVD asks for it", Self::LEAST_NVD_SECS);
            problems.push(Problem::new("nvd_secs", self.nvd_secs, allowed));
        }
        for (field, value) in [
            ("months", self.months),
            ("most_pages", self.most_pages),
            ("most_records", self.most_records),
        ] {
            if !(1..=Self::MOST_REQUESTS).contains(&value) {
                let allowed = format!("1 to {}", Self::MOST_REQUESTS);
                problems.push(Problem::new(field, value, allowed));
            }
        }
        if self.give_up_secs == 0 {
            problems.push(Problem::new("give_up_secs", 0, "1 or more"));
        }
        problems
    }
}

/// How the reading of a source ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum SourceEnd {
    /// All there was is read.
    Done,
    /// It was read a short while ago.
    TooSoon {
        /// When it may be read again.
        next: Timestamp,
    },
    /// The run had as much as it may have; the next one goes on.
    Partial,
    /// It could not be read; what was read before stays.
    Failed {
        /// Why.
        why: String,
    },
}

/// What the reading of a source came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceReading {
    /// Source.
    pub source: IntelSource,
    /// How it ended.
    #[serde(flatten)]
    pub end: SourceEnd,
    /// Facts.
    #[serde(flatten)]
    pub counts: ReadingCounts,
}

/// Facts of a reading.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReadingCounts {
    /// Requests that brought something.
    pub requests: u32,
    /// Rows or records that could be read.
    pub read: u64,
    /// Those of them that said something new.
    pub changed: u64,
    /// Fields and rows that could not be read and were left out; the log names them.
    pub flaws: u64,
}

impl ReadingCounts {
    /// Adds what another request brought.
    pub fn add(&mut self, other: Self) {
        self.requests += other.requests;
        self.read += other.read;
        self.changed += other.changed;
        self.flaws += other.flaws;
    }
}

/// What a reading came to, source by source in the order of reading.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntelSyncResult {
    /// One for each source that was asked for.
    pub sources: Vec<SourceReading>,
}

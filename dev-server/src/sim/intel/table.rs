//! The table of vulnerabilities all sources speak of.

use anyhow::{Context, bail};
use domain::{ids::CveId, vulnerability::cvss::Vector};
use jiff::civil::Date;

use crate::sim::superops::catalog;

const TABLE: &str = include_str!("cves.txt");

/// One vulnerability.
#[derive(Debug, Clone)]
pub(in crate::sim) struct Row {
    pub(in crate::sim) id: CveId,
    pub(in crate::sim) vendor: &'static str,
    pub(in crate::sim) product: &'static str,
    pub(in crate::sim) title: &'static str,
    /// With its version in front, as in `CVSS:3.1/AV:N/…`.
    pub(in crate::sim) vector: &'static str,
    pub(in crate::sim) score_tenths: u8,
    /// The publisher gave no vector, an analyst did.
    pub(in crate::sim) by_analyst: bool,
    /// Score and vector of CVSS 2.
    pub(in crate::sim) old_vector: Option<(u8, &'static str)>,
    pub(in crate::sim) cwe: Option<&'static str>,
    pub(in crate::sim) published: Date,
    pub(in crate::sim) fix: Option<Fix>,
    pub(in crate::sim) listed: Option<Listed>,
    /// Probability and percentile of EPSS, as it writes them.
    pub(in crate::sim) prediction: (&'static str, &'static str),
    /// Exploitation, automatable, technical impact.
    pub(in crate::sim) decision: Option<[&'static str; 3]>,
    /// Programs it is in.
    pub(in crate::sim) software: Vec<Affected>,
    /// Systems it is in these programs on; all when there are none.
    pub(in crate::sim) context: Vec<&'static str>,
}

/// A program in some of its versions.
#[derive(Debug, Clone, Copy)]
pub(in crate::sim) struct Affected {
    /// Part, vendor and product as in a CPE name.
    pub(in crate::sim) name: &'static str,
    /// Software edition.
    pub(in crate::sim) edition: &'static str,
    /// First vulnerable version.
    pub(in crate::sim) start: Option<&'static str>,
    /// First version after it that is not vulnerable.
    pub(in crate::sim) end: &'static str,
}

/// What closes it.
#[derive(Debug, Clone)]
pub(in crate::sim) struct Fix {
    /// Place among [`catalog::DAYS`].
    pub(in crate::sim) month: usize,
    pub(in crate::sim) families: Vec<Family>,
}

/// Its entry in the catalogue of known exploited ones.
#[derive(Debug, Clone, Copy)]
pub(in crate::sim) struct Listed {
    pub(in crate::sim) added: Date,
    pub(in crate::sim) due: Date,
    pub(in crate::sim) ransomware: bool,
}

/// Which updates: those of one system of the fleet, or of programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sim) enum Family {
    Windows10,
    Windows11,
    Server2022,
    /// Update of the recovery environment, of Windows 10 and of the server.
    Recovery,
    /// A program that updates itself: there is no number.
    App,
}

/// A system of the fleet as the sources write it.
#[derive(Debug)]
pub(in crate::sim) struct System {
    /// As MSRC numbers it.
    pub(in crate::sim) product_id: &'static str,
    /// As MSRC names it.
    pub(in crate::sim) name: &'static str,
    /// As NVD names it.
    pub(in crate::sim) cpe: &'static str,
    /// Cumulative update of each month.
    pub(in crate::sim) updates: [&'static str; 12],
    /// What its version begins with, and its last part after the update of each month.
    build: &'static str,
    builds: [u16; 12],
}

pub(in crate::sim) const WINDOWS_10: System = System {
    product_id: "12097",
    name: "Windows 10 Version 22H2 for x64-based Systems",
    cpe: "windows_10_22h2",
    updates: catalog::WINDOWS_10,
    build: "10.0.19045",
    builds: [
        3803, 3930, 4046, 4170, 4291, 4412, 4529, 4651, 4780, 4894, 5011, 5131,
    ],
};
pub(in crate::sim) const WINDOWS_11: System = System {
    product_id: "12243",
    name: "Windows 11 Version 23H2 for x64-based Systems",
    cpe: "windows_11_23h2",
    updates: catalog::WINDOWS_11,
    build: "10.0.22631",
    builds: [
        2861, 3007, 3155, 3296, 3447, 3593, 3737, 3880, 4037, 4169, 4317, 4460,
    ],
};
pub(in crate::sim) const SERVER_2022: System = System {
    product_id: "11923",
    name: "Windows Server 2022",
    cpe: "windows_server_2022",
    updates: catalog::SERVER_2022,
    build: "10.0.20348",
    builds: [
        2159, 2227, 2322, 2340, 2402, 2461, 2527, 2582, 2655, 2700, 2762, 2849,
    ],
};

impl System {
    /// Version after the update of a month.
    pub(in crate::sim) fn version(&self, month: usize) -> String {
        format!("{}.{}", self.build, self.builds[month])
    }
}

impl Family {
    /// The system whose cumulative updates these are.
    pub(in crate::sim) fn system(self) -> Option<&'static System> {
        match self {
            Self::Windows10 => Some(&WINDOWS_10),
            Self::Windows11 => Some(&WINDOWS_11),
            Self::Server2022 => Some(&SERVER_2022),
            Self::Recovery | Self::App => None,
        }
    }
}

/// Reads the table.
pub(in crate::sim) fn rows() -> anyhow::Result<Vec<Row>> {
    TABLE
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| row(line).with_context(|| format!("in `{line}`")))
        .collect()
}

fn row(line: &'static str) -> anyhow::Result<Row> {
    let cells: Vec<&'static str> = line.split('|').map(str::trim).collect();
    let [
        id,
        vendor,
        product,
        title,
        vectors,
        cwe,
        published,
        fix,
        kev,
        epss,
        ssvc,
        cpe,
    ] = cells[..]
    else {
        bail!("a row has twelve cells");
    };
    let (mut vector, mut old_vector, mut by_analyst) = (None, None, false);
    for word in vectors.split(' ') {
        match word.split_once('/') {
            None => by_analyst = word == "adp",
            Some((first, _)) if first.starts_with("CVSS:") => vector = Some(word),
            Some((tenths, rest)) => old_vector = Some((tenths.parse()?, rest)),
        }
    }
    let vector = vector.context("no vector")?;
    let (programs, context) = cpe.split_once(" & ").unwrap_or((cpe, ""));
    let programs = programs.split("; ").filter(|text| !text.is_empty());
    Ok(Row {
        id: id.parse()?,
        vendor,
        product,
        title,
        vector,
        score_tenths: vector.parse::<Vector>()?.score_tenths,
        by_analyst,
        old_vector,
        cwe: (!cwe.is_empty()).then_some(cwe),
        published: published.parse()?,
        fix: fix.split_once(' ').map(self::fix).transpose()?,
        listed: (!kev.is_empty()).then(|| listed(kev)).transpose()?,
        prediction: epss.split_once(' ').context("two numbers of EPSS")?,
        decision: match ssvc.split(' ').collect::<Vec<_>>()[..] {
            [exploitation, automatable, impact] => Some([exploitation, automatable, impact]),
            _ => None,
        },
        software: programs.map(affected).collect::<anyhow::Result<_>>()?,
        context: context.split(' ').filter(|word| !word.is_empty()).collect(),
    })
}

/// `name@edition >= start < end`; edition and start may be missing.
fn affected(text: &'static str) -> anyhow::Result<Affected> {
    let (name, end) = text.split_once(" < ").context("no first good version")?;
    let (name, start) = match name.split_once(" >= ") {
        Some((name, start)) => (name, Some(start)),
        None => (name, None),
    };
    let (name, edition) = name.split_once('@').unwrap_or((name, "*"));
    Ok(Affected {
        name,
        edition,
        start,
        end,
    })
}

fn fix((month, families): (&str, &str)) -> anyhow::Result<Fix> {
    let place = catalog::DAYS.iter().position(|day| day.starts_with(month));
    let families = families.split(',').map(|family| {
        Ok(match family {
            "10" => Family::Windows10,
            "11" => Family::Windows11,
            "22" => Family::Server2022,
            "re" => Family::Recovery,
            "app" => Family::App,
            other => bail!("no family `{other}`"),
        })
    });
    Ok(Fix {
        month: place.context("no month of the catalogue")?,
        families: families.collect::<anyhow::Result<_>>()?,
    })
}

fn listed(text: &str) -> anyhow::Result<Listed> {
    let [added, due, ransomware] = text.split(' ').collect::<Vec<_>>()[..] else {
        bail!("an entry of KEV has three parts");
    };
    Ok(Listed {
        added: added.parse()?,
        due: due.parse()?,
        ransomware: ransomware == "Known",
    })
}

/// Severity as CVSS 3 names it.
pub(in crate::sim) fn severity(tenths: u8) -> &'static str {
    match tenths {
        0 => "NONE",
        1..40 => "LOW",
        40..70 => "MEDIUM",
        70..90 => "HIGH",
        _ => "CRITICAL",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_row_can_be_read_and_speaks_of_the_fleet_s_months() {
        let rows = rows().unwrap();
        assert!((200..=400).contains(&rows.len()), "{}", rows.len());
        let ids: BTreeSet<&CveId> = rows.iter().map(|row| &row.id).collect();
        assert_eq!(ids.len(), rows.len(), "each once");
        for (month, day) in catalog::DAYS.iter().enumerate() {
            let fixed = |family| {
                rows.iter().any(|row| {
                    let fix = row.fix.as_ref();
                    fix.is_some_and(|fix| fix.month == month && fix.families.contains(&family))
                })
            };
            for family in [Family::Windows10, Family::Windows11, Family::Server2022] {
                assert!(fixed(family), "{day} {family:?}");
            }
        }
        let decided = rows.iter().filter(|row| row.decision.is_some()).count();
        assert!(decided * 3 > rows.len() && decided * 3 < rows.len() * 2);
        for row in &rows {
            let (probability, percentile) = row.prediction;
            for number in [probability, percentile] {
                assert!((0.0..=1.0).contains(&number.parse::<f64>().unwrap()));
            }
            if let Some(listed) = row.listed {
                assert!(listed.due > row.published, "{}", row.id);
            }
        }
    }

    #[test]
    fn what_is_wrong_in_a_row_is_said() {
        for (line, why) in [
            ("CVE-2024-1 | x", "twelve"),
            (
                "CVE-2024-0001 | v | p | t | adp | | 2024-01-09 | | | 0 0 | |",
                "no vector",
            ),
            (
                "CVE-2024-0001 | v | p | t | CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H | | 2024-01-09 | 2024-01 12 | | 0 0 | |",
                "family",
            ),
        ] {
            let text = format!("{:#}", row(line).unwrap_err());
            assert!(text.contains(why), "{text}");
        }
    }
}

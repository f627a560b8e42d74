//! What is known of a vulnerability, field by field: what holds, who says so, who says otherwise.

use std::fmt::Debug;

use domain::vulnerability::record::{Field, Said, Source, VulnerabilityRecord};

use crate::output::short;

/// Longest value that is shown, in characters.
const LONGEST: usize = 160;

/// Says it in lines.
pub(super) fn lines(record: &VulnerabilityRecord) -> Vec<String> {
    let mut lines = vec![record.id.to_string()];
    if record.rejected {
        lines.push("the record was withdrawn: nothing else in it counts".to_owned());
    }
    let kev = if record.in_kev() { "yes" } else { "no" };
    lines.push(format!(
        "in CISA's catalogue of known exploited vulnerabilities: {kev}"
    ));
    let mut add = |name: &str, field: Vec<String>| {
        if let Some((first, others)) = field.split_first() {
            lines.push(format!("{name}: {first}"));
            lines.extend(others.iter().map(|other| format!("  but {other}")));
        }
    };
    add("status", words(&record.status, Clone::clone));
    add("published", words(&record.published, ToString::to_string));
    add("vector", words(&record.vector, Clone::clone));
    add(
        "weaknesses",
        words(&record.weaknesses, |all| all.join(", ")),
    );
    add("automatable", words(&record.automatable, shown));
    add("technical impact", words(&record.impact, shown));
    add(
        "exploited",
        words(&record.exploited, |word| {
            let since = word
                .since
                .map_or("an unknown day".to_owned(), |day| day.to_string());
            let ransomware = if word.ransomware {
                ", by ransomware"
            } else {
                ""
            };
            match word.listed {
                true => format!("since {since}{ransomware}"),
                false => "taken back".to_owned(),
            }
        }),
    );
    add(
        "exploitation within 30 days",
        words(&record.prediction, |said| {
            let percent = |ppm: u32| f64::from(ppm) / 10_000.0;
            format!(
                "{:.1} %, more than {:.1} % of all, on {}",
                percent(said.probability_ppm),
                percent(said.percentile_ppm),
                said.day
            )
        }),
    );
    add("description", words(&record.description, Clone::clone));
    let read = record.read_at.iter();
    let read: Vec<String> = read
        .map(|(source, at)| format!("{} {at:.0}", name(*source)))
        .collect();
    lines.push(format!("read: {}", read.join(", ")));
    lines
}

/// The word that holds, then those that disagree with it.
fn words<T: PartialEq>(field: &Field<T>, show: impl Fn(&T) -> String) -> Vec<String> {
    let line = |said: &Said<T>| {
        let because = said.because.as_ref();
        let because = because.map_or(String::new(), |why| format!(": {why}"));
        let (value, source) = (short(show(&said.value), LONGEST), name(said.source));
        format!("{value} ({source}, {:.0}{because})", said.at)
    };
    field
        .holds()
        .into_iter()
        .chain(field.conflicts())
        .map(line)
        .collect()
}

fn shown(value: &impl Debug) -> String {
    format!("{value:?}").to_lowercase()
}

fn name(source: Source) -> &'static str {
    match source {
        Source::Cna => "publisher",
        Source::Msrc => "Microsoft",
        Source::Vulnrichment => "CISA Vulnrichment",
        Source::Kev => "CISA KEV",
        Source::Nvd => "NVD",
        Source::Epss => "FIRST EPSS",
        Source::Derived => "derived by rule",
    }
}

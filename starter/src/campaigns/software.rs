//! What installed programs have, for people.

use clients::software::AffectedDevices;
use domain::software::{ProductFindings, SoftwareSummary};

use super::show;
use crate::output::{self, short};

/// Longest name that is shown, in characters.
const NAME: usize = 40;
/// Names without a product that are shown.
const NAMES: usize = 10;

/// Shows what was found; with `explain` also why, and what is not known.
pub(super) fn summary(summary: &SoftwareSummary, explain: bool) {
    output::line("");
    output::line("Installed programs: findings for people, no plan closes them");
    products(&summary.products, summary.more_products);
    if !summary.uncertain.is_empty() {
        output::line("Nobody can say whether these are there:");
        products(&summary.uncertain, summary.more_uncertain);
    }
    if explain {
        for one in summary.products.iter().chain(&summary.uncertain) {
            let cves: Vec<&str> = one.cves.iter().map(|cve| cve.as_str()).collect();
            output::line(format!("{}: {}", one.product, cves.join(", ")));
            output::line(format!(
                "  - {}; exploit score {:.2}; such as device {}",
                one.why,
                f64::from(one.exploit_permille) / 1000.0,
                one.examples
                    .first()
                    .map(ToString::to_string)
                    .unwrap_or_default()
            ));
        }
    }
    remarks(summary);
}

fn products(all: &[ProductFindings], more: u64) {
    let header = [
        "Program", "Versions", "Devices", "Open", "KEV", "Deadline", "Due", "Fixed in",
    ];
    let rows = all.iter().map(|one| {
        [
            short(&one.name, NAME),
            short(one.versions.join(", "), NAME),
            one.devices.to_string(),
            one.vulnerabilities.to_string(),
            show::yes(one.in_kev),
            one.band.to_string(),
            show::due(one.band, one.due, one.overdue),
            match &one.fixed_in {
                Some(version) if one.without_fix > 0 => {
                    format!("{version}, not named for {}", one.without_fix)
                }
                Some(version) => version.clone(),
                None => "not named".to_owned(),
            },
        ]
    });
    output::table(header, rows);
    if more > 0 {
        output::line(format!("and {more} products more"));
    }
}

fn remarks(summary: &SoftwareSummary) {
    output::line(format!(
        "{} findings in {} programs on {} devices; {} more are uncertain",
        summary.findings, summary.programs, summary.devices, summary.uncertain_findings
    ));
    for (number, what) in [
        (
            summary.unmatched,
            "programs have names that mean no product we know: nothing is said of them",
        ),
        (
            summary.incomparable,
            "programs have versions that cannot be compared",
        ),
        (
            summary.unread,
            "devices are not looked at: their software lists were never read",
        ),
        (summary.flaws, "rows of software lists could not be read"),
        (
            summary.beyond,
            "or more programs are beyond what is kept of a device",
        ),
    ] {
        if number > 0 {
            output::line(format!("{number} {what}"));
        }
    }
    let names = summary.unmatched_names.iter().take(NAMES);
    let names: Vec<String> = names
        .map(|name| format!("{} ({})", short(&name.name, NAME), name.devices))
        .collect();
    if !names.is_empty() {
        let listed = summary.unmatched_names.len() as u64 + summary.more_names;
        let more = listed - names.len() as u64;
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        output::line(format!("unmatched: {}{more}", names.join(", ")));
    }
}

/// Shows which devices of a client have a vulnerability by their programs.
pub(super) fn affected(found: &AffectedDevices) {
    let header = [
        "Device", "Name", "Program", "Version", "Certain", "Deadline", "Due", "Fixed in",
    ];
    let rows = found.affected.iter().map(|one| {
        [
            one.device.to_string(),
            short(&one.device_name, NAME),
            short(&one.program, NAME),
            one.version.clone().unwrap_or_default(),
            show::yes(one.is_certain),
            one.band.to_string(),
            show::due(one.band, one.due, one.overdue),
            one.fixed_in.clone().unwrap_or_default(),
        ]
    });
    output::table(header, rows);
    output::line(format!(
        "{} programs on {} devices; of {} devices no software list was ever read",
        found.affected.len(),
        found.devices,
        found.unread
    ));
}

//! What installed programs have, in a report: a table for spreadsheets, and a part of the page.

use maud::{Markup, html};

use super::{page::clean, table::inert};
use crate::software::{ProductFindings, SoftwareSummary};

const COLUMNS: [&str; 17] = [
    "certain",
    "vendor",
    "product",
    "name",
    "versions",
    "devices",
    "vulnerabilities",
    "cves",
    "in_kev",
    "deadline",
    "due_day",
    "overdue",
    "urgency_permille",
    "exploit_permille",
    "fixed_in",
    "without_fix",
    "why",
];

/// Writes a line for each product.
///
/// # Errors
/// Never: it is written into memory, and every line has all columns.
pub(super) fn table(summary: &SoftwareSummary) -> csv::Result<Vec<u8>> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS)?;
    let certain = summary.products.iter().map(|one| (true, one));
    let uncertain = summary.uncertain.iter().map(|one| (false, one));
    for (is_certain, one) in certain.chain(uncertain) {
        let cells = cells(is_certain, one);
        writer.write_record(cells.iter().map(|cell| inert(cell).into_owned()))?;
    }
    writer
        .into_inner()
        .map_err(|error| csv::Error::from(error.into_error()))
}

fn cells(is_certain: bool, one: &ProductFindings) -> [String; COLUMNS.len()] {
    let yes = |value: bool| if value { "yes" } else { "no" }.to_owned();
    [
        yes(is_certain),
        one.product.vendor.clone(),
        one.product.product.clone(),
        one.name.clone(),
        one.versions.join(" "),
        one.devices.to_string(),
        one.vulnerabilities.to_string(),
        cves(one),
        yes(one.in_kev),
        one.band.as_str().to_owned(),
        one.due.map(|day| day.to_string()).unwrap_or_default(),
        yes(one.overdue),
        one.urgency_permille.to_string(),
        one.exploit_permille.to_string(),
        one.fixed_in.clone().unwrap_or_default(),
        one.without_fix.to_string(),
        one.why.clone(),
    ]
}

fn cves(one: &ProductFindings) -> String {
    let cves: Vec<&str> = one.cves.iter().map(|cve| cve.as_str()).collect();
    cves.join(" ")
}

/// The part of the page.
pub(super) fn part(summary: &SoftwareSummary) -> Markup {
    html! {
        h2 { "Installed programs" }
        p {
            "Findings for people: no plan closes them. " (summary.devices) " devices with "
            (summary.programs) " programs; devices whose software list was never read: "
            (summary.unread) ". Nothing is said of " (summary.unmatched)
            " programs whose names mean no product that we know. Versions that cannot be compared: "
            (summary.incomparable) ". Rows that could not be read: " (summary.flaws) "."
        }
        (rows(&summary.products, summary.more_products))
        @if !summary.uncertain.is_empty() {
            h3 { "Of these nobody can say whether they are there" }
            (rows(&summary.uncertain, summary.more_uncertain))
        }
        @if !summary.unmatched_names.is_empty() {
            p {
                "Names without a product:"
                @for (at, name) in summary.unmatched_names.iter().enumerate() {
                    @if at > 0 { "," }
                    " " (clean(&name.name)) " (" (name.devices) ")"
                }
                @if summary.more_names > 0 { " and " (summary.more_names) " more" }
                "."
            }
        }
    }
}

fn rows(products: &[ProductFindings], more: u64) -> Markup {
    html! {
        @if products.is_empty() { p { "None." } } @else {
            table {
                thead {
                    tr {
                        th { "Product" } th { "Versions" } th.n { "Devices" } th.n { "Vulnerabilities" }
                        th { "Most urgent" } th { "Due" } th { "Fixed in" }
                    }
                }
                tbody {
                    @for one in products {
                        tr {
                            td { (clean(&one.name)) br; code { (clean(&one.product.to_string())) } }
                            td { (clean(&one.versions.join(", "))) }
                            td.n { (one.devices) }
                            td.n { (one.vulnerabilities) }
                            td { (cves(one)) @if one.in_kev { " (known to be exploited)" } }
                            td {
                                (one.band.as_str())
                                @if let Some(day) = one.due { ", " (day) }
                                @if one.overdue { " " span.overdue { "overdue" } }
                            }
                            td {
                                (clean(one.fixed_in.as_deref().unwrap_or("not named")))
                                @if one.fixed_in.is_some() && one.without_fix > 0 {
                                    ", not named for " (one.without_fix)
                                }
                            }
                        }
                    }
                }
            }
            @if more > 0 { p { "And " (more) " products more." } }
        }
    }
}

//! Real updates of Microsoft, November 2023 to November 2024: numbers, titles, days and ratings.

use super::fleet::PatchSpec;

/// Days of publication of the monthly updates, oldest first.
pub(in crate::sim) const DAYS: [&str; 12] = [
    "2023-12-12",
    "2024-01-09",
    "2024-02-13",
    "2024-03-12",
    "2024-04-09",
    "2024-05-14",
    "2024-06-11",
    "2024-07-09",
    "2024-08-13",
    "2024-09-10",
    "2024-10-08",
    "2024-11-12",
];
/// The vendor's highest rating of the month for Windows.
const RATINGS: [&str; 12] = [
    "Critical",
    "Critical",
    "Critical",
    "Critical",
    "Important",
    "Important",
    "Critical",
    "Critical",
    "Critical",
    "Critical",
    "Critical",
    "Critical",
];

/// Cumulative updates, one per month of [`DAYS`].
pub(in crate::sim) const WINDOWS_10: [&str; 12] = [
    "5033372", "5034122", "5034763", "5035845", "5036892", "5037768", "5039211", "5040427",
    "5041580", "5043064", "5044273", "5046613",
];
pub(in crate::sim) const WINDOWS_11: [&str; 12] = [
    "5033375", "5034123", "5034765", "5035853", "5036893", "5037771", "5039212", "5040442",
    "5041585", "5043076", "5044285", "5046633",
];
pub(in crate::sim) const SERVER_2022: [&str; 12] = [
    "5033118", "5034129", "5034770", "5035857", "5036909", "5037782", "5039227", "5040437",
    "5041160", "5042881", "5044281", "5046616",
];
/// Malicious Software Removal Tool.
pub(in crate::sim) const REMOVAL_TOOL: &str = "890830";
/// Microsoft Defender definitions.
pub(in crate::sim) const DEFENDER: &str = "2267602";
/// Recovery environment update against CVE-2024-20666.
pub(in crate::sim) const RECOVERY: &str = "5034441";
/// The same for Windows Server 2022.
pub(in crate::sim) const RECOVERY_SERVER: &str = "5034439";

/// Every update the simulator knows unless a fleet brings its own.
pub(super) fn patches() -> Vec<PatchSpec> {
    let mut all = Vec::new();
    for (product, list) in [
        ("Windows 10 Version 22H2 for x64-based Systems", WINDOWS_10),
        ("Windows 11 Version 23H2 for x64-based Systems", WINDOWS_11),
        (
            "Microsoft server operating system version 21H2 for x64-based Systems",
            SERVER_2022,
        ),
    ] {
        for (month, kb) in list.iter().enumerate() {
            all.push(PatchSpec {
                kb: (*kb).to_owned(),
                title: format!(
                    "{} Cumulative Update for {product} (KB{kb})",
                    &DAYS[month][..7]
                ),
                category: "Security Updates".to_owned(),
                severity: RATINGS[month].to_owned(),
                published: DAYS[month].to_owned(),
                restart_required: true,
                superseded_by: list.get(month + 1).map(|kb| (*kb).to_owned()),
            });
        }
    }
    let single =
        |kb: &str, title: &str, category: &str, severity: &str, published: &str| PatchSpec {
            kb: kb.to_owned(),
            title: format!("{title} (KB{kb})"),
            category: category.to_owned(),
            severity: severity.to_owned(),
            published: published.to_owned(),
            restart_required: false,
            superseded_by: None,
        };
    let recovery = |product: &str| format!("2024-01 Security Update for {product}");
    all.push(single(
        RECOVERY,
        &recovery("Windows 10 Version 22H2 for x64-based Systems"),
        "Security Updates",
        "Important",
        "2024-01-09",
    ));
    all.push(single(
        RECOVERY_SERVER,
        &recovery("Microsoft server operating system version 21H2 for x64-based Systems"),
        "Security Updates",
        "Important",
        "2024-01-09",
    ));
    all.push(single(
        REMOVAL_TOOL,
        "Windows Malicious Software Removal Tool x64 - v5.130",
        "Update Rollups",
        "Others",
        "2024-11-12",
    ));
    all.push(single(
        DEFENDER,
        "Security Intelligence Update for Microsoft Defender Antivirus - Current Channel (Broad)",
        "Definition Updates",
        "Others",
        "2024-11-12",
    ));
    all
}

//! What people read when everything runs: where it is, and what to try first.

use std::path::Path;

use crate::{data_dir::DevInfo, demo, options::RunOptions};

/// Makes the table of addresses and the first commands.
#[must_use]
pub fn render(info: &DevInfo, options: &RunOptions) -> String {
    let ui = info.temporal_ui_url.as_deref().unwrap_or("left out");
    let data = options.data_dir.display().to_string();
    let faults = info.superops_url.trim_end_matches("/msp");
    let rows = [
        ("Temporal Web UI", ui.to_owned()),
        ("Temporal server", info.temporal_address.clone()),
        ("SuperOps (simulated)", info.superops_url.clone()),
        ("NVD (simulated)", info.nvd_url.clone()),
        ("CISA KEV (simulated)", info.kev_url.clone()),
        ("EPSS (simulated)", info.epss_url.clone()),
        ("MSRC (simulated)", info.msrc_url.clone()),
        ("CVE Services (simulated)", info.cve_services_url.clone()),
        ("Bedrock (simulated)", info.bedrock_url.clone()),
        ("Prometheus (simulated)", info.prometheus_url.clone()),
        ("Callbacks of devices", info.callback_url.clone()),
        ("Data, logs", format!("{data}, {data}/logs")),
    ];
    let name_width = rows
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or_default();
    let value_width = rows
        .iter()
        .map(|(_, value)| value.chars().count())
        .max()
        .unwrap_or_default();
    let line = format!(
        "+-{}-+-{}-+\n",
        "-".repeat(name_width),
        "-".repeat(value_width)
    );
    let mut text = format!("\n{line}");
    for (name, value) in &rows {
        text += &format!("| {name:name_width$} | {value:value_width$} |\n");
    }
    text += &line;
    text += "\nTry, in a second terminal:\n\n";
    for (command, what) in commands(&options.bin_dir, faults) {
        text += &format!("  {command}\n      {what}\n");
    }
    text + "\nCtrl-C stops everything; the next start goes on from here.\n"
}

fn commands(bin: &Path, faults: &str) -> Vec<(String, &'static str)> {
    let bin = bin.display();
    vec![
        (
            format!("{bin}/autoops patch start --plan {}", demo::FIRST_PLAN),
            "the first plan: twelve pilot devices, three rings",
        ),
        (
            format!("{bin}/autoops approve first-plan --by dana"),
            "Dana agrees",
        ),
        (
            format!("{bin}/autoops status first-plan"),
            "where it stands",
        ),
        (
            format!("{bin}/temporal workflow list"),
            "the workflows behind it",
        ),
        (
            format!("curl -s {faults}/faults"),
            "trouble the simulated devices can make; POST changes it",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::options::Cli;

    fn info() -> DevInfo {
        serde_json::from_value(serde_json::json!({
            "temporal_address": "127.0.0.1:7233", "temporal_cli": "/t", "temporal_ui_url": "http://127.0.0.1:8233",
            "callback_url": "http://127.0.0.1:4000", "superops_url": "http://127.0.0.1:4010/msp",
            "nvd_url": "http://127.0.0.1:4020", "kev_url": "http://127.0.0.1:4040",
            "epss_url": "http://127.0.0.1:4050", "msrc_url": "http://127.0.0.1:4060", "cve_services_url": "http://127.0.0.1:4070",
            "bedrock_url": "http://127.0.0.1:4030", "prometheus_url": "http://127.0.0.1:4080",
            "store_path": "/s",
            "objects_path": "/o", "memory_path": "/m"
        }))
        .unwrap()
    }

    #[test]
    fn every_line_of_the_table_is_as_long_as_the_others() {
        let text = render(&info(), &Cli::parse_from(["autoops-dev"]).run);
        let table: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with(['+', '|']))
            .collect();
        assert_eq!(table.len(), 14);
        assert!(
            table.iter().all(|line| line.len() == table[0].len()),
            "{text}"
        );
        assert!(text.contains("bin/temporal workflow list\n"), "{text}");
    }
}

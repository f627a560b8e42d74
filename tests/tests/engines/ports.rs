//! Every method of the store's ports is a kind of write that is cut, or only reads.

use std::collections::BTreeSet;

use crate::writes::Write;

/// Methods that write nothing.
const READS: [&str; 47] = [
    "latest_policy",
    "list_policies",
    "chain_head",
    "read_chain",
    "list_chains",
    "audit_of_day",
    "audited_days",
    "get_plan",
    "plan_page",
    "find_plan",
    "get_status",
    "list_statuses",
    "open_deployments_of",
    "get_device_row",
    "list_device_rows",
    "get_dead_letter",
    "list_dead_letters",
    "get_campaign",
    "campaign_request",
    "list_campaigns",
    "get_client",
    "get_device",
    "get_devices",
    "list_devices",
    "get_patch_lists",
    "get_software_lists",
    "get_vulnerabilities",
    "list_followed",
    "list_of_product",
    "get_updates",
    "reader_state",
    "get_person",
    "list_people",
    "read",
    "get_flag",
    "changes_after",
    "get_alerts",
    "list_alerts",
    "busy_clients",
    "read_news",
    "read_orders",
    "get_order",
    "get_incident",
    "list_incidents",
    "latest_rules",
    "get_topology",
    "get_expectations",
];

/// Deletes what is over, item by item; one that is left is deleted by the next sweep.
const SWEEP: &str = "sweep_expired";

#[test]
fn every_method_of_a_port_is_cut_or_only_reads() {
    let sources = [
        include_str!("../../../clients/src/store/ports.rs"),
        include_str!("../../../clients/src/store/ports/alerts.rs"),
    ];
    let lines = sources.iter().flat_map(|source| source.lines());
    let methods = lines.filter_map(|line| {
        let rest = line.trim_start().strip_prefix("async fn ")?;
        rest.split_once('(').map(|(name, _)| name)
    });
    let methods: BTreeSet<&str> = methods.collect();
    let cut = Write::ALL.map(Write::method);
    let known: BTreeSet<&str> = cut.into_iter().chain(READS).chain([SWEEP]).collect();
    assert_eq!(methods, known);
    assert!(READS.iter().all(|name| !cut.contains(name)));
}

//! Search attributes: opaque ids and states only, never names.

use temporalio_common::search_attributes::SearchAttributeKey;

/// Client id.
pub const CLIENT: SearchAttributeKey<String> = SearchAttributeKey::keyword("AutoOpsClient");
/// Stage of the workflow.
pub const STAGE: SearchAttributeKey<String> = SearchAttributeKey::keyword("AutoOpsStage");
/// Risk level.
pub const RISK: SearchAttributeKey<String> = SearchAttributeKey::keyword("AutoOpsRisk");
/// By when it should be done.
pub const DEADLINE: SearchAttributeKey<temporalio_common::search_attributes::Timestamp> =
    SearchAttributeKey::datetime("AutoOpsDeadline");
/// True while people are asked.
pub const NEEDS_APPROVAL: SearchAttributeKey<bool> =
    SearchAttributeKey::bool("AutoOpsNeedsApproval");

/// Name and type of every attribute, as `temporal operator search-attribute create` takes them.
pub const ALL: [(&str, &str); 5] = [
    ("AutoOpsClient", "Keyword"),
    ("AutoOpsStage", "Keyword"),
    ("AutoOpsRisk", "Keyword"),
    ("AutoOpsDeadline", "Datetime"),
    ("AutoOpsNeedsApproval", "Bool"),
];

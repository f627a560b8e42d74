//! The GraphQL operations, one file each, checked against the schema at compile time.

use graphql_client::GraphQLQuery;

/// The schema's scalar for any JSON.
#[expect(clippy::upper_case_acronyms, reason = "the name is the schema's")]
type JSON = serde_json::Value;

#[derive(Debug, GraphQLQuery)]
#[graphql(
    schema_path = "src/superops/schema.graphql",
    query_path = "src/superops/queries/get_client.graphql",
    skip_serializing_none
)]
pub(super) struct GetClient;

#[derive(Debug, GraphQLQuery)]
#[graphql(
    schema_path = "src/superops/schema.graphql",
    query_path = "src/superops/queries/list_sites.graphql",
    skip_serializing_none
)]
pub(super) struct ListSites;

#[derive(Debug, GraphQLQuery)]
#[graphql(
    schema_path = "src/superops/schema.graphql",
    query_path = "src/superops/queries/list_devices.graphql",
    skip_serializing_none
)]
pub(super) struct ListDevices;

#[derive(Debug, GraphQLQuery)]
#[graphql(
    schema_path = "src/superops/schema.graphql",
    query_path = "src/superops/queries/get_device.graphql",
    skip_serializing_none
)]
pub(super) struct GetDevice;

#[derive(Debug, GraphQLQuery)]
#[graphql(
    schema_path = "src/superops/schema.graphql",
    query_path = "src/superops/queries/device_patches.graphql",
    skip_serializing_none
)]
pub(super) struct DevicePatches;

#[derive(Debug, GraphQLQuery)]
#[graphql(
    schema_path = "src/superops/schema.graphql",
    query_path = "src/superops/queries/device_software.graphql",
    skip_serializing_none
)]
pub(super) struct DeviceSoftware;

#[derive(Debug, GraphQLQuery)]
#[graphql(
    schema_path = "src/superops/schema.graphql",
    query_path = "src/superops/queries/device_alerts.graphql",
    skip_serializing_none
)]
pub(super) struct DeviceAlerts;

#[derive(Debug, GraphQLQuery)]
#[graphql(
    schema_path = "src/superops/schema.graphql",
    query_path = "src/superops/queries/device_activity.graphql",
    skip_serializing_none
)]
pub(super) struct DeviceActivity;

#[derive(Debug, GraphQLQuery)]
#[graphql(
    schema_path = "src/superops/schema.graphql",
    query_path = "src/superops/queries/device_summary.graphql",
    skip_serializing_none
)]
pub(super) struct DeviceSummary;

#[derive(Debug, GraphQLQuery)]
#[graphql(
    schema_path = "src/superops/schema.graphql",
    query_path = "src/superops/queries/list_alerts.graphql",
    skip_serializing_none
)]
pub(super) struct ListAlerts;

#[derive(Debug, GraphQLQuery)]
#[graphql(
    schema_path = "src/superops/schema.graphql",
    query_path = "src/superops/queries/list_scripts.graphql",
    skip_serializing_none
)]
pub(super) struct ListScripts;

#[derive(Debug, GraphQLQuery)]
#[graphql(
    schema_path = "src/superops/schema.graphql",
    query_path = "src/superops/queries/run_script.graphql",
    skip_serializing_none
)]
pub(super) struct RunScript;

/// Fills the paging input of one operation; the generated types differ per operation.
macro_rules! list_info {
    ($operation:ident, page: $page:expr $(, filter: $filter:expr)? $(, sort: $sort:expr)?) => {
        $operation::ListInfoInput {
            page: Some(i64::from($page)),
            page_size: Some($crate::superops::PAGE_SIZE),
            condition: None$(.or({
                let (attribute, operator, value): (&str, &str, serde_json::Value) = $filter;
                Some($operation::RuleConditionInput {
                    attribute: Some(attribute.to_owned()),
                    operator: Some(operator.to_owned()),
                    value: Some(value),
                    join_operator: None,
                    operands: None,
                })
            }))?,
            sort: None$(.or({
                let (attribute, order) = $sort;
                Some(vec![Some($operation::SortInput {
                    attribute: Some(String::from(attribute)),
                    order: Some(order),
                })])
            }))?,
        }
    };
}
pub(super) use list_info;

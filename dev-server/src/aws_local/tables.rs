//! The tables of the CloudFormation template, made by the API: DynamoDB Local knows no templates.

use std::time::Duration;

use anyhow::{Context, bail, ensure};
use aws_sdk_dynamodb::{
    Client,
    types::{
        AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
        TimeToLiveSpecification,
    },
};
use clients::store::DynamoConfig;
use serde_json::Value;

/// The one description of the tables.
const TEMPLATE: &str = include_str!("../../../deploy/cloudformation/tables.yaml");
/// How long making one may take.
const CALL: Duration = Duration::from_secs(30);
/// What the template writes before the name of a table.
const PREFIX: &str = "${Prefix}-";

/// What the template says of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
struct TableSpec {
    /// Name without its prefix.
    name: String,
    /// Partition key and sort key.
    keys: [String; 2],
    /// Attribute with the time after which an item is forgotten.
    time_to_live: String,
}

/// Reads the tables of a template.
///
/// # Errors
/// When it is not one, or a table is described in another way than this understands.
fn read(template: &str) -> anyhow::Result<Vec<TableSpec>> {
    let template: Value = serde_saphyr::from_str(template).context("the template is not YAML")?;
    let resources = template["Resources"].as_object();
    let resources = resources.context("the template has no Resources")?;
    let tables = resources
        .iter()
        .filter(|(_, resource)| resource["Type"] == "AWS::DynamoDB::Table");
    let tables: anyhow::Result<Vec<_>> = tables
        .map(|(id, resource)| spec(&resource["Properties"]).with_context(|| id.clone()))
        .collect();
    tables
}

fn spec(properties: &Value) -> anyhow::Result<TableSpec> {
    let text = |value: &Value| value.as_str().map(ToOwned::to_owned).context("no text");
    let name = text(&properties["TableName"])?;
    let name = name
        .strip_prefix(PREFIX)
        .with_context(|| format!("TableName {name} does not begin with {PREFIX}"))?;
    let schema = &properties["KeySchema"];
    ensure!(
        schema[0]["KeyType"] == "HASH" && schema[1]["KeyType"] == "RANGE" && schema[2].is_null(),
        "KeySchema: allowed are HASH and RANGE, in this order"
    );
    let keys = [
        text(&schema[0]["AttributeName"])?,
        text(&schema[1]["AttributeName"])?,
    ];
    let attributes = properties["AttributeDefinitions"].as_array();
    for attribute in attributes.into_iter().flatten() {
        ensure!(attribute["AttributeType"] == "S", "keys are text");
    }
    let time_to_live = &properties["TimeToLiveSpecification"];
    ensure!(
        time_to_live["Enabled"] == true,
        "TimeToLiveSpecification is off"
    );
    Ok(TableSpec {
        name: name.to_owned(),
        keys,
        time_to_live: text(&time_to_live["AttributeName"])?,
    })
}

/// Makes the tables of the template under a prefix; those that are there already stay.
///
/// # Errors
/// When the template cannot be read or the service refuses.
pub async fn create(config: &DynamoConfig) -> anyhow::Result<()> {
    let client = Client::new(&config.settings(CALL).await);
    for table in read(TEMPLATE)? {
        create_one(&client, &config.prefix, &table)
            .await
            .with_context(|| format!("making table {}", table.name))?;
    }
    Ok(())
}

async fn create_one(client: &Client, prefix: &str, table: &TableSpec) -> anyhow::Result<()> {
    let name = format!("{prefix}-{}", table.name);
    let mut request = client
        .create_table()
        .table_name(&name)
        .billing_mode(BillingMode::PayPerRequest);
    for (key, kind) in table.keys.iter().zip([KeyType::Hash, KeyType::Range]) {
        let attribute = AttributeDefinition::builder()
            .attribute_name(key)
            .attribute_type(ScalarAttributeType::S);
        let schema = KeySchemaElement::builder()
            .attribute_name(key)
            .key_type(kind);
        request = request
            .attribute_definitions(attribute.build()?)
            .key_schema(schema.build()?);
    }
    match request.send().await {
        Ok(_) => {}
        Err(error)
            if error
                .as_service_error()
                .is_some_and(|error| error.is_resource_in_use_exception()) =>
        {
            return Ok(());
        }
        Err(error) => bail!(error),
    }
    let time_to_live = TimeToLiveSpecification::builder()
        .attribute_name(&table.time_to_live)
        .enabled(true)
        .build()?;
    client
        .update_time_to_live()
        .table_name(&name)
        .time_to_live_specification(time_to_live)
        .send()
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use clients::store::Table;

    use super::*;

    #[test]
    fn the_template_has_every_table_with_the_keys_that_the_store_uses() {
        let mut specs = read(TEMPLATE).unwrap();
        let mut expected = Table::ALL.map(|table| TableSpec {
            name: table.as_str().to_owned(),
            keys: ["pk".to_owned(), "sk".to_owned()],
            time_to_live: "expires_at".to_owned(),
        });
        specs.sort_by(|a, b| a.name.cmp(&b.name));
        expected.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!(specs, expected);
    }

    #[test]
    fn a_table_that_is_described_otherwise_is_named() {
        let other = TEMPLATE.replacen("KeyType: RANGE", "KeyType: HASH", 1);
        let told = format!("{:#}", read(&other).unwrap_err());
        assert!(told.contains("PoliciesTable: KeySchema"), "{told}");
    }
}

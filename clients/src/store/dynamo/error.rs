//! What an error of DynamoDB means, and what to do about it.

use std::error::Error;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use super::{Dynamo, Table};
use crate::store::StoreError;

/// Says whether a transaction was cancelled because of somebody else's.
pub(super) fn is_overtaken(code: &str) -> bool {
    matches!(code, "ConditionalCheckFailed" | "TransactionConflict")
}

/// A request that cannot be built.
pub(super) fn of_request(error: aws_sdk_dynamodb::error::BuildError) -> StoreError {
    StoreError::Invalid {
        what: format!("a request to DynamoDB cannot be built: {error}"),
    }
}

/// Explains a failed call.
pub(super) fn explain<E, R>(dynamo: &Dynamo, table: Table, error: SdkError<E, R>) -> StoreError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let region = &dynamo.region;
    let service = match &error {
        SdkError::ServiceError(service) => service.err(),
        SdkError::TimeoutError(_) => return unavailable("DynamoDB did not answer in time", error),
        SdkError::ConstructionFailure(_) => {
            // No credentials are found before anything is sent.
            return StoreError::Refused {
                advice: "no AWS credentials were found: set a role, a profile or AWS_ACCESS_KEY_ID"
                    .to_owned(),
                source: Some(error.into()),
            };
        }
        _ => {
            let advice = format!(
                "DynamoDB in region {region} is not reached: check the network, `store.dynamodb.region` and `endpoint_url`"
            );
            return unavailable(&advice, error);
        }
    };
    let code = service.code().unwrap_or_default().to_owned();
    let words = service.message().unwrap_or_default().to_owned();
    match code.as_str() {
        "ResourceNotFoundException" => StoreError::Refused {
            advice: format!(
                "a table is missing in region {region}, {} or one beside it: deploy deploy/cloudformation/tables.yaml, \
                 or correct `store.dynamodb.prefix` or `store.dynamodb.region`",
                dynamo.table(table)
            ),
            source: Some(error.into()),
        },
        "ProvisionedThroughputExceededException"
        | "ThrottlingException"
        | "RequestLimitExceeded" => StoreError::throttled(dynamo.table(table)),
        "TransactionCanceledException"
            if words.contains("Throttl") || words.contains("Throughput") =>
        {
            StoreError::throttled(dynamo.table(table))
        }
        "TransactionCanceledException"
        | "ValidationException"
        | "ItemCollectionSizeLimitExceededException" => StoreError::Invalid {
            what: format!("DynamoDB refused a record: {words}"),
        },
        "AccessDeniedException"
        | "UnrecognizedClientException"
        | "ExpiredTokenException"
        | "InvalidSignatureException"
        | "IncompleteSignatureException"
        | "MissingAuthenticationTokenException" => StoreError::Refused {
            advice: format!(
                "DynamoDB refuses the credentials ({code}): renew them, and check that their role may use {}",
                dynamo.table(table)
            ),
            source: Some(error.into()),
        },
        _ => unavailable(&format!("DynamoDB failed ({code})"), error),
    }
}

fn unavailable<E, R>(advice: &str, error: SdkError<E, R>) -> StoreError
where
    E: Error + Send + Sync + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    StoreError::Unavailable {
        advice: advice.to_owned(),
        source: Some(error.into()),
    }
}

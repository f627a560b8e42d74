//! AWS Secrets Manager: the value in use and the one before it.

use aws_sdk_secretsmanager::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::get_secret_value::{GetSecretValueError, GetSecretValueOutput},
};
use secrecy::{ExposeSecret, SecretString};

use super::{ANSWER, SecretError};
use crate::aws::{self, StaticCredentials};

/// Stage of the value in use.
const CURRENT: &str = "AWSCURRENT";
/// Stage of the value before it.
const PREVIOUS: &str = "AWSPREVIOUS";

/// Reads secrets of one region.
#[derive(Debug, Clone)]
pub(crate) struct Manager {
    client: Client,
    region: String,
}

/// A value and the version it is of.
pub(super) struct Version {
    pub(super) value: SecretString,
    pub(super) id: Option<String>,
}

impl Manager {
    /// Builds the client; asks nothing.
    pub(crate) async fn new(
        region: &str,
        endpoint_url: Option<&str>,
        credentials: Option<&StaticCredentials>,
    ) -> Self {
        let settings = aws::settings(region, endpoint_url, credentials, ANSWER).await;
        Self {
            client: Client::new(&settings),
            region: region.to_owned(),
        }
    }

    /// Refuses an ARN of another region, which would only be "not found".
    pub(crate) fn check(&self, id: &SecretString, variable: &str) -> Result<(), SecretError> {
        let mut parts = id.expose_secret().split(':');
        match (parts.next(), parts.nth(2)) {
            (Some("arn"), Some(region)) if region != self.region => Err(SecretError::unusable(
                variable,
                "names a secret of another region: set `secrets.region` to the region in its ARN",
            )),
            _ => Ok(()),
        }
    }

    /// Reads the value in use.
    pub(super) async fn current(
        &self,
        id: &SecretString,
        variable: &str,
    ) -> Result<Version, SecretError> {
        let answer = self
            .ask(id, CURRENT)
            .await
            .map_err(|error| self.explain(error, variable))?;
        text_of(answer, variable)
    }

    /// Reads the value before it; nothing when there is none.
    pub(super) async fn previous(
        &self,
        id: &SecretString,
        variable: &str,
    ) -> Result<Option<SecretString>, SecretError> {
        match self.ask(id, PREVIOUS).await {
            Ok(answer) => Ok(text_of(answer, variable).ok().map(|version| version.value)),
            Err(SdkError::ServiceError(error)) if error.err().is_resource_not_found_exception() => {
                Ok(None)
            }
            Err(error) => Err(self.explain(error, variable)),
        }
    }

    async fn ask(
        &self,
        id: &SecretString,
        stage: &str,
    ) -> Result<GetSecretValueOutput, SdkError<GetSecretValueError>> {
        self.client
            .get_secret_value()
            .secret_id(id.expose_secret())
            .version_stage(stage)
            .send()
            .await
    }

    /// The words of the service are never repeated: they hold the name that was asked for.
    fn explain(&self, error: SdkError<GetSecretValueError>, variable: &str) -> SecretError {
        let (variable, region) = (variable.to_owned(), self.region.clone());
        let code = match &error {
            SdkError::ServiceError(service) => service.err().code().unwrap_or("no code").to_owned(),
            SdkError::ConstructionFailure(_) => {
                return SecretError::Refused {
                    variable,
                    advice:
                        "no AWS credentials were found: set a role, a profile or AWS_ACCESS_KEY_ID"
                            .to_owned(),
                };
            }
            _ => {
                let seen = match &error {
                    SdkError::TimeoutError(_) => "did not answer in time",
                    _ => "is not reached",
                };
                return SecretError::Unavailable {
                    variable,
                    advice: format!(
                        "AWS Secrets Manager in region {region} {seen}: check the network, `secrets.region` and \
                         `secrets.endpoint_url`"
                    ),
                    source: Some(error.into()),
                };
            }
        };
        match code.as_str() {
            "ResourceNotFoundException" => SecretError::Missing {
                variable,
                region,
                why: "does not exist or has no value",
            },
            "InvalidRequestException" => SecretError::Missing {
                variable,
                region,
                why: "is about to be deleted",
            },
            "InvalidParameterException" | "ValidationException" => SecretError::unusable(
                variable,
                "names no secret: the name or the ARN of a secret of AWS Secrets Manager",
            ),
            "ThrottlingException" | "RequestLimitExceeded" | "TooManyRequestsException" => {
                SecretError::Throttled { variable }
            }
            "DecryptionFailure" | "KMSAccessDeniedException" => SecretError::Refused {
                variable,
                advice: format!(
                    "its key cannot be used ({code}): the role needs kms:Decrypt on it"
                ),
            },
            "AccessDeniedException"
            | "UnrecognizedClientException"
            | "ExpiredTokenException"
            | "InvalidSignatureException"
            | "IncompleteSignatureException"
            | "InvalidClientTokenId"
            | "MissingAuthenticationTokenException" => SecretError::Refused {
                variable,
                advice: format!(
                    "AWS refuses the credentials ({code}): renew them, and check that their role has \
                     secretsmanager:GetSecretValue on it and kms:Decrypt on its key"
                ),
            },
            _ => SecretError::Unavailable {
                variable,
                advice: format!("AWS Secrets Manager in region {region} failed ({code})"),
                source: None,
            },
        }
    }
}

fn text_of(answer: GetSecretValueOutput, variable: &str) -> Result<Version, SecretError> {
    let Some(text) = answer.secret_string() else {
        let why = "names a binary secret: only a secret string is read";
        return Err(SecretError::unusable(variable, why));
    };
    match text.trim() {
        "" => Err(SecretError::unusable(
            variable,
            "names a secret that is empty",
        )),
        // What the console makes of a "key/value" secret.
        json if json.starts_with('{') => Err(SecretError::unusable(
            variable,
            "names a secret of JSON: put the plain value into it, without a key",
        )),
        value => Ok(Version {
            value: value.into(),
            id: answer.version_id().map(str::to_owned),
        }),
    }
}

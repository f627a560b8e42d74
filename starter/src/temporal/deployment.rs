//! One deployment: asked, told, and waited for.

use std::{fmt, time::Duration};

use contracts::{converter, deployment::DeploymentResult};
use domain::deployment::DeploymentStatus;
use serde::{Serialize, de::DeserializeOwned};
use temporalio_client::{
    Client, RpcOptions, UntypedQuery, UntypedSignal, UntypedUpdate, UntypedWorkflow,
    WorkflowDescribeOptions, WorkflowExecutionStatus, WorkflowGetResultOptions, WorkflowHandle,
    WorkflowQueryOptions, WorkflowSignalOptions, WorkflowStartUpdateOptions,
    errors::WorkflowGetResultError,
};
use temporalio_common::{
    data_converters::{
        GenericPayloadConverter, RawValue, SerializationContext, SerializationContextData,
    },
    error::IncomingError,
};
use tokio::time::timeout;

use super::Trouble;

/// How long an update that a worker has taken may take to be answered.
const ANSWER: Duration = Duration::from_secs(15);

/// A handle to a deployment.
pub struct Deployment {
    handle: WorkflowHandle<Client, UntypedWorkflow>,
}

impl fmt::Debug for Deployment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Deployment")
            .field(self.handle.info())
            .finish()
    }
}

/// What became of an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivered<T> {
    /// It was answered.
    Answered(T),
    /// A worker has taken it, so it is kept; the answer is not there yet.
    Taken,
    /// No worker has taken it in time.
    NotTaken,
}

/// How a deployment ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It ran to its end.
    Completed(Box<DeploymentResult>),
    /// It could not be used or done; the message of the failure behind it.
    Failed(String),
    /// Ended from outside; how.
    Stopped(&'static str),
}

impl Deployment {
    pub(super) fn new(handle: WorkflowHandle<Client, UntypedWorkflow>) -> Self {
        Self { handle }
    }

    /// Returns the workflow id.
    #[must_use]
    pub fn workflow_id(&self) -> &str {
        &self.handle.info().workflow_id
    }

    /// Asks where it stands.
    ///
    /// # Errors
    /// When it does not exist, no worker answers in time or the server cannot be reached.
    pub async fn status(&self, within: Duration) -> Result<DeploymentStatus, Trouble> {
        status(&self.handle, within).await
    }

    /// Returns true while the workflow runs; the server alone answers this.
    ///
    /// # Errors
    /// When it does not exist or the server cannot be reached.
    pub async fn is_open(&self) -> Result<bool, Trouble> {
        let description = self
            .handle
            .describe(WorkflowDescribeOptions::default())
            .await?;
        Ok(matches!(
            description.status(),
            WorkflowExecutionStatus::Running
                | WorkflowExecutionStatus::Paused
                | WorkflowExecutionStatus::ContinuedAsNew
        ))
    }

    /// Sends an update under an id: the same id has one effect and one answer.
    ///
    /// # Errors
    /// When the workflow is over or refuses it, or the server cannot be reached.
    pub async fn update<I: Serialize + 'static, O: DeserializeOwned + 'static>(
        &self,
        name: &str,
        id: &str,
        input: &I,
        within: Duration,
    ) -> Result<Delivered<O>, Trouble> {
        let options = WorkflowStartUpdateOptions::builder()
            .update_id(id.to_owned())
            .build();
        let start = self
            .handle
            .start_update(UntypedUpdate::new(name), encode(input)?, options);
        let taken = match timeout(within, start).await {
            Err(_) => return Ok(Delivered::NotTaken),
            Ok(taken) => taken.map_err(Trouble::from),
        };
        let update = match taken {
            Err(Trouble::NoAnswer) => return Ok(Delivered::NotTaken),
            other => other?,
        };
        match timeout(ANSWER, update.get_result(RpcOptions::default())).await {
            Err(_) => Ok(Delivered::Taken),
            Ok(raw) => Ok(Delivered::Answered(decode(raw?)?)),
        }
    }

    /// Sends a signal; the server keeps it until a worker comes. `id` makes a repeat harmless.
    ///
    /// # Errors
    /// When the workflow is over or the server cannot be reached.
    pub async fn signal<I: Serialize + 'static>(
        &self,
        name: &str,
        id: &str,
        input: &I,
    ) -> Result<(), Trouble> {
        let options = WorkflowSignalOptions::builder()
            .request_id(id.to_owned())
            .build();
        Ok(self
            .handle
            .signal(UntypedSignal::new(name), encode(input)?, options)
            .await?)
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// When it does not exist or the server cannot be reached.
    pub async fn end(&self) -> Result<End, Trouble> {
        match self
            .handle
            .get_result(WorkflowGetResultOptions::default())
            .await
        {
            Ok(raw) => Ok(End::Completed(Box::new(decode(raw)?))),
            Err(WorkflowGetResultError::Failed(error)) => Ok(End::Failed(root_cause(&error))),
            Err(WorkflowGetResultError::Cancelled { .. }) => Ok(End::Stopped("cancelled")),
            Err(WorkflowGetResultError::Terminated { .. }) => Ok(End::Stopped("terminated")),
            Err(WorkflowGetResultError::TimedOut) => {
                Ok(End::Failed("the workflow ran out of its time".to_owned()))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Asks a workflow where it stands.
pub(super) async fn status<O: DeserializeOwned + 'static>(
    handle: &WorkflowHandle<Client, UntypedWorkflow>,
    within: Duration,
) -> Result<O, Trouble> {
    let query = handle.query(
        UntypedQuery::new("status"),
        RawValue::new(vec![]),
        WorkflowQueryOptions::default(),
    );
    let raw = timeout(within, query)
        .await
        .map_err(|_| Trouble::NoAnswer)??;
    decode(raw)
}

/// Makes a payload, as every other client of the workflow does.
pub(super) fn encode<T: Serialize + 'static>(value: &T) -> Result<RawValue, Trouble> {
    let converter = converter::data_converter();
    let converter = converter.payload_converter();
    let context = SerializationContext::new(&SerializationContextData::None, converter);
    let payload = converter
        .to_payload(&context, value)
        .map_err(|error| Trouble::Other(error.to_string()))?;
    Ok(RawValue::new(vec![payload]))
}

pub(super) fn decode<T: DeserializeOwned + 'static>(raw: RawValue) -> Result<T, Trouble> {
    let converter = converter::data_converter();
    let converter = converter.payload_converter();
    let context = SerializationContext::new(&SerializationContextData::None, converter);
    converter.from_payloads(&context, raw.payloads).map_err(|error| {
        Trouble::Other(format!("the answer cannot be read, worker and starter may be of different versions: {error}"))
    })
}

/// Joins the messages of the application failures of a chain; the wrappers around them only say that
/// something failed. Without one, the innermost message is all there is.
pub(super) fn root_cause(error: &IncomingError) -> String {
    let chain = || std::iter::successors(Some(error), |error| error.cause());
    let mut text = String::new();
    for failure in chain().filter(|error| matches!(error, IncomingError::Application(_))) {
        let message = &failure.failure().message;
        if !text.contains(message.as_str()) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(message);
        }
    }
    match chain().last() {
        Some(last) if text.is_empty() => last.failure().message.clone(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use domain::approval::Answer;

    use super::*;

    #[test]
    fn what_is_encoded_is_plain_json_and_read_back() {
        let answer = Answer::Counted {
            approvals: 1,
            quorum: 2,
        };
        let raw = encode(&answer).unwrap();
        assert_eq!(
            raw.payloads[0].data,
            br#"{"kind":"counted","approvals":1,"quorum":2}"#
        );
        assert_eq!(decode::<Answer>(raw).unwrap(), answer);
    }

    #[test]
    fn an_answer_of_another_shape_says_so() {
        let raw = encode(&"hello").unwrap();
        assert!(
            decode::<Answer>(raw)
                .unwrap_err()
                .to_string()
                .contains("different versions")
        );
    }
}

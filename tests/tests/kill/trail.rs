//! A history as a line of places where a worker can die. Between two of them nobody could come: the
//! server writes what belongs together at once.

use std::{collections::BTreeMap, fmt};

use temporalio_client::{Client, NamespacedClient, tonic::IntoRequest};
use temporalio_common::protos::temporal::api::{
    common::v1::WorkflowExecution,
    enums::v1::EventType,
    history::v1::{HistoryEvent, history_event::Attributes},
    workflowservice::v1::GetWorkflowExecutionHistoryReverseRequest,
};

/// Most looks find less news than this.
const PAGE: i32 = 12;

/// Type of a workflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    Deployment,
    Device,
}

impl Kind {
    pub(crate) const ALL: [Self; 2] = [Self::Deployment, Self::Device];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Deployment => "PatchDeployment",
            Self::Device => "DevicePatch",
        }
    }
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Turn {
    /// The outside's: activities, timers, people, devices.
    World,
    /// A worker's, which has not heard of it.
    Offered,
    /// A worker's, which is at it.
    Worker,
}

/// A place in the story of a workflow, found again in every history of the same story, however many
/// tasks timed out meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) kind: Kind,
    /// The last event that is not about a workflow task, and which one of its sort it is.
    last: String,
    pub(crate) turn: Turn,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let turn = match self.turn {
            Turn::World => "",
            Turn::Offered => ", task offered",
            Turn::Worker => ", task begun",
        };
        write!(f, "{}: {}{turn}", self.kind.name(), self.last)
    }
}

/// How far a workflow is, by its history.
#[derive(Debug)]
pub(crate) struct Trail {
    id: String,
    kind: Kind,
    /// Last event that was read.
    pub(crate) length: i64,
    pub(crate) closed: bool,
    last: String,
    turn: Turn,
    /// The server goes on by itself from here, within a millisecond.
    fleeting: bool,
    completed_at: Option<(i64, i32)>,
    counts: BTreeMap<String, u32>,
    activities: BTreeMap<i64, String>,
    /// Children it has asked for.
    pub(crate) children: Vec<String>,
    /// Workflow tasks that a worker has finished.
    pub(crate) turns: u32,
    /// Places passed so far.
    pub(crate) passed: Vec<Place>,
}

impl Trail {
    pub(crate) fn new(kind: Kind, id: String) -> Self {
        Self {
            id,
            kind,
            length: 0,
            closed: false,
            last: String::new(),
            turn: Turn::World,
            fleeting: false,
            completed_at: None,
            counts: BTreeMap::new(),
            activities: BTreeMap::new(),
            children: Vec::new(),
            turns: 0,
            passed: Vec::new(),
        }
    }

    /// Where it stands; none before its start and after its end.
    pub(crate) fn place(&self) -> Option<Place> {
        (self.length > 0 && !self.closed).then(|| Place {
            kind: self.kind,
            last: self.last.clone(),
            turn: self.turn,
        })
    }

    /// Reads on. False when the server could not be asked; one that is not started yet has no news.
    pub(crate) async fn look(&mut self, client: &Client) -> bool {
        if self.closed {
            return true;
        }
        let mut news: Vec<HistoryEvent> = Vec::new();
        let mut request = GetWorkflowExecutionHistoryReverseRequest {
            namespace: client.namespace(),
            execution: Some(WorkflowExecution {
                workflow_id: self.id.clone(),
                run_id: String::new(),
            }),
            maximum_page_size: PAGE,
            next_page_token: vec![],
        };
        loop {
            let mut service = client.connection().workflow_service();
            let asked =
                service.get_workflow_execution_history_reverse(request.clone().into_request());
            let page = match asked.await {
                Ok(page) => page.into_inner(),
                Err(status) => {
                    return status.code() == temporalio_client::tonic::Code::NotFound;
                }
            };
            let events = page.history.map(|history| history.events);
            news.extend(events.unwrap_or_default());
            let reached = news.last().is_none_or(|e| e.event_id <= self.length + 1);
            if reached || page.next_page_token.is_empty() {
                break;
            }
            request.next_page_token = page.next_page_token;
        }
        for event in news.iter().rev() {
            if event.event_id > self.length {
                self.follow(event);
            }
        }
        true
    }

    fn follow(&mut self, event: &HistoryEvent) {
        use EventType as E;
        let kind = event.event_type();
        let at = event.event_time.as_ref().map(|t| (t.seconds, t.nanos));
        // What came while a worker had the task is written with the task's end.
        let buffered = at.is_some() && at < self.completed_at;
        match kind {
            // Written together with what it is for.
            E::WorkflowTaskScheduled => self.turn = Turn::Offered,
            E::WorkflowTaskStarted => {
                self.turn = Turn::Worker;
                self.length = event.event_id;
                self.pass();
            }
            E::WorkflowTaskCompleted => {
                self.turn = Turn::World;
                self.turns += 1;
                self.completed_at = at;
            }
            E::WorkflowTaskTimedOut | E::WorkflowTaskFailed => self.turn = Turn::Offered,
            // Written together with the end of the activity.
            E::ActivityTaskStarted => return,
            _ => {
                if !is_command(kind)
                    && !self.fleeting
                    && self.turn == Turn::World
                    && !buffered
                    && self.length > 0
                {
                    self.pass();
                }
                let label = self.label(event);
                let count = self.counts.entry(label.clone()).or_default();
                *count += 1;
                self.last = format!("{label} #{count}");
                self.fleeting = matches!(
                    kind,
                    E::StartChildWorkflowExecutionInitiated
                        | E::SignalExternalWorkflowExecutionInitiated
                );
                self.closed |= matches!(
                    kind,
                    E::WorkflowExecutionCompleted
                        | E::WorkflowExecutionFailed
                        | E::WorkflowExecutionTimedOut
                        | E::WorkflowExecutionTerminated
                        | E::WorkflowExecutionCanceled
                );
            }
        }
        self.length = event.event_id;
    }

    /// A transaction of the server ended here.
    fn pass(&mut self) {
        if let Some(place) = self.place().filter(|place| place.turn != Turn::Offered)
            && self.passed.last().is_none_or(|last| *last != place)
        {
            self.passed.push(place);
        }
    }

    fn label(&mut self, event: &HistoryEvent) -> String {
        let kind = event.event_type().as_str_name();
        let kind = kind.trim_start_matches("EVENT_TYPE_").to_lowercase();
        let subject = match event.attributes.as_ref() {
            Some(Attributes::ActivityTaskScheduledEventAttributes(a)) => {
                let name = a.activity_type.clone().unwrap_or_default().name;
                self.activities.insert(event.event_id, name.clone());
                Some(name)
            }
            Some(Attributes::ActivityTaskCompletedEventAttributes(a)) => {
                self.activities.get(&a.scheduled_event_id).cloned()
            }
            Some(Attributes::ActivityTaskFailedEventAttributes(a)) => {
                self.activities.get(&a.scheduled_event_id).cloned()
            }
            Some(Attributes::ActivityTaskTimedOutEventAttributes(a)) => {
                self.activities.get(&a.scheduled_event_id).cloned()
            }
            Some(Attributes::WorkflowExecutionSignaledEventAttributes(a)) => {
                Some(a.signal_name.clone())
            }
            Some(Attributes::StartChildWorkflowExecutionInitiatedEventAttributes(a)) => {
                self.children.push(a.workflow_id.clone());
                None
            }
            _ => None,
        };
        match subject {
            Some(subject) => format!("{kind} {subject}"),
            None => kind,
        }
    }
}

/// What a worker asks for is written with the end of its task.
fn is_command(kind: EventType) -> bool {
    use EventType as E;
    matches!(
        kind,
        E::ActivityTaskScheduled
            | E::ActivityTaskCancelRequested
            | E::TimerStarted
            | E::TimerCanceled
            | E::StartChildWorkflowExecutionInitiated
            | E::SignalExternalWorkflowExecutionInitiated
            | E::UpsertWorkflowSearchAttributes
            | E::WorkflowPropertiesModified
            | E::MarkerRecorded
            | E::WorkflowExecutionCompleted
            | E::WorkflowExecutionFailed
    )
}

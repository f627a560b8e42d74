//! Schedules, by the calls of the server itself: those of the SDK's client know neither memo nor
//! search attributes nor a catch-up window.

mod standing;
mod written;

use std::time::Duration;

use anyhow::anyhow;
use contracts::schedule::ScheduleKind;
use domain::ids::ScheduleName;
use temporalio_client::{
    NamespacedClient,
    tonic::{Code, IntoRequest, Response, Status},
};
use temporalio_common::protos::temporal::api::{
    enums::v1::ScheduleOverlapPolicy,
    schedule::v1::{ScheduleListInfo, SchedulePatch, ScheduleState, TriggerImmediatelyRequest},
    workflowservice::v1::{
        CreateScheduleRequest, DeleteScheduleRequest, DescribeScheduleRequest,
        ListSchedulesRequest, PatchScheduleRequest, UpdateScheduleRequest,
    },
};
use uuid::Uuid;

pub use self::standing::{Run, Standing};
use self::{
    standing::{is_ours, standing},
    written::{HALF_MADE, MARK, attributes, going, memo, schedule, waiting},
};
use super::Temporal;
use crate::schedules::entries::Entry;

/// How long a call may take; a person waits for it.
const CALL: Duration = Duration::from_secs(15);
/// Schedules listed at once.
const PAGE: i32 = 100;

impl Temporal {
    /// Lists the schedules that were made here, by name. A new one may take a moment to appear.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn schedules(&self) -> anyhow::Result<Vec<ScheduleName>> {
        self.listed(|_| true).await
    }

    /// Reads the schedules of a kind that were made here: those that go on, then those that are paused, each
    /// by name.
    ///
    /// # Errors
    /// When the server does not answer.
    pub(super) async fn schedules_of(&self, kind: ScheduleKind) -> anyhow::Result<Vec<Standing>> {
        let starts = |info: &ScheduleListInfo| {
            let started = info.workflow_type.as_ref();
            started.is_some_and(|started| started.name == kind.workflow_type())
        };
        let mut found = Vec::new();
        for name in self.listed(starts).await? {
            found.extend(self.schedule(&name).await?);
        }
        found.sort_by_key(|one| one.paused);
        Ok(found)
    }

    async fn listed(
        &self,
        wanted: impl Fn(&ScheduleListInfo) -> bool,
    ) -> anyhow::Result<Vec<ScheduleName>> {
        let (mut names, mut next_page_token) = (vec![], vec![]);
        loop {
            let request = ListSchedulesRequest {
                namespace: self.client.namespace(),
                maximum_page_size: PAGE,
                next_page_token,
                ..ListSchedulesRequest::default()
            };
            let mut service = self.client.connection().workflow_service();
            let page = within(service.list_schedules(request.into_request())).await;
            let page = page.map_err(|status| refused("does not list schedules", &status))?;
            let ours = page
                .schedules
                .into_iter()
                .filter(|one| is_ours(one.memo.as_ref()))
                .filter(|one| wanted(one.info.as_ref().unwrap_or(&ScheduleListInfo::default())));
            names.extend(ours.filter_map(|one| one.schedule_id.parse().ok()));
            next_page_token = page.next_page_token;
            if next_page_token.is_empty() {
                names.sort_unstable();
                return Ok(names);
            }
        }
    }

    /// Asks for a schedule; `None` when there is none.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn schedule(&self, name: &ScheduleName) -> anyhow::Result<Option<Standing>> {
        let request = DescribeScheduleRequest {
            namespace: self.client.namespace(),
            schedule_id: name.to_string(),
        };
        let mut service = self.client.connection().workflow_service();
        match within(service.describe_schedule(request.into_request())).await {
            Ok(answer) => Ok(Some(standing(answer).await)),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(refused(&format!("does not show schedule {name}"), &status)),
        }
    }

    /// Makes a schedule: paused first, then let go unless the entry wants it paused.
    ///
    /// # Errors
    /// When the server refuses it.
    pub async fn create_schedule(&self, entry: &Entry) -> anyhow::Result<()> {
        let state = ScheduleState {
            paused: true,
            notes: match entry.paused {
                true => waiting(entry),
                false => HALF_MADE.to_owned(),
            },
            ..ScheduleState::default()
        };
        let request = CreateScheduleRequest {
            namespace: self.client.namespace(),
            schedule_id: entry.name.to_string(),
            schedule: Some(schedule(entry, state).await?),
            identity: self.client.identity(),
            request_id: Uuid::now_v7().to_string(),
            memo: Some(memo(MARK, &"schedule").await?),
            search_attributes: attributes(entry),
            ..CreateScheduleRequest::default()
        };
        let mut service = self.client.connection().workflow_service();
        let created = within(service.create_schedule(request.into_request())).await;
        created.map_err(|status| refused("does not create it", &status))?;
        if entry.paused {
            return Ok(());
        }
        self.unpause_schedule(&entry.name, &going(entry)).await
    }

    /// Changes a schedule to what an entry says. It stays paused or going as it is, unless the
    /// entry changes just that.
    ///
    /// # Errors
    /// When the server refuses it, or somebody else has changed it meanwhile.
    pub async fn update_schedule(&self, entry: &Entry, was: &Standing) -> anyhow::Result<()> {
        let mut state = was.state.clone();
        let before = was.entry.as_ref();
        let is_asked = before.is_some_and(|old| old.paused != entry.paused) || was.half_made;
        if is_asked {
            state.paused = entry.paused;
        }
        if is_asked || !state.paused {
            state.notes = match entry.paused {
                true => waiting(entry),
                false => going(entry),
            };
        }
        let request = UpdateScheduleRequest {
            namespace: self.client.namespace(),
            schedule_id: entry.name.to_string(),
            schedule: Some(schedule(entry, state).await?),
            conflict_token: was.conflict_token.clone(),
            identity: self.client.identity(),
            request_id: Uuid::now_v7().to_string(),
            search_attributes: Some(attributes(entry).unwrap_or_default()),
            ..UpdateScheduleRequest::default()
        };
        let mut service = self.client.connection().workflow_service();
        let updated = within(service.update_schedule(request.into_request())).await;
        updated.map_err(|status| refused("does not change it", &status))?;
        Ok(())
    }

    /// Pauses a schedule.
    ///
    /// # Errors
    /// When the server refuses it.
    pub async fn pause_schedule(&self, name: &ScheduleName, note: &str) -> anyhow::Result<()> {
        let patch = SchedulePatch {
            pause: note.to_owned(),
            ..SchedulePatch::default()
        };
        self.patch(name, patch).await
    }

    /// Lets a paused schedule go on; what it missed is not caught up.
    ///
    /// # Errors
    /// When the server refuses it.
    pub async fn unpause_schedule(&self, name: &ScheduleName, note: &str) -> anyhow::Result<()> {
        let patch = SchedulePatch {
            unpause: note.to_owned(),
            ..SchedulePatch::default()
        };
        self.patch(name, patch).await
    }

    /// Starts one run now, unless one still runs.
    ///
    /// # Errors
    /// When the server refuses it.
    pub async fn trigger_schedule(&self, name: &ScheduleName) -> anyhow::Result<()> {
        let patch = SchedulePatch {
            trigger_immediately: Some(TriggerImmediatelyRequest {
                overlap_policy: ScheduleOverlapPolicy::Skip as i32,
                ..TriggerImmediatelyRequest::default()
            }),
            ..SchedulePatch::default()
        };
        self.patch(name, patch).await
    }

    /// Deletes a schedule; its workflows are left alone.
    ///
    /// # Errors
    /// When the server refuses it.
    pub async fn delete_schedule(&self, name: &ScheduleName) -> anyhow::Result<()> {
        let request = DeleteScheduleRequest {
            namespace: self.client.namespace(),
            schedule_id: name.to_string(),
            identity: self.client.identity(),
        };
        let mut service = self.client.connection().workflow_service();
        let deleted = within(service.delete_schedule(request.into_request())).await;
        deleted.map_err(|status| refused(&format!("does not delete schedule {name}"), &status))?;
        Ok(())
    }

    async fn patch(&self, name: &ScheduleName, patch: SchedulePatch) -> anyhow::Result<()> {
        let request = PatchScheduleRequest {
            namespace: self.client.namespace(),
            schedule_id: name.to_string(),
            patch: Some(patch),
            identity: self.client.identity(),
            request_id: Uuid::now_v7().to_string(),
        };
        let mut service = self.client.connection().workflow_service();
        let patched = within(service.patch_schedule(request.into_request())).await;
        patched.map_err(|status| refused(&format!("does not change schedule {name}"), &status))?;
        Ok(())
    }
}

async fn within<T>(call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, Status> {
    match tokio::time::timeout(CALL, call).await {
        Ok(answer) => answer.map(Response::into_inner),
        Err(_) => Err(Status::deadline_exceeded(format!(
            "no answer within {} s",
            CALL.as_secs()
        ))),
    }
}

fn refused(what: &str, status: &Status) -> anyhow::Error {
    anyhow!("the Temporal server {what}: {}", status.message())
}

//! Workflow `CampaignReport`: writes what became of a campaign into the storage of objects. May run as
//! often as one likes; each report is kept.

#![expect(
    missing_debug_implementations,
    reason = "the macro makes the marker types"
)]

use contracts::{
    activities::campaign::{
        FindNewest, FindNewestInput, Report, ReportInput, ReportResult, ReportWritten,
    },
    campaign::{CampaignReportInput, CampaignReportResult},
    message::Message,
    schedule::ScheduleKind,
    search,
};
use domain::{campaign::report::Fate, ids::PlanId, input::InvalidInput};
use temporalio_workflow::{
    WorkflowContext, WorkflowContextView, WorkflowResult, workflow, workflow_methods,
};

use crate::{
    call, clock,
    failure::{self, Failed, ended},
    letters, options,
    show::show,
};

/// Input of a report, or what is wrong with it.
#[workflow]
#[derive(Debug)]
pub struct CampaignReport {
    input: Result<CampaignReportInput, InvalidInput>,
}

#[workflow_methods]
impl CampaignReport {
    #[init]
    fn new(_: &WorkflowContextView, input: Message<CampaignReportInput>) -> Self {
        Self {
            input: input.into_result(),
        }
    }

    /// Reports.
    #[run(name = "CampaignReport")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<CampaignReportResult> {
        let input = ctx.state(|report| report.input.clone());
        let mut input = input
            .and_then(|input| input.check().map(|()| input))
            .map_err(failure::invalid_input)?;
        let client = search::CLIENT.value_set(input.client.to_string());
        ctx.upsert_search_attributes(vec![client]);
        let result = match write(ctx, &mut input).await {
            Ok(result) => result,
            Err(why) => {
                let (client, kind) = (input.client.clone(), ScheduleKind::CampaignReport);
                return Err(letters::left(ctx, Some(&client), kind, input, why).await);
            }
        };
        let details = match &result {
            ReportResult::Written(report) => details(report),
            ReportResult::NoCampaign => "The client has no campaign to report on".to_owned(),
        };
        show(ctx, "done", details);
        Ok(result)
    }
}

/// Writes the report of the campaign that is asked for. One that is not named is named first: a retry
/// after the next campaign is still about this one.
async fn write(
    ctx: &WorkflowContext<CampaignReport>,
    input: &mut CampaignReportInput,
) -> WorkflowResult<ReportResult> {
    if input.campaign.is_none() {
        input.campaign = find_newest(ctx, input).await?;
    }
    let Some(campaign) = input.campaign.clone() else {
        return Ok(ReportResult::NoCampaign);
    };
    let what = format!("report on campaign {campaign}");
    show(ctx, "reporting", format!("Writing: {what}"));
    let options = options::reporting(what, input.try_secs, input.give_up_secs);
    let asked = ReportInput {
        at: clock::now(ctx),
        client: input.client.clone(),
        campaign: Some(campaign),
    };
    ended(ctx.execute_activity(Report, asked, options).await)
}

async fn find_newest(
    ctx: &WorkflowContext<CampaignReport>,
    input: &CampaignReportInput,
) -> WorkflowResult<Option<PlanId>> {
    let client = input.client.clone();
    let what = format!("find the newest campaign of client {client}");
    show(ctx, "reporting", format!("Asking the store: {what}"));
    let how = options::in_steps(options::store(what), input.give_up_secs);
    let asked = FindNewestInput { client };
    let found = call::activity(ctx, input.try_secs, FindNewest, asked, how).await;
    Ok(found.map_err(Failed::into_termination)?.campaign)
}

fn details(report: &ReportWritten) -> String {
    let ReportWritten {
        campaign,
        keys,
        plans,
        devices,
        ..
    } = report;
    let counted = Fate::ALL
        .into_iter()
        .map(|fate| (fate.as_str().replace('_', " "), devices.of(fate)))
        .filter(|(_, number)| *number > 0)
        .map(|(fate, number)| format!("| {fate} | {number} |\n"));
    let counted: String = counted.collect();
    let software = keys.software.as_ref();
    let software = software.map_or(String::new(), |key| format!("- `{key}`\n"));
    format!(
        "Campaign `{campaign}`, {plans} plans\n\n| Devices | |\n| --- | ---: |\n{counted}\n- `{}`\n- `{}`\n{software}- `{}`\n",
        keys.html, keys.csv, keys.json
    )
}

//! Workflow `DailySeal`: what was written down until a day is copied into write-once storage and
//! sealed. May run as often as one likes; what is sealed already is left alone.

#![expect(
    missing_debug_implementations,
    reason = "the macro makes the marker types"
)]

use contracts::{
    activities::seal::{Seal, SealInput},
    message::Message,
    schedule::ScheduleKind,
    seal::{DailySealInput, DailySealResult},
};
use domain::input::{InvalidInput, Problem};
use jiff::{civil::Date, tz::TimeZone};
use temporalio_workflow::{
    WorkflowContext, WorkflowContextView, WorkflowResult, workflow, workflow_methods,
};

use crate::{
    clock,
    failure::{self, ended},
    letters, options,
    show::show,
};

/// Input of a seal, or what is wrong with it.
#[workflow]
#[derive(Debug)]
pub struct DailySeal {
    input: Result<DailySealInput, InvalidInput>,
}

#[workflow_methods]
impl DailySeal {
    #[init]
    fn new(_: &WorkflowContextView, input: Message<Option<DailySealInput>>) -> Self {
        Self {
            input: input.into_result().map(Option::unwrap_or_default),
        }
    }

    /// Seals.
    #[run(name = "DailySeal")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<DailySealResult> {
        let today = TimeZone::UTC.to_datetime(clock::now(ctx)).date();
        let input = ctx.state(|seal| seal.input.clone());
        let (input, through) = input
            .and_then(|input| Ok((last_day(&input, today)?, input)))
            .map(|(through, input)| (input, through))
            .map_err(failure::invalid_input)?;
        show(
            ctx,
            "sealing",
            format!("Sealing the audit trail until {through}"),
        );
        let options = options::sealing(
            format!("seal until {through}"),
            input.try_secs,
            input.give_up_secs,
        );
        let sealed = ctx.execute_activity(Seal, SealInput { through }, options);
        let sealed = match ended(sealed.await) {
            Ok(sealed) => sealed,
            Err(why) => {
                let again = DailySealInput {
                    through: Some(through),
                    ..input
                };
                return Err(letters::left(ctx, None, ScheduleKind::DailySeal, again, why).await);
            }
        };
        let DailySealResult {
            sequence,
            root,
            parts,
            entries,
            ..
        } = &sealed;
        show(
            ctx,
            "done",
            format!("Seal {sequence}: {entries} entries in {parts} copies, root `{root}`"),
        );
        Ok(sealed)
    }
}

/// A day that is not over yet may be sealed: what comes later is sealed by the next one.
fn last_day(input: &DailySealInput, today: Date) -> Result<Date, InvalidInput> {
    let yesterday = today.yesterday().unwrap_or(Date::MIN);
    let through = input.through.unwrap_or(yesterday);
    if through > today {
        let (value, allowed) = (through.to_string(), format!("a day until today, {today}"));
        return Err(InvalidInput::one(Problem::new("through", value, allowed)));
    }
    Ok(through)
}

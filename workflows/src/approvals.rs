//! The approval module, used by every workflow that asks people. The rules are those of
//! `domain::approval`; this drives them: looks people up, keeps answers, writes audit entries.

use contracts::{
    activities::{
        approvals::{Authorize, AuthorizeInput},
        plans::{Difference, DifferenceInput},
    },
    deployment::{DecisionInput, MAX_REASON},
};
use domain::{
    approval::{Answer, ApprovalBook, Check, Choice, Decision},
    ids::{ClientId, PersonId, PlanId, RequestId},
    input::{InvalidInput, Problem},
    people::{Authority, ControlAction, Identity},
};
use jiff::Timestamp;
use temporalio_workflow::WorkflowContext;

use crate::{call, options};

/// A workflow that asks people.
pub(crate) trait AsksPeople: Sized + 'static {
    /// Its approval state.
    fn book(&mut self) -> &mut ApprovalBook;
    /// Longest one call of an activity may take.
    fn call_secs(&self) -> u64;
}

/// What a decision is about, and on whose behalf.
pub(crate) struct Matter<'a> {
    pub(crate) client: &'a ClientId,
    pub(crate) plan: &'a PlanId,
    pub(crate) requester: Option<&'a PersonId>,
    /// Who changed the plan last; under four eyes as good as the requester.
    pub(crate) amended_by: Option<&'a PersonId>,
}

/// A decision with its answer, and how sure we are who spoke.
pub(crate) struct Answered {
    pub(crate) decision: Decision,
    pub(crate) answer: Answer,
    pub(crate) identity: Identity,
    /// It was answered before, and came again.
    pub(crate) repeated: bool,
}

/// Answers one decision. Expected "no" is data; nothing here fails the workflow.
pub(crate) async fn decide<W: AsksPeople>(
    ctx: &WorkflowContext<W>,
    matter: &Matter<'_>,
    decision: Decision,
) -> Answered {
    let mut identity = Identity::Claimed;
    let before = |s: &mut W| s.book().answer_to(&decision.id).cloned();
    let repeated = ctx
        .state_mut(before)
        .is_some_and(|answer| answer != Answer::Kept);
    // A decision by hand that came when nothing was open must not count for what opened since.
    let aimless = decision.request.is_none() && decision.plan_hash.is_none();
    let answer = match ctx.state_mut(|s| s.book().check(&decision)) {
        Check::Answered(answer) => answer,
        Check::NeedsAuthority if aimless => Answer::NothingOpen,
        Check::NeedsDifference { meant, current } => {
            let difference = difference(ctx, matter.plan, meant, &current).await;
            Answer::WrongHash {
                current,
                difference,
            }
        }
        Check::NeedsAuthority => {
            let authority = look_up(ctx, matter, &decision).await;
            let (Authority::Allowed { identity: sure, .. }
            | Authority::Denied { identity: sure, .. }) = &authority;
            identity = *sure;
            ctx.state_mut(|s| s.book().count(&decision, &authority))
        }
    };
    ctx.state_mut(|s| s.book().remember(&decision.id, &answer));
    Answered {
        decision,
        answer,
        identity,
        repeated,
    }
}

async fn look_up<W: AsksPeople>(
    ctx: &WorkflowContext<W>,
    matter: &Matter<'_>,
    decision: &Decision,
) -> Authority {
    let (least_role, four_eyes) = ctx.state_mut(|s| {
        s.book()
            .open_request()
            .map_or((None, false), |r| (Some(r.role), r.four_eyes))
    });
    let input = AuthorizeInput {
        by: decision.by.clone(),
        action: ControlAction::Decide,
        workflow_id: ctx.workflow_id().to_owned(),
        client: matter.client.clone(),
        least_role,
        requester: matter
            .amended_by
            .filter(|amender| **amender == decision.by)
            .or(matter.requester)
            .cloned(),
        four_eyes,
        halted: false,
        choice: Some(decision.choice),
        request: decision.request.clone(),
        plan_hash: decision.plan_hash.clone(),
        kb: None,
        incident: None,
        device: None,
        proof: decision.proof.clone(),
    };
    authorize(ctx, input).await
}

/// Asks who a person is and what the person may do. A look-up that fails for good is a "no".
pub(crate) async fn authorize<W: AsksPeople>(
    ctx: &WorkflowContext<W>,
    input: AuthorizeInput,
) -> Authority {
    let summary = format!("may {} {}?", input.by, input.action.as_str());
    let longest = ctx.state(AsksPeople::call_secs);
    call::activity(ctx, longest, Authorize, input, options::store(summary))
        .await
        .unwrap_or_else(|error| Authority::Denied {
            reason: format!("the person could not be looked up: {}", error.message),
            identity: Identity::Claimed,
        })
}

async fn difference<W: AsksPeople>(
    ctx: &WorkflowContext<W>,
    plan: &PlanId,
    meant: String,
    current: &str,
) -> Vec<String> {
    let input = DifferenceInput {
        plan: plan.clone(),
        meant,
        current: current.to_owned(),
    };
    let longest = ctx.state(AsksPeople::call_secs);
    match call::activity(
        ctx,
        longest,
        Difference,
        input,
        options::store("compare plans"),
    )
    .await
    {
        Ok(answer) => answer.difference,
        Err(error) => vec![format!("plans could not be compared: {}", error.message)],
    }
}

/// Reads a decision as it was sent.
///
/// # Errors
/// Names the field that cannot be used.
pub(crate) fn read(
    id: String,
    choice: Choice,
    input: &DecisionInput,
    open_then: Option<&RequestId>,
    at: Timestamp,
) -> Result<Decision, InvalidInput> {
    Ok(Decision {
        id,
        choice,
        by: person(&input.by)?,
        // A decision by hand means the request that was open when it came.
        request: input.request_id.clone().or_else(|| {
            if input.plan_hash.is_none() {
                open_then.cloned()
            } else {
                None
            }
        }),
        plan_hash: input.plan_hash.clone(),
        reason: reason(input.reason.as_deref())?,
        proof: input.proof.clone(),
        received_at: at,
    })
}

/// Reads a person.
pub(crate) fn person(by: &str) -> Result<PersonId, InvalidInput> {
    by.parse::<PersonId>()
        .map_err(|e| InvalidInput::one(Problem::new("by", by, e.to_string())))
}

/// Reads a reason.
pub(crate) fn reason(text: Option<&str>) -> Result<Option<String>, InvalidInput> {
    match text {
        Some(text) if text.chars().count() > MAX_REASON => Err(InvalidInput::one(Problem::new(
            "reason",
            format!("{} characters", text.chars().count()),
            format!("at most {MAX_REASON} characters"),
        ))),
        other => Ok(other.map(|t| t.chars().filter(|c| !c.is_control()).collect())),
    }
}

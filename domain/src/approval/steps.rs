//! What people, the clock and the workflow may do, at random.

use proptest::{prelude::*, sample::Index};

use super::{Choice, How, Next};
use crate::guardrail::OnTimeout;

/// Asks for the plans; the others who may decide are `erin` and `lee`.
pub(super) const REQUESTER: &str = "dana";
pub(super) const WITHOUT_ROLE: &str = "tom";

#[derive(Debug, Clone)]
pub(super) enum Step {
    /// A request opens; the one that is open is superseded.
    Ask {
        hash: &'static str,
        quorum: u32,
        timeout: i64,
        on_timeout: OnTimeout,
        four_eyes: bool,
    },
    Decide {
        by: &'static str,
        choice: Choice,
        aim: Aim,
        pace: Pace,
    },
    /// A decision that was sent is delivered once more.
    Repeat(Index, Pace),
    /// The workflow works off what is left: look-ups first, then the inbox.
    CatchUp,
    Wait(i64),
    WaitFor(Moment),
    Escalate,
    Expire,
    Extend(i64),
    Close(How),
    /// The plan was changed, or guardrails ask for more: people will be asked anew.
    AskAnew(Next),
    /// Continue-as-new: the book is written down and read again.
    CarryOver,
}

/// What a decision names.
#[derive(Debug, Clone, Copy)]
pub(super) enum Aim {
    /// Nothing: it means what is open when it arrives.
    ByHand,
    Plan(&'static str),
    /// What the card of a request says: the newest, or one before it.
    Card {
        back: usize,
        with_hash: bool,
    },
}

/// The seconds at which something changes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Moment {
    Escalation,
    BeforeTheDeadline,
    Deadline,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Pace {
    AtOnce,
    /// It stays in the inbox.
    Left,
    /// The look-up of the person takes its time.
    SlowLookUp,
}

/// Up to 40 steps: fewer decisions than the book remembers answers.
pub(super) fn any_steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(any_step(), 5..40)
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => any_request(),
        14 => any_decision(),
        3 => (any::<Index>(), any_pace()).prop_map(|(which, pace)| Step::Repeat(which, pace)),
        2 => Just(Step::CatchUp),
        3 => (1_i64..30).prop_map(Step::Wait),
        3 => any_moment().prop_map(Step::WaitFor),
        4 => Just(Step::Expire),
        2 => Just(Step::Escalate),
        1 => (1_i64..30).prop_map(Step::Extend),
        1 => prop_oneof![Just(How::Superseded), Just(How::Cancelled)].prop_map(Step::Close),
        1 => prop_oneof![Just(Next::OtherPlan), Just(Next::SamePlan)].prop_map(Step::AskAnew),
        1 => Just(Step::CarryOver),
    ]
}

fn any_request() -> impl Strategy<Value = Step> {
    let on_timeout = prop_oneof![Just(OnTimeout::Reject), Just(OnTimeout::Hold)];
    (
        any_hash(),
        any_quorum(),
        10_i64..60,
        on_timeout,
        any::<bool>(),
    )
        .prop_map(|(hash, quorum, timeout, on_timeout, four_eyes)| Step::Ask {
            hash,
            quorum,
            timeout,
            on_timeout,
            four_eyes,
        })
}

fn any_decision() -> impl Strategy<Value = Step> {
    let by = prop_oneof![
        3 => Just(REQUESTER), 3 => Just("erin"), 2 => Just("lee"), 1 => Just(WITHOUT_ROLE),
    ];
    let choice = prop_oneof![4 => Just(Choice::Approve), 1 => Just(Choice::Reject)];
    (by, choice, any_aim(), any_pace()).prop_map(|(by, choice, aim, pace)| Step::Decide {
        by,
        choice,
        aim,
        pace,
    })
}

fn any_aim() -> impl Strategy<Value = Aim> {
    let back = prop_oneof![4 => Just(0_usize), 1 => Just(1), 1 => Just(2)];
    prop_oneof![
        3 => Just(Aim::ByHand),
        4 => any_hash().prop_map(Aim::Plan),
        3 => (back, any::<bool>()).prop_map(|(back, with_hash)| Aim::Card { back, with_hash }),
    ]
}

fn any_hash() -> impl Strategy<Value = &'static str> {
    prop_oneof![3 => Just("h1"), 1 => Just("h2")]
}

fn any_quorum() -> impl Strategy<Value = u32> {
    prop_oneof![2 => Just(1_u32), 3 => Just(2), 1 => Just(3)]
}

fn any_moment() -> impl Strategy<Value = Moment> {
    prop_oneof![
        1 => Just(Moment::Escalation),
        1 => Just(Moment::BeforeTheDeadline),
        2 => Just(Moment::Deadline),
    ]
}

fn any_pace() -> impl Strategy<Value = Pace> {
    prop_oneof![6 => Just(Pace::AtOnce), 1 => Just(Pace::Left), 1 => Just(Pace::SlowLookUp)]
}

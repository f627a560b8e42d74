use super::*;
use crate::people::Authority;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn request(quorum: u32) -> Request {
    Request {
        id: "plan/1".parse().unwrap(),
        plan_hash: "h1".into(),
        policy_version: "v".into(),
        role: Role::Approver,
        quorum,
        opened_at: at(0),
        deadline: at(100),
        escalation: Some((at(50), Role::Lead)),
        escalated: false,
        requester: None,
        four_eyes: false,
        on_timeout: OnTimeout::Reject,
    }
}

fn decision(by: &str, choice: Choice, second: i64) -> Decision {
    Decision {
        id: format!("{by}-{second}"),
        choice,
        by: by.parse().unwrap(),
        request: None,
        plan_hash: None,
        reason: None,
        proof: None,
        received_at: at(second),
    }
}

fn allowed() -> Authority {
    Authority::Allowed {
        role: Role::Approver,
        identity: Identity::Claimed,
    }
}

fn decide(book: &mut ApprovalBook, decision: &Decision) -> Answer {
    let answer = match book.check(decision) {
        Check::Answered(answer) => answer,
        Check::NeedsAuthority => book.count(decision, &allowed()),
        Check::NeedsDifference { current, .. } => Answer::WrongHash {
            current,
            difference: vec![],
        },
    };
    book.remember(&decision.id, &answer);
    answer
}

#[test]
fn a_decision_with_the_hash_is_kept_until_its_request_opens() {
    let mut book = ApprovalBook::default();
    let mut early = decision("dana", Choice::Approve, 1);
    early.plan_hash = Some("h1".into());
    assert_eq!(decide(&mut book, &early), Answer::Kept);
    let waiting = book.open(request(1));
    assert_eq!(waiting, vec![early.clone()]);
    assert_eq!(
        decide(&mut book, &early),
        Answer::Counted {
            approvals: 1,
            quorum: 1
        }
    );
    assert_eq!(book.ended().unwrap().how, How::Approved);
}

#[test]
fn a_decision_without_a_hash_before_the_request_has_no_effect() {
    let mut book = ApprovalBook::default();
    assert_eq!(
        decide(&mut book, &decision("dana", Choice::Approve, 1)),
        Answer::NothingOpen
    );
    assert!(book.open(request(1)).is_empty());
}

#[test]
fn the_same_person_counts_once_and_may_change_the_vote() {
    let mut book = ApprovalBook::default();
    book.open(request(2));
    decide(&mut book, &decision("dana", Choice::Approve, 1));
    assert_eq!(
        decide(&mut book, &decision("dana", Choice::Approve, 2)),
        Answer::Duplicate
    );
    assert!(book.open_request().is_some());
    decide(&mut book, &decision("dana", Choice::Reject, 3));
    assert_eq!(book.ended().unwrap().how, How::Rejected);
}

#[test]
fn a_second_delivery_of_one_decision_gets_the_first_answer() {
    let mut book = ApprovalBook::default();
    book.open(request(1));
    let yes = decision("dana", Choice::Approve, 1);
    let first = decide(&mut book, &yes);
    assert_eq!(decide(&mut book, &yes), first);
}

#[test]
fn after_the_quorum_a_rejection_is_told_who_decided() {
    let mut book = ApprovalBook::default();
    book.open(request(1));
    decide(&mut book, &decision("dana", Choice::Approve, 1));
    assert_eq!(
        decide(&mut book, &decision("lee", Choice::Reject, 2)),
        Answer::AlreadyDecided {
            by: vec!["dana".parse().unwrap()],
            choice: Choice::Approve
        }
    );
}

#[test]
fn a_quorum_of_two_waits_for_two_people() {
    let mut book = ApprovalBook::default();
    book.open(request(2));
    decide(&mut book, &decision("dana", Choice::Approve, 1));
    assert!(book.ended().is_none());
    decide(&mut book, &decision("lee", Choice::Approve, 2));
    assert_eq!(book.ended().unwrap().by.len(), 2);
}

#[test]
fn silence_never_approves_and_what_comes_later_is_late() {
    let mut book = ApprovalBook::default();
    book.open(request(1));
    assert_eq!(book.escalate(at(49)), None);
    assert_eq!(book.escalate(at(50)), Some(Role::Lead));
    assert_eq!(book.escalate(at(51)), None);
    assert_eq!(book.expire(at(99)), None);
    assert_eq!(book.expire(at(100)), Some(How::TimedOut));
    assert!(matches!(
        decide(&mut book, &decision("dana", Choice::Approve, 101)),
        Answer::Late { .. }
    ));
}

#[test]
fn a_person_without_the_role_is_not_allowed() {
    let mut book = ApprovalBook::default();
    book.open(request(1));
    let denied = Authority::Denied {
        reason: "needs approver".into(),
        identity: Identity::Claimed,
    };
    let answer = book.count(&decision("vic", Choice::Approve, 1), &denied);
    assert!(matches!(answer, Answer::NotAllowed { .. }));
    assert!(book.open_request().is_some() && book.votes().is_empty());
}

#[test]
fn a_decision_for_another_plan_needs_the_difference() {
    let mut book = ApprovalBook::default();
    book.open(request(1));
    let mut old = decision("dana", Choice::Approve, 1);
    old.plan_hash = Some("h0".into());
    assert!(matches!(book.check(&old), Check::NeedsDifference { .. }));
}

#[test]
fn between_two_requests_the_old_plan_is_gone_and_the_new_one_is_waited_for() {
    let mut book = ApprovalBook::default();
    book.open(request(1));
    book.close(How::Superseded, at(10));
    let mut old = decision("dana", Choice::Approve, 11);
    old.plan_hash = Some("h1".into());
    assert!(matches!(decide(&mut book, &old), Answer::WrongHash { .. }));
    let mut early = decision("lee", Choice::Approve, 12);
    early.plan_hash = Some("h2".into());
    assert_eq!(decide(&mut book, &early), Answer::Kept);
    let next = Request {
        id: "plan/2".parse().unwrap(),
        plan_hash: "h2".into(),
        ..request(1)
    };
    assert_eq!(book.open(next), vec![early]);
}

#[test]
fn extending_moves_only_an_open_deadline_and_only_later() {
    let mut book = ApprovalBook::default();
    book.open(request(1));
    assert!(!book.extend(at(50)));
    assert!(book.extend(at(200)));
    assert_eq!(book.expire(at(150)), None);
    book.close(How::Cancelled, at(150));
    assert!(!book.extend(at(300)));
}

fn names_plan(by: &str, choice: Choice, hash: &str, second: i64) -> Decision {
    Decision {
        plan_hash: Some(hash.to_owned()),
        ..decision(by, choice, second)
    }
}

fn next_request(hash: &str) -> Request {
    Request {
        id: "plan/2".parse().unwrap(),
        plan_hash: hash.to_owned(),
        deadline: at(300),
        ..request(1)
    }
}

#[test]
fn a_kept_decision_delivered_again_while_another_plan_is_asked_about_stays_kept() {
    let mut book = ApprovalBook::default();
    let early = names_plan("dana", Choice::Approve, "h2", 1);
    decide(&mut book, &early);
    book.open(request(1));
    assert_eq!(decide(&mut book, &early), Answer::Kept);
    book.close(How::Superseded, at(10));
    assert_eq!(book.open(next_request("h2")), vec![early]);
}

#[test]
fn a_no_that_came_before_the_request_does_not_lose_to_an_earlier_yes() {
    let mut book = ApprovalBook::default();
    decide(&mut book, &names_plan("dana", Choice::Approve, "h1", 1));
    decide(&mut book, &names_plan("dana", Choice::Reject, "h1", 2));
    for waiting in book.open(request(1)) {
        decide(&mut book, &waiting);
    }
    assert_eq!(book.ended().unwrap().how, How::Rejected);
}

#[test]
fn a_vote_that_waits_may_be_taken_back_while_another_plan_is_asked_about() {
    let mut book = ApprovalBook::default();
    decide(&mut book, &names_plan("dana", Choice::Approve, "h2", 1));
    book.open(request(1));
    let taken_back = names_plan("dana", Choice::Reject, "h2", 2);
    assert_eq!(decide(&mut book, &taken_back), Answer::Kept);
    // Nobody else has a vote waiting for that plan.
    let other = names_plan("lee", Choice::Reject, "h2", 3);
    assert!(matches!(
        decide(&mut book, &other),
        Answer::WrongHash { .. }
    ));
}

#[test]
fn a_plan_that_changes_during_a_look_up_is_not_approved_by_it() {
    let mut book = ApprovalBook::default();
    book.open(request(1));
    let slow = names_plan("dana", Choice::Approve, "h1", 1);
    assert_eq!(book.check(&slow), Check::NeedsAuthority);
    book.close(How::Superseded, at(10));
    book.open(next_request("h2"));
    let answer = book.count(&slow, &allowed());
    assert!(matches!(answer, Answer::WrongHash { current, .. } if current == "h2"));
    assert!(book.votes().is_empty());
}

#[test]
fn an_answer_that_was_given_stays() {
    let mut book = ApprovalBook::default();
    book.open(request(2));
    let yes = decision("dana", Choice::Approve, 1);
    let first = decide(&mut book, &yes);
    let reason = "too many messages are waiting".to_owned();
    book.remember(&yes.id, &Answer::NotAllowed { reason });
    assert_eq!(book.answer_to(&yes.id), Some(&first));
}

#[test]
fn by_hand_for_a_request_that_was_held_is_late_and_not_for_another_plan() {
    let mut book = ApprovalBook::default();
    let hold = Request {
        on_timeout: OnTimeout::Hold,
        ..request(1)
    };
    let for_the_first = |second| Decision {
        request: Some(hold.id.clone()),
        ..decision("dana", Choice::Approve, second)
    };
    book.open(hold.clone());
    book.expire(at(100));
    let late = Answer::Late { deadline: at(100) };
    assert_eq!(decide(&mut book, &for_the_first(101)), late);
    book.open(next_request("h1"));
    assert_eq!(decide(&mut book, &for_the_first(102)), late);
    book.close(How::Superseded, at(103));
    let third = Request {
        id: "plan/3".parse().unwrap(),
        ..next_request("h3")
    };
    book.open(third);
    let difference = Check::NeedsDifference {
        meant: "h1".into(),
        current: "h3".into(),
    };
    assert_eq!(book.check(&for_the_first(104)), difference);
}

#[test]
fn a_decision_after_the_deadline_comes_to_the_same_whether_the_clock_was_asked_or_not() {
    let hold = Request {
        on_timeout: OnTimeout::Hold,
        ..request(1)
    };
    for asked in [true, false] {
        let mut book = ApprovalBook::default();
        book.open(hold.clone());
        if asked {
            book.expire(at(100));
        }
        let after = names_plan("dana", Choice::Approve, "h1", 100);
        assert_eq!(decide(&mut book, &after), Answer::Kept);
    }
}

#[test]
fn nobody_else_is_asked_after_the_deadline() {
    let mut book = ApprovalBook::default();
    book.open(request(1));
    assert_eq!(book.escalate(at(100)), None);
}

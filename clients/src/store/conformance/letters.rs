//! Dead letters.

use super::*;

fn letter(number: i64, of: &str, kind: LetterKind) -> DeadLetter {
    let workflow = format!("device-patch/p/{number}");
    DeadLetter {
        plan: Some(plan("p")),
        ..DeadLetter::new(
            kind,
            client(of),
            (&workflow, "result"),
            "disk full",
            at(number),
        )
    }
}

fn dropped(by: &str, secs: i64) -> LetterState {
    LetterState::Dropped {
        by: by.parse().unwrap(),
        at: at(secs),
        reason: "replaced".into(),
    }
}

fn retried(by: &str, secs: i64) -> LetterState {
    LetterState::Retried {
        by: by.parse().unwrap(),
        at: at(secs),
        plan: Some(plan("p-retry-1")),
        reason: None,
        started: None,
    }
}

async fn letters(store: &Store, filter: LetterFilter, size: usize) -> Vec<DeadLetter> {
    let (mut all, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let page = store
            .executions
            .list_dead_letters(&filter, cursor.as_deref(), size)
            .await
            .unwrap();
        all.extend(page.items);
        match page.next {
            Some(next) => cursor = Some(next),
            None => return all,
        }
    }
}

pub(super) async fn a_dead_letter_is_kept_once_and_listed_newest_first(store: Store) {
    use LetterKind as K;
    let executions = &store.executions;
    let all = [
        letter(1, "7", K::DeviceNeedsHuman),
        letter(2, "8", K::DeviceNeedsHuman),
        letter(3, "7", K::DeviceRollbackFailed),
        letter(4, "7", K::DeviceNeedsHuman),
        // Of all clients at once, and with all that it takes to start it again.
        DeadLetter {
            again: Some(Rerun {
                workflow: "DailySeal".into(),
                input: json!({ "through": "2026-11-03" }),
            }),
            ..letter(5, PROVIDER, K::WorkflowFailed)
        },
    ];
    for letter in &all {
        executions.put_dead_letter(letter.clone()).await.unwrap();
    }
    let again = DeadLetter {
        at: at(99),
        cause: "another try of the same step".into(),
        ..all[0].clone()
    };
    executions.put_dead_letter(again).await.unwrap();
    let read = executions.get_dead_letter(&all[0].id).await.unwrap();
    assert_eq!(read.as_ref(), Some(&all[0]), "the first one stays");
    let read = executions.get_dead_letter(&all[4].id).await.unwrap();
    assert_eq!(read.as_ref(), Some(&all[4]));
    assert_eq!(executions.get_dead_letter("none").await.unwrap(), None);
    let foreign = DeadLetter {
        workflow_id: "device-patch/q/1".into(),
        ..all[0].clone()
    };
    let error = executions.put_dead_letter(foreign).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict { .. }), "{error}");

    executions
        .settle_dead_letter(&all[3].id, dropped("dana", 50))
        .await
        .unwrap();
    let filter = |of: Option<&str>, kind, open| LetterFilter {
        client: of.map(client),
        kind,
        open,
    };
    for (filter, expected) in [
        (filter(None, None, false), vec![5, 4, 3, 2, 1]),
        (filter(None, None, true), vec![5, 3, 2, 1]),
        (filter(Some("7"), None, false), vec![4, 3, 1]),
        (filter(Some("7"), None, true), vec![3, 1]),
        (filter(None, Some(K::DeviceNeedsHuman), true), vec![2, 1]),
        (
            filter(Some("7"), Some(K::DeviceNeedsHuman), false),
            vec![4, 1],
        ),
        (filter(Some(PROVIDER), None, true), vec![5]),
        (filter(None, Some(K::WorkflowFailed), true), vec![5]),
        (filter(Some("9"), None, false), vec![]),
        (filter(None, Some(K::NoticeUndelivered), false), vec![]),
    ] {
        for size in [1, 2, 100] {
            let found = letters(&store, filter.clone(), size).await;
            let found: Vec<_> = found.iter().map(|l| l.at).collect();
            let expected: Vec<_> = expected.iter().map(|n| at(*n)).collect();
            assert_eq!(found, expected, "{filter:?} by {size}");
        }
    }
}

pub(super) async fn a_dead_letter_is_settled_once_and_says_by_whom(store: Store) {
    let executions = &store.executions;
    let (one, other) = (
        letter(1, "7", LetterKind::DeviceNeedsHuman),
        letter(2, "7", LetterKind::DeviceNeedsHuman),
    );
    for letter in [&one, &other] {
        executions.put_dead_letter(letter.clone()).await.unwrap();
    }
    let nothing = executions
        .settle_dead_letter(&one.id, LetterState::Open)
        .await
        .unwrap_err();
    assert!(matches!(nothing, StoreError::Invalid { .. }), "{nothing}");
    let settled = executions
        .settle_dead_letter(&one.id, retried("tim", 10))
        .await
        .unwrap();
    assert_eq!(settled.state, retried("tim", 10));
    let before = changes(&store, 3).await.len();
    let again = executions
        .settle_dead_letter(&one.id, retried("tim", 20))
        .await
        .unwrap();
    assert_eq!(again, settled, "a repeat has no second effect");
    for late in [retried("dana", 30), dropped("tim", 30), LetterState::Open] {
        let error = executions
            .settle_dead_letter(&one.id, late)
            .await
            .unwrap_err();
        assert!(
            matches!(&error, StoreError::Conflict { what } if what.contains("tim") && what.contains("p-retry-1")),
            "{error}"
        );
    }
    executions
        .settle_dead_letter(&other.id, dropped("dana", 40))
        .await
        .unwrap();
    assert_eq!(changes(&store, before + 1).await.len(), before + 1);
    let error = executions
        .settle_dead_letter(&other.id, retried("tim", 50))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("dana"), "{error}");
    executions.put_dead_letter(other.clone()).await.unwrap();
    let kept = executions.get_dead_letter(&other.id).await.unwrap();
    assert_eq!(
        kept.map(|l| l.state),
        Some(dropped("dana", 40)),
        "a late repeat of the writing opens nothing"
    );
    let unknown = executions
        .settle_dead_letter("none", dropped("dana", 1))
        .await
        .unwrap_err();
    assert!(matches!(unknown, StoreError::NotFound { .. }), "{unknown}");
}

pub(super) async fn that_a_workflow_was_started_again_is_kept_with_its_letter(store: Store) {
    let executions = &store.executions;
    let one = letter(1, PROVIDER, LetterKind::WorkflowFailed);
    executions.put_dead_letter(one.clone()).await.unwrap();
    let state = |by: &str, started: Option<i64>| LetterState::Retried {
        by: by.parse().unwrap(),
        at: at(10),
        plan: None,
        reason: None,
        started: started.map(at),
    };
    for (said, kept) in [
        (state("tim", None), state("tim", None)),
        (state("tim", Some(11)), state("tim", Some(11))),
        // Once.
        (state("tim", Some(12)), state("tim", Some(11))),
        (state("tim", None), state("tim", Some(11))),
    ] {
        let settled = executions.settle_dead_letter(&one.id, said).await.unwrap();
        assert_eq!(settled.state, kept);
        let read = executions.get_dead_letter(&one.id).await.unwrap();
        assert_eq!(read, Some(settled));
    }
    let other = executions.settle_dead_letter(&one.id, state("dana", Some(13)));
    let error = other.await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict { .. }), "{error}");
}

pub(super) async fn of_many_who_settle_a_dead_letter_at_once_one_wins(store: Store) {
    let one = letter(1, "7", LetterKind::DeviceNeedsHuman);
    store.executions.put_dead_letter(one.clone()).await.unwrap();
    let settle = |n: i64| {
        let (store, id) = (store.clone(), one.id.clone());
        let state = match n % 2 {
            0 => retried(&format!("p{n}"), n),
            _ => dropped(&format!("p{n}"), n),
        };
        tokio::spawn(async move { store.executions.settle_dead_letter(&id, state).await })
    };
    let tasks: Vec<_> = (0..16).map(settle).collect();
    let mut won = Vec::new();
    for task in tasks {
        won.extend(task.await.unwrap().ok());
    }
    assert_eq!(won.len(), 1);
    let kept = store.executions.get_dead_letter(&one.id).await.unwrap();
    assert_eq!(kept, won.pop());
}

#[cfg(test)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_dead_letters_go_when_their_time_is_over() {
    let (_folder, path) = file();
    let store = Store::embedded(&path).unwrap();
    let executions = &store.executions;
    let (old, young) = (
        letter(1, "7", LetterKind::DeviceNeedsHuman),
        letter(100, "7", LetterKind::DeviceNeedsHuman),
    );
    for letter in [&old, &young] {
        executions.put_dead_letter(letter.clone()).await.unwrap();
    }
    // What was settled is kept as long as it would have been otherwise.
    executions
        .settle_dead_letter(&old.id, dropped("dana", 50))
        .await
        .unwrap();
    let over = at(1) + KEEP_LETTERS;
    store
        .upkeep
        .sweep_expired(over - Duration::from_secs(1))
        .await
        .unwrap();
    assert_eq!(letters(&store, LetterFilter::default(), 10).await.len(), 2);
    store.upkeep.sweep_expired(over).await.unwrap();
    assert_eq!(letters(&store, LetterFilter::default(), 10).await, [young]);
    assert_eq!(executions.get_dead_letter(&old.id).await.unwrap(), None);
}

//! Buckets, counters, flags and claims.

use super::*;

pub(super) async fn a_blocked_bucket_gives_nothing_until_then(store: Store) {
    let counters = &store.counters;
    let bucket = Bucket {
        capacity: 2,
        per: Duration::from_secs(30),
    };
    let take = |now| counters.take_token("nvd", bucket, at(now));
    assert_eq!(take(0).await.unwrap(), None);
    counters.block("nvd", at(100)).await.unwrap();
    counters.block("nvd", at(50)).await.unwrap();
    let wait = |secs| Some(Duration::from_secs(secs));
    assert_eq!(take(1).await.unwrap(), wait(99), "a block is not shortened");
    assert_eq!(take(99).await.unwrap(), wait(1));
    assert_eq!(take(100).await.unwrap(), None);
    assert_eq!(take(100).await.unwrap(), None);
    assert_eq!(take(100).await.unwrap(), wait(30));
    counters.block("other", at(130)).await.unwrap();
    assert_eq!(take(130).await.unwrap(), None, "each for itself");
    let new = counters.take_token("other", bucket, at(100)).await.unwrap();
    assert_eq!(new, wait(30), "also one that was never used");
    counters.block("nvd", at(1_000_000)).await.unwrap();
    assert_eq!(
        take(200).await.unwrap(),
        None,
        "a clock that was far ahead blocks nobody"
    );
    counters.block("nvd", at(240)).await.unwrap();
    assert_eq!(take(201).await.unwrap(), wait(39), "nor for ever");
}

pub(super) async fn a_bucket_never_gives_more_than_its_capacity_in_any_window(store: Store) {
    for seed in 1..=12 {
        let mut roll = dice(seed);
        // Large budgets are counted less exactly, but never too high.
        let is_large = seed > 10;
        let capacity = u32::try_from(if is_large { 300 } else { 1 + roll(6) }).unwrap();
        let per = Duration::from_millis(500 + roll(2000));
        let bucket = Bucket { capacity, per };
        let (name, mut now, mut given) = (format!("b{seed}"), at(0), Vec::new());
        let (calls, pause) = match (is_large, seed.is_multiple_of(2)) {
            (true, _) => (1500, 5),
            (false, true) => (120, 80),
            (false, false) => (120, 900),
        };
        for _ in 0..calls {
            now += Duration::from_millis(roll(pause));
            match store.counters.take_token(&name, bucket, now).await.unwrap() {
                None => given.push(now),
                Some(wait) => {
                    assert!(wait > Duration::ZERO && wait <= per + per / 100, "{wait:?}");
                    now += wait;
                    let after = store.counters.take_token(&name, bucket, now).await.unwrap();
                    assert_eq!(after, None, "after the wait there is a token");
                    given.push(now);
                }
            }
        }
        for (i, start) in given.iter().enumerate() {
            let inside = given[i..].iter().take_while(|t| **t < *start + per).count();
            assert!(
                inside <= capacity as usize,
                "seed {seed}: {inside} in a window, capacity {capacity}"
            );
        }
        let windows = (now - at(0)).as_secs_f64() / per.as_secs_f64();
        if is_large {
            let share = given.len() as f64 / windows / f64::from(capacity);
            assert!(share > 0.9, "seed {seed}: {share} of the budget is given");
        }
    }
    let bucket = Bucket {
        capacity: 1,
        per: Duration::from_secs(60),
    };
    assert_eq!(
        store
            .counters
            .take_token("skew", bucket, at(1_000_000))
            .await
            .unwrap(),
        None
    );
    let wait = store
        .counters
        .take_token("skew", bucket, at(0))
        .await
        .unwrap();
    assert_eq!(
        wait,
        Some(bucket.per),
        "a clock that was set back blocks nothing for long"
    );
}

pub(super) async fn counters_flags_and_claims(store: Store) {
    let counters = &store.counters;
    assert_eq!(counters.read("n").await.unwrap(), 0);
    assert_eq!(counters.add("n", "a", 2).await.unwrap(), 2);
    assert_eq!(
        counters.add("n", "a", 2).await.unwrap(),
        2,
        "a repeat adds nothing"
    );
    assert_eq!(counters.add("n", "b", -5).await.unwrap(), -3);
    assert_eq!(counters.read("n").await.unwrap(), -3);
    counters
        .set_flag("pause/7", Some("dana: storm"))
        .await
        .unwrap();
    assert_eq!(
        counters.get_flag("pause/7").await.unwrap().as_deref(),
        Some("dana: storm")
    );
    counters.set_flag("pause/7", None).await.unwrap();
    assert_eq!(counters.get_flag("pause/7").await.unwrap(), None);
    let minute = Duration::from_secs(60);
    let claims = [(0, true), (59, false), (60, true), (61, false)];
    for (now, expected) in claims {
        assert_eq!(
            counters.claim("sync/7", minute, at(now)).await.unwrap(),
            expected,
            "at {now}"
        );
    }
}

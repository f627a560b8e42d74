//! Versions of policy sets.

use super::*;

pub(super) async fn a_policy_changed_by_somebody_else_is_a_conflict(store: Store) {
    let policies = &store.policies;
    policies
        .put_policy(policy(None, 1, "dana"), 0)
        .await
        .unwrap();
    policies
        .put_policy(policy(None, 1, "dana"), 0)
        .await
        .expect("a retry of the same write");
    let lost = policies
        .put_policy(policy(None, 1, "lee"), 0)
        .await
        .unwrap_err();
    assert!(matches!(lost, StoreError::Conflict { .. }), "{lost}");
    policies
        .put_policy(policy(None, 2, "lee"), 1)
        .await
        .unwrap();
    let gap = policies
        .put_policy(policy(None, 5, "lee"), 2)
        .await
        .unwrap_err();
    assert!(matches!(gap, StoreError::Invalid { .. }), "{gap}");
    policies
        .put_policy(policy(Some("7"), 1, "dana"), 0)
        .await
        .unwrap();
    assert_eq!(
        policies.latest_policy(None).await.unwrap(),
        Some(policy(None, 2, "lee"))
    );
    assert_eq!(
        policies.latest_policy(Some(&client("8"))).await.unwrap(),
        None
    );
    let page = policies.list_policies(None, None, 1).await.unwrap();
    assert_eq!(page.items, [policy(None, 2, "lee")]);
    let page = policies
        .list_policies(None, page.next.as_deref(), 1)
        .await
        .unwrap();
    assert_eq!(
        (page.items, page.next),
        (vec![policy(None, 1, "dana")], None)
    );
}

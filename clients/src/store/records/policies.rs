//! Versions of policy sets: partition `policy/{client}`, `*` for the default set.

use async_trait::async_trait;
use domain::ids::ClientId;

use super::{
    Backend, Records,
    items::{Order, number},
};
use crate::store::{Listing, Policies, PolicyVersion, StoreError, StoreResult};

fn partition(client: Option<&ClientId>) -> String {
    // No client id holds a star.
    format!("policy/{}", client.map_or("*", ClientId::as_str))
}

#[async_trait]
impl<B: Backend> Policies for Records<B> {
    async fn put_policy(&self, policy: PolicyVersion, expected: u64) -> StoreResult<()> {
        if Some(policy.version) != expected.checked_add(1) {
            return Err(StoreError::Invalid {
                what: format!(
                    "policy version {} cannot follow version {expected}",
                    policy.version
                ),
            });
        }
        self.0.write(move |tx| {
            let pk = partition(policy.client.as_ref());
            let newest: Option<PolicyVersion> = tx.last(&pk, "")?.map(|item| item.parse()).transpose()?;
            if newest.as_ref() == Some(&policy) {
                return Ok(());
            }
            let found = newest.map_or(0, |policy| policy.version);
            if found != expected {
                return Err(StoreError::Conflict {
                    what: format!("the newest policy version is {found}, not {expected}: somebody else changed it"),
                });
            }
            tx.put(&pk, &number(policy.version), &policy)?;
            tx.change("policy", policy.client.as_ref(), &format!("{pk}/{}", policy.version))?;
            Ok(())
        })
        .await
    }

    async fn latest_policy(&self, client: Option<&ClientId>) -> StoreResult<Option<PolicyVersion>> {
        let pk = partition(client);
        self.0
            .read(move |tx| tx.last(&pk, "")?.map(|item| item.parse()).transpose())
            .await
    }

    async fn list_policies(
        &self,
        client: Option<&ClientId>,
        cursor: Option<&str>,
        limit: usize,
    ) -> StoreResult<Listing<PolicyVersion>> {
        let (pk, cursor) = (partition(client), cursor.map(ToOwned::to_owned));
        self.0
            .read(move |tx| tx.page(&pk, "", cursor.as_deref(), limit, Order::Descending))
            .await
    }
}

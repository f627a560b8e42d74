//! Whether a person may: the same policies that workflows ask, through the same engine.

use anyhow::anyhow;
use clients::store::Store;
use domain::{
    ids::{ClientId, PersonId},
    people::{Authority, ControlAction, Identity},
};
use policy::AuthorityQuestion;

use crate::policies;

/// Who is asked. Names on a command line are claims.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    store: &'a Store,
    accept_claimed: bool,
    halted: bool,
}

impl<'a> Asked<'a> {
    pub(crate) fn new(store: &'a Store, accept_claimed: bool) -> Self {
        Self {
            store,
            accept_claimed,
            halted: false,
        }
    }

    /// It is about going on with what was halted.
    pub(crate) fn halted(self) -> Self {
        Self {
            halted: true,
            ..self
        }
    }

    /// Lets a person go on who may.
    ///
    /// # Errors
    /// Says why not.
    pub(crate) async fn check(
        &self,
        client: &ClientId,
        by: &PersonId,
        action: ControlAction,
    ) -> anyhow::Result<()> {
        let person = self.store.identities.get_person(by).await?;
        let engine = policies::stored_engine(self.store.policies.as_ref(), client).await?;
        let answer = engine.authority(&AuthorityQuestion {
            person: person.as_ref(),
            action,
            client,
            least_role: None,
            identity: Identity::Claimed,
            accept_claimed: self.accept_claimed,
            requester: None,
            four_eyes: false,
            halted: self.halted,
        });
        match answer {
            Authority::Allowed { .. } => Ok(()),
            Authority::Denied { reason, .. } => Err(anyhow!("not allowed: {by}: {reason}")),
        }
    }
}

//! People: partition `people`, by id.

use async_trait::async_trait;
use domain::{ids::PersonId, people::Person};

use super::{
    Embedded,
    items::{Item, Order},
};
use crate::store::{Identities, StoreResult};

const PEOPLE: &str = "people";

#[async_trait]
impl Identities for Embedded {
    async fn put_person(&self, person: Person) -> StoreResult<()> {
        self.write(move |tx| {
            let id = person.id.as_str();
            if tx.get::<Person>(PEOPLE, id)?.as_ref() == Some(&person) {
                return Ok(());
            }
            tx.put(PEOPLE, id, &person)?;
            tx.change("person", None, id)?;
            Ok(())
        })
        .await
    }

    async fn get_person(&self, person: &PersonId) -> StoreResult<Option<Person>> {
        let id = person.clone();
        self.read(move |tx| tx.get(PEOPLE, id.as_str())).await
    }

    async fn list_people(&self) -> StoreResult<Vec<Person>> {
        self.read(|tx| {
            let items = tx.range(PEOPLE, "", None, usize::MAX, Order::Ascending)?;
            items.iter().map(Item::parse).collect()
        })
        .await
    }
}

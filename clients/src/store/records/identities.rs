//! People: partition `people`, by id; partition `people-of/{source}`, the ids that are of a source.

use std::collections::BTreeSet;

use async_trait::async_trait;
use domain::{
    ids::PersonId,
    people::{Person, Role},
};

use super::{
    Backend, Records,
    items::{Item, Order, Tx},
};
use crate::store::{Identities, StoreResult};

const PEOPLE: &str = "people";

fn put(tx: &Tx<'_>, person: &Person) -> StoreResult<()> {
    let id = person.id.as_str();
    if tx.get::<Person>(PEOPLE, id)?.as_ref() == Some(person) {
        return Ok(());
    }
    tx.put(PEOPLE, id, person)?;
    tx.change("person", None, id)?;
    Ok(())
}

fn put_people_of(tx: &Tx<'_>, source: &str, people: &[Person]) -> StoreResult<Vec<Person>> {
    let pk = format!("people-of/{source}");
    let ids: BTreeSet<&str> = people.iter().map(|person| person.id.as_str()).collect();
    let mut lowered = Vec::new();
    for before in tx.range(&pk, "", None, usize::MAX, Order::Ascending)? {
        if ids.contains(before.sk.as_str()) {
            continue;
        }
        tx.delete(&pk, &before.sk)?;
        let person = tx.get::<Person>(PEOPLE, &before.sk)?;
        if let Some(person) = person.filter(|person| person.role != Role::Viewer) {
            let person = Person {
                role: Role::Viewer,
                ..person
            };
            put(tx, &person)?;
            lowered.push(person);
        }
    }
    for person in people {
        put(tx, person)?;
        tx.put(&pk, person.id.as_str(), &person.id)?;
    }
    Ok(lowered)
}

#[async_trait]
impl<B: Backend> Identities for Records<B> {
    async fn put_person(&self, person: Person) -> StoreResult<()> {
        self.0.write(move |tx| put(tx, &person)).await
    }

    async fn put_people_of(&self, source: &str, people: Vec<Person>) -> StoreResult<Vec<Person>> {
        let source = source.to_owned();
        self.0
            .write(move |tx| put_people_of(tx, &source, &people))
            .await
    }

    async fn get_person(&self, person: &PersonId) -> StoreResult<Option<Person>> {
        let id = person.clone();
        self.0.read(move |tx| tx.get(PEOPLE, id.as_str())).await
    }

    async fn list_people(&self) -> StoreResult<Vec<Person>> {
        self.0
            .read(|tx| {
                let items = tx.range(PEOPLE, "", None, usize::MAX, Order::Ascending)?;
                items.iter().map(Item::parse).collect()
            })
            .await
    }
}

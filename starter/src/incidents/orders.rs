//! A person's word about incidents: an order that the triage of the client carries out, once.

use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use clap::Args;
use clients::store::Store;
use domain::{
    alert::key_of,
    ids::{ClientId, PersonId},
    people::ControlAction,
    triage::{IncidentKey, Order, OrderAnswer, OrderKind},
};
use jiff::Timestamp;
use serde::Serialize;
use tokio::time::sleep;

use super::{find, key};
use crate::{authority::Asked, cli, output, setup::Setup, temporal::Temporal};

/// Between two looks for the answer.
const LOOK: Duration = Duration::from_millis(300);

/// Who says so, and why.
#[derive(Debug, Args)]
pub struct SayArgs {
    /// Who says so; a technician of the client
    #[arg(long, value_name = "PERSON")]
    pub by: PersonId,
    /// Why
    #[arg(long, value_parser = cli::reason)]
    pub reason: String,
    /// Wait so long for it to be done, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = cli::seconds)]
    pub timeout: u64,
}

/// Which incidents are one.
#[derive(Debug, Args)]
pub struct MergeArgs {
    /// This one goes
    #[arg(value_name = "INCIDENT", value_parser = key)]
    pub from: IncidentKey,
    /// This one stays
    #[arg(long, value_name = "INCIDENT", value_parser = key)]
    pub into: IncidentKey,
    #[command(flatten)]
    pub say: SayArgs,
}

/// What does not belong together.
#[derive(Debug, Args)]
pub struct SplitArgs {
    /// Out of this one
    #[arg(value_name = "INCIDENT", value_parser = key)]
    pub incident: IncidentKey,
    /// Device id or host name, as `show` names it
    #[arg(
        long = "machine",
        value_name = "MACHINE",
        required = true,
        value_delimiter = ','
    )]
    pub machines: Vec<String>,
    #[command(flatten)]
    pub say: SayArgs,
}

/// What is over.
#[derive(Debug, Args)]
pub struct CloseArgs {
    /// This one
    #[arg(value_name = "INCIDENT", value_parser = key)]
    pub incident: IncidentKey,
    #[command(flatten)]
    pub say: SayArgs,
}

impl MergeArgs {
    pub(super) fn order(&self) -> OrderKind {
        OrderKind::Merge {
            from: self.from.clone(),
            into: self.into.clone(),
        }
    }
}

impl SplitArgs {
    pub(super) fn order(&self) -> OrderKind {
        OrderKind::Split {
            incident: self.incident.clone(),
            machines: self.machines.clone(),
        }
    }
}

impl CloseArgs {
    pub(super) fn order(&self) -> OrderKind {
        OrderKind::Close {
            incident: self.incident.clone(),
        }
    }
}

/// What came of it, as programs read it.
#[derive(Debug, Serialize)]
struct Report<'a> {
    order: &'a Order,
    words: &'a str,
}

/// Who can tell the triage of a client that there is something to do.
pub(super) trait Triages: Sync {
    /// Tells it; starts it when it does not run.
    fn wake(&self, client: &ClientId) -> impl Future<Output = anyhow::Result<()>> + Send;
}

impl Triages for Temporal {
    async fn wake(&self, client: &ClientId) -> anyhow::Result<()> {
        self.wake_triage([client]).await
    }
}

/// Gives an order, waits for what comes of it, and says so.
pub(super) async fn run(setup: &Setup, kind: OrderKind, say: &SayArgs) -> anyhow::Result<u8> {
    let store = setup.store().await?;
    let accept_claimed = setup.accepts_claims()?;
    // Before anything is kept: without a server nobody is told.
    let temporal = setup.temporal().await?;
    let order = order(&store, kind, say, Timestamp::now()).await?;
    let client = check(&store, &order, accept_claimed).await?;
    let order = give(
        &store,
        &temporal,
        &client,
        order,
        Duration::from_secs(say.timeout),
    )
    .await?;
    let (good, text) = words(&order);
    let report = Report {
        order: &order,
        words: &text,
    };
    output::outcome(setup.format, &report, good, &text)
}

/// Makes an order. It is named by what it asks for and by how the incidents are: the same command again is
/// the same order, as long as they have not changed.
async fn order(
    store: &Store,
    kind: OrderKind,
    say: &SayArgs,
    at: Timestamp,
) -> anyhow::Result<Order> {
    let mut versions = String::new();
    for key in kind.incidents() {
        versions += &format!("{} ", find(store, key).await?.version);
    }
    let asked = serde_json::to_string(&kind)?;
    Ok(Order {
        id: key_of(&[&asked, &versions, say.by.as_str()]),
        kind,
        by: say.by.clone(),
        reason: say.reason.clone(),
        at,
        answer: None,
    })
}

/// Checks that it is about one client, whose incidents the person may arrange.
async fn check(store: &Store, order: &Order, accept_claimed: bool) -> anyhow::Result<ClientId> {
    let incidents = order.kind.incidents();
    let mut clients = incidents.iter().map(|key| key.client());
    let client = clients.next().context("an order names an incident")?;
    if let Some(other) = clients.find(|other| *other != client) {
        return Err(anyhow!(
            "incidents of client {client} and of client {other} are never one"
        ));
    }
    Asked::new(store, accept_claimed)
        .check(client, &order.by, ControlAction::ArrangeIncidents)
        .await?;
    Ok(client.clone())
}

/// Keeps an order, tells triage, and waits for what comes of it.
async fn give(
    store: &Store,
    triages: &impl Triages,
    client: &ClientId,
    order: Order,
    within: Duration,
) -> anyhow::Result<Order> {
    let mut order = store.alerts.put_order(client, order).await?;
    if order.answer.is_none() {
        triages.wake(client).await.with_context(|| {
            "the order is kept and carried out by the next turn of triage, which could not be told"
        })?;
    }
    let begun = Instant::now();
    while order.answer.is_none() && begun.elapsed() < within {
        sleep(LOOK).await;
        let id = &order.id;
        let known = store.alerts.get_order(client, id).await?;
        order = known.with_context(|| format!("order {id} is not in the store any more"))?;
    }
    Ok(order)
}

fn words(order: &Order) -> (bool, String) {
    let what = match &order.kind {
        OrderKind::Merge { from, into } => format!("incident {from} is part of {into}"),
        OrderKind::Split { incident, .. } => format!("incident {incident} is split"),
        OrderKind::Close { incident } => format!("incident {incident} is closed"),
    };
    match &order.answer {
        None => (
            true,
            format!(
                "order {} is kept and not carried out yet: does a worker run? autoops health",
                order.id
            ),
        ),
        Some(OrderAnswer::Refused { why }) => (false, format!("not done: {why}")),
        Some(OrderAnswer::Done { incident: new }) => match (&order.kind, new) {
            (OrderKind::Split { .. }, Some(new)) => (true, format!("{what}: {new} is new")),
            _ => (true, what),
        },
    }
}

#[cfg(test)]
mod tests {
    use clients::store::{IncidentsOf, TurnEnd};
    use domain::{
        alert::read_plain,
        incident::Topology,
        people::{Person, Role},
        triage::{Facts, Rules, Triage},
    };

    use super::*;

    /// A store with one open incident of client 7, and a technician of that client.
    async fn store() -> (Store, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::embedded(&folder.path().join("store.db")).unwrap();
        let body = br#"{"id":"1","client":"7","title":"disk full","host":"web01"}"#;
        let now = Timestamp::UNIX_EPOCH;
        let intake = read_plain(body, now).unwrap();
        let (alerts, client) = (&store.alerts, "7".parse().unwrap());
        alerts
            .take_sightings(intake.sightings, false)
            .await
            .unwrap();
        let turn = alerts.begin_turn(&client, "first").await.unwrap();
        let news = alerts.read_news(&client, now, 10).await.unwrap();
        let mut triage = Triage::new();
        triage.set_topology(&Topology::default());
        let rules = Rules::default().ready().unwrap();
        let facts = Facts {
            rules: &rules,
            expectations: &[],
            machines: 0,
            now,
        };
        news.iter().for_each(|event| triage.take(event, &facts));
        alerts
            .write_outcome(&turn, triage.turn(), now)
            .await
            .unwrap();
        let person = Person {
            id: "tim".parse().unwrap(),
            name: String::new(),
            role: Role::Technician,
            clients: ["7".parse().unwrap()].into(),
        };
        store.identities.put_person(person).await.unwrap();
        (store, folder)
    }

    /// A triage that says no to everything.
    struct Refusing<'a>(&'a Store);

    impl Triages for Refusing<'_> {
        async fn wake(&self, client: &ClientId) -> anyhow::Result<()> {
            let alerts = &self.0.alerts;
            let turn = alerts.begin_turn(client, "second").await?;
            let orders = alerts.read_orders(client, 10).await?;
            let why = "it is over".to_owned();
            let answer = OrderAnswer::Refused { why };
            let answers = orders
                .iter()
                .map(|order| (order.id.clone(), answer.clone()));
            let end = TurnEnd {
                state: Vec::new(),
                taken: Vec::new(),
                answers: answers.collect(),
                more: false,
            };
            Ok(alerts.end_turn(&turn, end).await?)
        }
    }

    fn say(by: &str) -> SayArgs {
        SayArgs {
            by: by.parse().unwrap(),
            reason: "disk was replaced".to_owned(),
            timeout: 30,
        }
    }

    #[tokio::test]
    async fn an_order_is_kept_once_and_its_answer_is_waited_for() {
        let (store, _folder) = store().await;
        let open = store.alerts.list_incidents(&IncidentsOf::Open, None, 2);
        let incident = open.await.unwrap().items.remove(0).key;
        let close = || OrderKind::Close {
            incident: incident.clone(),
        };
        let (tim, triage) = (say("tim"), Refusing(&store));
        let asked = async |at| order(&store, close(), &tim, at).await.unwrap();
        let first = asked(Timestamp::UNIX_EPOCH).await;
        let again = asked(Timestamp::now()).await;
        assert_eq!(first.id, again.id, "the same command is the same order");
        let client = check(&store, &first, true).await.unwrap();
        let within = Duration::from_secs(30);
        let given = give(&store, &triage, &client, first.clone(), within);
        let given = given.await.unwrap();
        assert_eq!(words(&given), (false, "not done: it is over".to_owned()));
        let again = give(&store, &triage, &client, again, within);
        assert_eq!(again.await.unwrap(), given, "nobody is asked twice");
    }

    #[tokio::test]
    async fn who_may_not_and_what_does_not_fit_is_refused() {
        let (store, _folder) = store().await;
        let of = |from: &str, into: &str, by: &str| Order {
            id: "x".to_owned(),
            kind: OrderKind::Merge {
                from: from.parse().unwrap(),
                into: into.parse().unwrap(),
            },
            by: by.parse().unwrap(),
            reason: "the same".to_owned(),
            at: Timestamp::UNIX_EPOCH,
            answer: None,
        };
        for (order, why) in [
            (of("7-1", "8-1", "tim"), "never one"),
            (of("7-1", "7-2", "nobody"), "nobody of this name"),
            (of("8-1", "8-2", "tim"), "does not work for this client"),
        ] {
            let error = check(&store, &order, true).await.unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        let unknown = OrderKind::Close {
            incident: "7-99".parse().unwrap(),
        };
        let error = order(&store, unknown, &say("tim"), Timestamp::UNIX_EPOCH).await;
        assert!(error.unwrap_err().to_string().contains("7-99"));
    }
}

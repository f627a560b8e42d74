//! A process that dies in the middle of a write on DynamoDB, at every place there is: before each of
//! its requests arrives, and before the answer to each does.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use autoops_tests::cut::{Cut, CutProxy};
use aws_sdk_dynamodb::{Client, types::AttributeValue};
use clients::store::{Change, DynamoConfig, Store, Table};
use domain::failure::{Classify, FailureKind};
use futures::{StreamExt, stream};
use serde_json::Value;

use crate::{
    alerts,
    dynamo::{fresh, items, on_dynamo, text},
    looks::Probe,
    writes::Write,
};

type Row = HashMap<String, AttributeValue>;

/// Kinds of writes at the same time.
const AT_ONCE: usize = 6;
/// More requests than any write makes.
const MOST: usize = 60;
/// Between two looks whether a change is shown.
const LOOK: Duration = Duration::from_millis(50);

/// What a dead process left.
struct Case {
    token: String,
    /// None: it lived.
    cut: Option<Cut>,
    before: Vec<Value>,
    seen: Vec<Value>,
}

impl Case {
    /// How many of the things that have to be whole are there.
    fn whole(&self) -> usize {
        let pairs = self.before.iter().zip(&self.seen);
        pairs.filter(|(before, seen)| before != seen).count()
    }
}

/// A process that is well, beside the one that dies.
struct Reader {
    store: Store,
    probe: Probe,
}

#[test]
fn a_process_that_dies_anywhere_in_a_write_leaves_no_half_record() {
    on_dynamo(async |local| {
        let config = fresh(&local).await;
        let client = Client::new(&config.settings(Duration::from_secs(10)).await);
        let reader = Reader {
            store: Store::dynamodb(&config).await.unwrap(),
            probe: Probe::Dynamo(client, config.prefix.clone()),
        };
        let died = (1..).zip(Write::ALL).map(|(number, write)| {
            let (config, reader, engine) = (&config, &reader, local.url.as_str());
            async move { (write, kill(write, number, engine, config, reader).await) }
        });
        let died: Vec<(Write, Vec<Case>)> =
            stream::iter(died).buffer_unordered(AT_ONCE).collect().await;
        let changes = all_changes(&reader.store).await;
        let mut deaths = 0;
        for (write, cases) in &died {
            changes_agree(*write, cases, &changes);
            deaths += cases.iter().filter(|case| case.cut.is_some()).count();
        }
        for (write, cases) in died {
            come_back(write, &cases, &reader).await;
            if write == Write::EndTurn {
                for case in &cases {
                    alerts::goes_on(&reader.store, &case.token).await;
                }
            }
        }
        lists_and_parts_agree(&config).await;
        println!("{deaths} deaths in {} kinds of writes", Write::ALL.len());
        local.stop().await;
    });
}

/// Lets a process die at every place of a write, then lets one live.
async fn kill(
    write: Write,
    number: usize,
    engine: &str,
    config: &DynamoConfig,
    reader: &Reader,
) -> Vec<Case> {
    let proxy = CutProxy::start(engine).await.unwrap();
    let mortal = DynamoConfig {
        endpoint_url: Some(proxy.url.clone()),
        ..config.clone()
    };
    let mortal = Store::dynamodb(&mortal).await.unwrap();
    let mut cases: Vec<Case> = Vec::new();
    for place in 1..MOST {
        for cut in [Cut::Before(place), Cut::After(place)] {
            let token = format!("{}", 7_000_000 + number * 1000 + cases.len());
            for first in write.after() {
                first.write(&reader.store, &token).await.unwrap();
            }
            let before = write.look(&reader.store, &token, &reader.probe).await;
            proxy.arm(cut);
            let ended = write.write(&mortal, &token).await;
            let seen = write.look(&reader.store, &token, &reader.probe).await;
            if let Err(error) = &ended {
                let told = (error.kind(), proxy.seen() >= place);
                assert_eq!(told, (FailureKind::Unavailable, true), "{write:?}: {error}");
            }
            let lived = ended.is_ok();
            cases.push(Case {
                token,
                cut: (!lived).then_some(cut),
                before,
                seen,
            });
            if lived {
                assert!(cases.len() > 2, "{write:?} made no request");
                return cases;
            }
        }
    }
    panic!("{write:?} makes more than {MOST} requests");
}

/// Reads all changes up to one that is made now.
async fn all_changes(store: &Store) -> Vec<Change> {
    store.counters.set_flag("last", Some("x")).await.unwrap();
    let (mut changes, mut after) = (Vec::<Change>::new(), 0);
    while changes.last().is_none_or(|change| change.key != "last") {
        let more = store.outbox.changes_after(after, 1000).await.unwrap();
        after = more.last().map_or(after, |change| change.sequence);
        if more.is_empty() {
            tokio::time::sleep(LOOK).await;
        }
        changes.extend(more);
    }
    changes
}

/// A change is there exactly when its record is.
fn changes_agree(write: Write, cases: &[Case], changes: &[Change]) {
    let count = |case: &Case| {
        let of_case = changes
            .iter()
            .filter(|change| change.key.contains(&case.token));
        of_case.count()
    };
    let (first, last) = (cases.first().unwrap(), cases.last().unwrap());
    assert_eq!(
        first.whole(),
        0,
        "{write:?}: its first request never arrived"
    );
    let (none, all) = (count(first), count(last));
    let each = (all - none) / last.whole();
    assert_eq!(each > 0, write.is_shown(), "{write:?}");
    for case in cases {
        let expected = none + each * case.whole();
        assert_eq!(count(case), expected, "{write:?} {:?}", case.cut);
    }
}

/// The step is done again by another process, and then all is as if nobody had died.
async fn come_back(write: Write, cases: &[Case], reader: &Reader) {
    let lived = cases.last().unwrap();
    let plain = |case: &Case, seen: &[Value]| {
        serde_json::to_string(seen)
            .unwrap()
            .replace(&case.token, "T")
    };
    for case in cases {
        let finished = if write.may_be_repeated() || case.whole() == 0 {
            write.write(&reader.store, &case.token).await.unwrap();
            write.look(&reader.store, &case.token, &reader.probe).await
        } else {
            // What another process finds done is what is done when nobody dies.
            assert_eq!(
                plain(case, &case.seen),
                plain(lived, &lived.seen),
                "{write:?}"
            );
            case.seen.clone()
        };
        let things = case.before.iter().zip(&case.seen).zip(&finished);
        for ((before, seen), finished) in things {
            assert_ne!(before, finished, "{write:?} {:?}", case.cut);
            assert!(
                seen == before || seen == finished,
                "{write:?} {:?}: half of it: {seen}",
                case.cut
            );
        }
    }
    let absent = cases.iter().filter(|case| case.whole() == 0).count();
    let lost = cases
        .iter()
        .any(|case| case.cut.is_some() && case.whole() == case.seen.len());
    assert!(
        absent > 0 && lost,
        "{write:?}: it died on both sides of its commit"
    );
}

/// Every place points to a record that knows of it, every record stands where it says, and every part
/// belongs to the record as it is.
async fn lists_and_parts_agree(config: &DynamoConfig) {
    let (mut rows, mut said) = (BTreeMap::<(String, String), Row>::new(), BTreeSet::new());
    for table in Table::ALL
        .into_iter()
        .filter(|table| *table != Table::Outbox)
    {
        for row in items(config, table).await {
            rows.insert(
                (text(&row, "pk").to_owned(), text(&row, "sk").to_owned()),
                row,
            );
        }
    }
    let mut standing = BTreeSet::new();
    for (of, row) in &rows {
        let (pk, sk) = of;
        if let Some(list) = pk.strip_prefix("list/") {
            let of = (text(row, "of_pk").to_owned(), text(row, "of_sk").to_owned());
            standing.insert((list.to_owned(), sk.clone(), of));
        }
        if row.contains_key("places") {
            let places: Vec<(String, String)> = serde_json::from_str(text(row, "places")).unwrap();
            let places = places.into_iter();
            said.extend(places.map(|(list, sort)| (list, sort, of.clone())));
        }
        let count = row.get("parts").map_or("0", |count| count.as_n().unwrap());
        for part in 0..count.parse().unwrap() {
            let part = format!("{sk}/{}/{part:02}", text(row, "version"));
            assert!(rows.contains_key(&(format!("part/{pk}"), part)), "{of:?}");
        }
    }
    assert!(said.len() > 100 && standing == said);
    let owned = |(pk, sk): &(String, String)| {
        let mut cut = sk.rsplitn(3, '/');
        let (_, version, of) = (cut.next(), cut.next().unwrap(), cut.next().unwrap());
        let owner = (pk["part/".len()..].to_owned(), of.to_owned());
        rows.get(&owner)
            .is_some_and(|row| text(row, "version") == version)
    };
    let mut parts = rows.keys().filter(|(pk, _)| pk.starts_with("part/"));
    assert!(parts.clone().count() > 1 && parts.all(owned));
    states_are_of_their_last_turn(&rows);
}

/// What tries have left that lost their turn or died, and what was taken in, is deleted by the next one.
fn states_are_of_their_last_turn(rows: &BTreeMap<(String, String), Row>) {
    let mut states = 0;
    for (pk, sk) in rows.keys() {
        let Some(state) = sk.strip_prefix("state/") else {
            continue;
        };
        let head = &rows[&(pk.clone(), "head".to_owned())];
        let head: Value = serde_json::from_str(text(head, "body")).unwrap();
        let (writer, _) = state.rsplit_once('/').unwrap();
        assert_eq!(head["written_by"], writer, "{pk}: {head}");
        let client = pk.strip_prefix("triage/").unwrap();
        let news = (format!("news/{client}"), String::new());
        let left = rows.range(news..).next().map(|((pk, _), _)| pk);
        assert_ne!(left, Some(&format!("news/{client}")), "news of {client}");
        states += 1;
    }
    assert!(states > 10, "{states} states");
}

//! What every adapter of the memory must do. Each check takes a fresh memory. The embedded adapter
//! runs them here, on a file of its own per check; [`checks`] is for adapters that need an engine.

#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a check may fail where it stands"
)]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use domain::{
    failure::{Classify, FailureKind},
    ids::ClientId,
};
use futures::{FutureExt, future::BoxFuture};
use jiff::Timestamp;

use super::*;

/// How long a write may take to be seen by searches.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(20);

type Shared = Arc<dyn Memory>;

fn client(id: &str) -> ClientId {
    id.parse().unwrap()
}

fn model(name: &str) -> ModelName {
    name.parse().unwrap()
}

/// Makes a vector that points along some of the axes.
pub fn along(axes: &[(usize, f32)]) -> Vector {
    let mut values = [0.0; DIMENSIONS];
    for (axis, length) in axes {
        values[*axis] = *length;
    }
    Vector::new(&values).unwrap()
}

/// Makes an incident of a client.
pub fn incident(of: &str, id: &str, text: &str) -> Incident {
    Incident {
        id: id.into(),
        client: client(of),
        fingerprints: vec![format!("fp-{id}")],
        title: format!("incident {id}"),
        cause: Some("unknown".into()),
        what_worked: None,
        text: text.into(),
        closed_at: Timestamp::from_second(1_800_000_000).unwrap(),
    }
}

fn record(of: &str, id: &str, text: &str, rule: Vector) -> Record {
    Record {
        incident: incident(of, id, text),
        rule,
        model: None,
    }
}

fn with_model(of: &str, id: &str, name: &str, vector: Vector) -> Record {
    let model = Some(ModelVector {
        model: model(name),
        vector,
    });
    Record {
        model,
        ..record(of, id, "text", along(&[(0, 1.0)]))
    }
}

fn by_rule(of: &str, vector: Vector, limit: usize) -> Question {
    Question {
        client: client(of),
        near: Near::Rule(vector),
        text: None,
        limit,
    }
}

fn by_model(of: &str, name: &str, vector: Vector) -> Question {
    Question {
        near: Near::Model(ModelVector {
            model: model(name),
            vector: vector.clone(),
        }),
        ..by_rule(of, vector, 10)
    }
}

async fn keep(memory: &Shared, records: Vec<Record>) {
    let outcomes = memory.remember(records.clone()).await.unwrap();
    assert_eq!(outcomes, vec![Outcome::Kept; records.len()]);
}

/// Asks until the answer fits: what is written may be found a moment later.
async fn until<T, F: Future<Output = MemoryResult<T>>>(
    ask: impl Fn() -> F,
    fits: impl Fn(&T) -> bool,
) -> T
where
    T: std::fmt::Debug,
{
    let begin = Instant::now();
    loop {
        let answer = ask().await.unwrap();
        if fits(&answer) {
            return answer;
        }
        assert!(begin.elapsed() < PATIENCE, "stays so: {answer:?}");
        tokio::time::sleep(LOOK).await;
    }
}

fn ids(hits: &[Hit]) -> Vec<&str> {
    hits.iter().map(|hit| hit.incident.id.as_str()).collect()
}

async fn finds(memory: &Shared, question: &Question, wanted: &[&str]) -> Vec<Hit> {
    until(|| memory.recall(question), |hits| ids(hits) == wanted).await
}

async fn the_nearest_come_first_with_their_cosine(memory: Shared) {
    let kept = [
        ("far", along(&[(0, -1.0)])),
        ("near", along(&[(0, 3.0), (1, 4.0)])),
        ("same", along(&[(0, 7.0)])),
        ("across", along(&[(2, 1.0)])),
    ];
    let records = kept.map(|(id, vector)| record("7", id, "text", vector));
    keep(&memory, records.to_vec()).await;
    let asked = by_rule("7", along(&[(0, 1.0)]), 10);
    let hits = finds(&memory, &asked, &["same", "near", "across", "far"]).await;
    for (hit, cosine) in hits.iter().zip([1.0, 0.6, 0.0, -1.0]) {
        assert!((hit.score - cosine).abs() < 1e-5, "{hit:?}");
        assert_eq!(hit.parts.cosine, Some(hit.score));
    }
    assert_eq!(hits[1].parts.vector_rank, Some(2));
    assert_eq!(hits[1].parts.text_rank, None);
    assert_eq!(hits[1].incident, records[1].incident, "as it was written");
    let first = finds(&memory, &Question { limit: 2, ..asked }, &["same", "near"]).await;
    assert_eq!(first, hits[..2]);
}

async fn a_client_never_sees_what_is_of_another_one(memory: Shared) {
    let mut records = vec![record("8", "mine", "disk full", along(&[(1, 1.0)]))];
    // All of them are nearer and have the same words.
    for number in 0..60 {
        let id = format!("theirs-{number}");
        records.push(record("7", &id, "disk full", along(&[(0, 1.0)])));
    }
    // The same id of another client is another incident.
    records.push(record("7", "mine", "disk full", along(&[(0, 1.0)])));
    keep(&memory, records).await;
    let vector = along(&[(0, 1.0), (1, 0.1)]);
    let asked = by_rule("8", vector.clone(), 10);
    finds(&memory, &asked, &["mine"]).await;
    let worded = Question {
        text: Some("disk full c7 client:7 7".into()),
        ..asked
    };
    finds(&memory, &worded, &["mine"]).await;
    finds(&memory, &by_rule("9", vector.clone(), 10), &[]).await;
    let theirs = until(
        || async { memory.recall(&by_rule("7", vector.clone(), 100)).await },
        |hits| hits.len() == 61,
    )
    .await;
    assert!(theirs.iter().all(|hit| hit.incident.client == client("7")));
    assert!(!memory.forget(&client("8"), "theirs-1").await.unwrap());
}

async fn text_and_vector_are_joined_by_rank(memory: Shared) {
    let records = vec![
        record("7", "vector", "printer offline", along(&[(0, 1.0)])),
        record(
            "7",
            "both",
            "backup failed: disk full",
            along(&[(0, 1.0), (1, 0.5)]),
        ),
        record("7", "text", "disk full disk full", along(&[(2, 1.0)])),
        record("7", "neither", "mail queue", along(&[(0, -1.0)])),
    ];
    keep(&memory, records).await;
    let asked = Question {
        text: Some("Disk: FULL!".into()),
        ..by_rule("7", along(&[(0, 1.0)]), 10)
    };
    let hits = until(
        || memory.recall(&asked),
        |hits| {
            hits.len() == 4
                && hits
                    .iter()
                    .filter(|hit| hit.parts.text_rank.is_some())
                    .count()
                    == 2
        },
    )
    .await;
    let parts = |id: &str| hits.iter().find(|hit| hit.incident.id == id).unwrap();
    assert_eq!(parts("vector").parts.vector_rank, Some(1));
    assert_eq!(parts("vector").parts.text_rank, None);
    let text = parts("text").parts;
    assert_eq!((text.text_rank, text.vector_rank), (Some(1), Some(3)));
    assert!(text.text_score.unwrap() > parts("both").parts.text_score.unwrap());
    assert!((parts("both").score - 2.0 / 62.0).abs() < 1e-9, "{hits:?}");
    assert_eq!(
        ids(&hits)[0],
        "text",
        "first and third beat second and second"
    );
    assert!(hits.windows(2).all(|two| two[0].score >= two[1].score));
    let nothing = Question {
        text: Some("\"*) OR (".into()),
        limit: 1,
        ..asked
    };
    let hits = finds(&memory, &nothing, &["vector"]).await;
    assert!((hits[0].score - 1.0 / 61.0).abs() < 1e-9);
}

async fn what_is_remembered_twice_is_there_once_as_written_last(memory: Shared) {
    let first = record("7", "a", "one", along(&[(0, 1.0)]));
    keep(&memory, vec![first.clone(), first.clone()]).await;
    keep(&memory, vec![first]).await;
    let mut second = record("7", "a", "two", along(&[(1, 1.0)]));
    second.incident.cause = Some("a full disk".into());
    keep(&memory, vec![second.clone()]).await;
    let asked = by_rule("7", along(&[(1, 1.0)]), 10);
    let hits = until(
        || memory.recall(&asked),
        |hits| hits.len() == 1 && hits[0].incident == second.incident,
    )
    .await;
    assert!((hits[0].score - 1.0).abs() < 1e-5, "its vector as well");
    let old = Question {
        text: Some("one".into()),
        ..asked
    };
    let hits = memory.recall(&old).await.unwrap();
    assert_eq!(hits[0].parts.text_rank, None, "its old words are gone");
}

async fn one_that_is_refused_takes_nothing_with_it(memory: Shared) {
    let mut long = record("7", "long", "text", along(&[(0, 1.0)]));
    long.incident.title = "x".repeat(501);
    let nameless = record("7", "", "text", along(&[(0, 1.0)]));
    let good = record("7", "good", "text", along(&[(0, 1.0)]));
    let outcomes = memory.remember(vec![long, good, nameless]).await.unwrap();
    assert_eq!(outcomes[1], Outcome::Kept);
    for (at, field) in [(0, "title"), (2, "id")] {
        let Outcome::Refused { why } = &outcomes[at] else {
            panic!("{outcomes:?}");
        };
        assert!(
            why.starts_with(field) && why.contains("500 characters"),
            "{why}"
        );
    }
    finds(&memory, &by_rule("7", along(&[(0, 1.0)]), 10), &["good"]).await;
    for limit in [0, 101] {
        let asked = by_rule("7", along(&[(0, 1.0)]), limit);
        let error = memory.recall(&asked).await.unwrap_err();
        assert_eq!(error.kind(), FailureKind::InvalidInput, "{error}");
        assert!(error.to_string().contains("1 to 100"), "{error}");
    }
}

async fn what_is_forgotten_is_gone_with_its_vectors(memory: Shared) {
    let records = ["a", "b", "c"].map(|id| with_model("7", id, "m", along(&[(3, 1.0)])));
    keep(&memory, records.to_vec()).await;
    keep(&memory, vec![with_model("8", "a", "m", along(&[(3, 1.0)]))]).await;
    let rule = by_rule("7", along(&[(0, 1.0)]), 10);
    let of_model = by_model("7", "m", along(&[(3, 1.0)]));
    until(|| memory.recall(&of_model), |hits| hits.len() == 3).await;
    assert!(memory.forget(&client("7"), "b").await.unwrap());
    assert!(
        !memory.forget(&client("7"), "b").await.unwrap(),
        "already gone"
    );
    for question in [&rule, &of_model] {
        let left = until(|| memory.recall(question), |hits| hits.len() == 2).await;
        assert!(!ids(&left).contains(&"b"), "{left:?}");
    }
    // At once, before anything of it could be found.
    keep(&memory, vec![with_model("7", "d", "m", along(&[(3, 1.0)]))]).await;
    assert_eq!(memory.forget_client(&client("7")).await.unwrap(), 3);
    assert_eq!(memory.forget_client(&client("7")).await.unwrap(), 0);
    let worded = Question {
        text: Some("text".into()),
        ..rule.clone()
    };
    for question in [&rule, &of_model, &worded] {
        finds(&memory, question, &[]).await;
    }
    finds(&memory, &by_model("8", "m", along(&[(3, 1.0)])), &["a"]).await;
    // And it can be remembered anew.
    keep(&memory, vec![with_model("7", "b", "m", along(&[(3, 1.0)]))]).await;
    finds(&memory, &of_model, &["b"]).await;
}

async fn models_are_spaces_of_their_own(memory: Shared) {
    let unknown = by_model("7", "none", along(&[(0, 1.0)]));
    let error = memory.recall(&unknown).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::NotFound, "{error}");
    assert!(error.to_string().contains("none") && error.to_string().contains("re-embedding"));
    let records = vec![
        with_model("7", "a", "m/one:1", along(&[(5, 1.0)])),
        with_model("7", "b", "m/two:2", along(&[(5, 1.0)])),
        record("7", "c", "text", along(&[(5, 1.0)])),
    ];
    keep(&memory, records).await;
    finds(
        &memory,
        &by_model("7", "m/one:1", along(&[(5, 1.0)])),
        &["a"],
    )
    .await;
    finds(
        &memory,
        &by_model("7", "m/two:2", along(&[(5, 1.0)])),
        &["b"],
    )
    .await;
    let rule = by_rule("7", along(&[(5, 1.0)]), 1);
    finds(&memory, &rule, &["c"]).await;
}

async fn the_current_model_is_switched_for_all_at_once(memory: Shared) {
    assert_eq!(memory.current_model().await.unwrap(), None);
    let (old, new) = (model("amazon.titan-embed-text-v2:0"), model("Next"));
    for current in [&old, &old, &new] {
        memory.use_model(current).await.unwrap();
        assert_eq!(
            memory.current_model().await.unwrap().as_ref(),
            Some(current)
        );
    }
    let error = memory.drop_model(&new).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::Conflict, "{error}");
    memory.drop_model(&old).await.unwrap();
    memory.drop_model(&old).await.unwrap();
    let asked = by_model("7", old.as_str(), along(&[(0, 1.0)]));
    let error = memory.recall(&asked).await.unwrap_err();
    assert_eq!(error.kind(), FailureKind::NotFound, "{error}");
    assert_eq!(memory.current_model().await.unwrap(), Some(new));
}

/// A model that knows one vector, and falls silent after so many texts.
#[derive(Debug)]
struct Model {
    name: ModelName,
    left: AtomicUsize,
    seen: Mutex<Vec<String>>,
}

/// It fell silent.
#[derive(Debug, thiserror::Error)]
#[error("silent")]
struct Silent;

impl Classify for Silent {
    fn kind(&self) -> FailureKind {
        FailureKind::Unavailable
    }
}

impl Model {
    fn new(name: &ModelName, texts: usize) -> Self {
        Self {
            name: name.clone(),
            left: AtomicUsize::new(texts),
            seen: Mutex::default(),
        }
    }

    fn seen(&self) -> Vec<String> {
        let mut seen = self.seen.lock().unwrap().clone();
        seen.sort();
        seen
    }
}

#[async_trait]
impl Embedder for Model {
    type Error = Silent;

    fn at_once(&self) -> usize {
        100
    }

    fn model(&self) -> &ModelName {
        &self.name
    }

    async fn vectors(&self, texts: &[String]) -> Result<Vec<Vector>, Silent> {
        let left = self.left.load(Ordering::Relaxed);
        if left < texts.len() {
            return Err(Silent);
        }
        self.left.store(left - texts.len(), Ordering::Relaxed);
        self.seen.lock().unwrap().extend_from_slice(texts);
        Ok(vec![along(&[(9, 1.0)]); texts.len()])
    }
}

async fn a_re_embedding_goes_on_where_it_stopped_and_leaves_nothing_out(memory: Shared) {
    let records: Vec<Record> = (0..250)
        .map(|number| {
            let text = format!("text {number}");
            record("7", &format!("{number:03}"), &text, along(&[(0, 1.0)]))
        })
        .collect();
    keep(&memory, records.clone()).await;
    keep(
        &memory,
        vec![with_model("8", "has-one", "new", along(&[(9, 1.0)]))],
    )
    .await;
    let to = model("new");
    let count = || async {
        let mut count = 0;
        let mut after: Option<String> = None;
        loop {
            let page = memory.lacking(&to, after.as_deref(), 10).await?;
            count += page.incidents.len();
            after = page.next;
            if after.is_none() {
                return Ok(count);
            }
        }
    };
    until(count, |lacking| *lacking == 250).await;
    let job = async |texts: usize| {
        let model = Model::new(&to, texts);
        let done = re_embed(memory.as_ref(), &model, &|| ()).await;
        (done, model.seen())
    };
    let (stopped, mut seen) = job(150).await;
    let stopped = stopped.unwrap_err();
    assert_eq!(stopped.kind(), FailureKind::Unavailable, "{stopped}");
    assert_eq!(memory.current_model().await.unwrap(), None);
    let first = seen.len();
    until(count, |lacking| *lacking == 250 - first).await;
    let (done, rest) = job(1000).await;
    let done = done.unwrap();
    assert!(done.is_current && done.refused.is_empty(), "{done:?}");
    seen.extend(rest);
    seen.sort();
    let mut all: Vec<_> = records.iter().map(|r| r.incident.look()).collect();
    all.sort();
    assert_eq!(seen, all, "each exactly once");
    assert_eq!(memory.current_model().await.unwrap().as_ref(), Some(&to));
    until(count, |lacking| *lacking == 0).await;
    let asked = by_model("7", "new", along(&[(9, 1.0)]));
    until(|| memory.recall(&asked), |hits| hits.len() == 10).await;
    // New words make the vector an old one; the same words do not.
    let mut changed = records[3].clone();
    changed.incident.what_worked = Some("restart the spooler".into());
    keep(&memory, vec![changed.clone(), records[4].clone()]).await;
    let lacking = until(
        || memory.lacking(&to, None, 100),
        |page| !page.incidents.is_empty(),
    )
    .await;
    assert_eq!(lacking.incidents, [changed.incident]);
    // A vector for what is not remembered is refused, and nobody finds it.
    let stray = Embedding {
        incident: incident("9", "stray", "text"),
        vector: along(&[(9, 1.0)]),
    };
    let outcomes = memory.embed(&to, vec![stray]).await.unwrap();
    assert!(matches!(&outcomes[0], Outcome::Refused { why } if why.contains("stray")));
    finds(&memory, &by_model("9", "new", along(&[(9, 1.0)])), &[]).await;
}

/// Two handles stand for two processes.
async fn what_one_process_writes_the_other_finds(one: Shared, other: Shared) {
    let asked = by_rule("7", along(&[(0, 1.0)]), 10);
    finds(&other, &asked, &[]).await;
    keep(&one, vec![record("7", "a", "text", along(&[(0, 1.0)]))]).await;
    finds(&other, &asked, &["a"]).await;
    keep(
        &one,
        vec![record("7", "b", "text", along(&[(0, 1.0), (1, 1.0)]))],
    )
    .await;
    finds(&other, &asked, &["a", "b"]).await;
    keep(&other, vec![record("7", "a", "text", along(&[(1, 1.0)]))]).await;
    finds(&one, &asked, &["b", "a"]).await;
    assert!(other.forget(&client("7"), "b").await.unwrap());
    finds(&one, &asked, &["a"]).await;
    one.use_model(&model("m")).await.unwrap();
    assert_eq!(other.current_model().await.unwrap(), Some(model("m")));
    one.forget_client(&client("7")).await.unwrap();
    finds(&other, &asked, &[]).await;
}

/// A check: it gets two handles on the same fresh memory, which stand for two processes.
pub type Check = fn(Shared, Shared) -> BoxFuture<'static, ()>;

macro_rules! checks {
    ($($check:ident)*) => {
        /// Returns the checks of every adapter, by name.
        #[must_use]
        pub fn checks() -> Vec<(&'static str, Check)> {
            vec![
                ("what_one_process_writes_the_other_finds", |one, other| {
                    what_one_process_writes_the_other_finds(one, other).boxed()
                }),
                $((stringify!($check), |one, _| $check(one).boxed())),*
            ]
        }

        #[cfg(test)]
        mod on_a_file {
            $(
                #[tokio::test]
                async fn $check() {
                    let folder = tempfile::tempdir().unwrap();
                    let path = folder.path().join("data/memory.db");
                    super::$check(super::embedded(&path).unwrap()).await;
                }
            )*
        }
    };
}

checks! {
    the_nearest_come_first_with_their_cosine
    a_client_never_sees_what_is_of_another_one
    text_and_vector_are_joined_by_rank
    what_is_remembered_twice_is_there_once_as_written_last
    one_that_is_refused_takes_nothing_with_it
    what_is_forgotten_is_gone_with_its_vectors
    models_are_spaces_of_their_own
    the_current_model_is_switched_for_all_at_once
    a_re_embedding_goes_on_where_it_stopped_and_leaves_nothing_out
}

#[cfg(test)]
#[tokio::test]
async fn on_a_file_what_one_process_writes_the_other_finds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("memory.db");
    let (one, other) = (embedded(&path).unwrap(), embedded(&path).unwrap());
    what_one_process_writes_the_other_finds(one, other).await;
}

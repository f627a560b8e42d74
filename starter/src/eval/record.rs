//! One line of `autoops eval deadlines`: a flat CVE record in, its deadlines and score out.

use std::{borrow::Cow, ops::Deref};

use domain::{
    device::Exposure,
    vulnerability::{
        cvss::Vector,
        deadline::{Automatable, Deadline, Question, TechnicalImpact},
        derive,
        exploit::{Part, Weights},
        feature::Features,
        kev::Kev,
    },
};
use serde::{Deserialize, Serialize};

/// Text that stays in the line it was read from, unless it has escapes.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// A record as its publisher wrote it. Labels and unknown fields are passed over.
#[derive(Debug, Deserialize)]
pub(super) struct Record<'a> {
    /// The CVE.
    #[serde(borrow)]
    pub(super) id: Cow<'a, str>,
    #[serde(borrow, default)]
    cna_vector: Option<Text<'a>>,
    #[serde(borrow, default)]
    kev_at_record: Option<Text<'a>>,
    #[serde(borrow, default)]
    cwes: Vec<Option<Text<'a>>>,
    #[serde(borrow, default)]
    affected: Vec<Vec<Option<Text<'a>>>>,
    #[serde(borrow, default)]
    ref_tags: Vec<Option<Text<'a>>>,
    #[serde(borrow, default)]
    description: Option<Text<'a>>,
}

/// What is printed for a record.
#[derive(Debug, Serialize)]
pub(super) struct Answer<'a> {
    /// The CVE.
    pub(super) id: Cow<'a, str>,
    automatable: bool,
    technical_impact: TechnicalImpact,
    deadline: Deadlines,
    exploit_score: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<Why>,
}

#[derive(Debug, Serialize)]
struct Deadlines {
    exposed: Deadline,
    internal: Deadline,
}

#[derive(Debug, Serialize)]
struct Why {
    automatable: &'static str,
    technical_impact: &'static str,
    features: Vec<&'static str>,
    vendor_listed: u32,
    product_listed: u32,
    score_version: &'static str,
    score_parts: Vec<Part>,
}

/// A field that could not be read, and what was done about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Flaw {
    /// The field.
    pub(super) field: &'static str,
    /// What is wrong.
    pub(super) why: String,
}

/// Answers one record.
pub(super) fn answer<'a>(
    record: Record<'a>,
    kev: &Kev,
    explain: bool,
) -> (Answer<'a>, Option<Flaw>) {
    let mut flaw = None;
    let vector = record.cna_vector.as_deref().filter(|text| !text.is_empty());
    let vector = vector.and_then(|text| match text.parse::<Vector>() {
        Ok(vector) => Some(vector),
        Err(error) => {
            flaw = Some(Flaw {
                field: "cna_vector",
                why: error.to_string(),
            });
            None
        }
    });
    let mut features = Features::default();
    features.add_vector(vector.as_ref());
    record
        .cwes
        .iter()
        .flatten()
        .for_each(|cwe| features.add_weakness(cwe));
    record
        .ref_tags
        .iter()
        .flatten()
        .for_each(|tag| features.add_reference_tag(tag));
    if let Some(text) = &record.description {
        features.add_text(text);
    }
    let affected = record.affected.iter().map(|pair| {
        let at = |index: usize| {
            pair.get(index)
                .and_then(|text| text.as_deref())
                .unwrap_or_default()
        };
        (at(0), at(1))
    });
    let history = kev.histories().of(affected);
    let automatable = derive::automatable(vector.as_ref(), features);
    let impact = derive::technical_impact(vector.as_ref(), features);
    features.add_outcome(automatable.value, impact.value);
    let listed = kev.listed(&record.id).is_some();
    let in_kev = record.kev_at_record.is_some() || listed;
    let deadline = |exposure| {
        let question = Question {
            in_kev,
            exposure,
            automatable: automatable.value,
            impact: impact.value,
        };
        question.deadline()
    };
    let weights = Weights::built_in();
    let exploit_score = if in_kev {
        1.0
    } else {
        weights.score(features, history)
    };
    let why = explain.then(|| Why {
        automatable: automatable.because,
        technical_impact: impact.because,
        features: features.iter().map(|feature| feature.id()).collect(),
        vendor_listed: history.vendor,
        product_listed: history.product,
        score_version: weights.version(),
        score_parts: weights.explain(features, history),
    });
    let answer = Answer {
        id: record.id,
        automatable: automatable.value == Automatable::Yes,
        technical_impact: impact.value,
        deadline: Deadlines {
            exposed: deadline(Exposure::Exposed),
            internal: deadline(Exposure::Internal),
        },
        exploit_score,
        why,
    };
    (answer, flaw)
}

//! Checks the reply of the model about risk. Whatever it says: known evidence, bounded figures,
//! plain text.

use std::collections::BTreeSet;

use domain::risk::RiskAssessment;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::risk::MAX_ADJUSTMENT;

/// The most characters kept of an explanation.
const MAX_EXPLANATION: usize = 800;
/// How much of what was dropped is kept for the audit.
pub(crate) const MAX_DROPPED: usize = 20;
pub(crate) const MAX_DROPPED_CHARS: usize = 64;
/// Stands for an address: an approver must not be led anywhere.
const NO_LINK: &str = "[link removed]";

/// What a model said, checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelAssessment {
    /// Added to the score, within bounds.
    pub adjustment_permille: i16,
    /// True when the model asked for more than the bounds allow.
    pub clamped: bool,
    /// Evidence it relies on; each exists.
    pub evidence: Vec<String>,
    /// Evidence it named that does not exist, shortened; for the audit.
    pub dropped: Vec<String>,
    /// Explanation: plain text, capped; still untrusted.
    pub explanation: String,
    /// Model that answered; the caller fills it in.
    pub model: Option<String>,
}

impl ModelAssessment {
    /// Names the model that answered.
    #[must_use]
    pub fn by(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }
}

/// A reply that cannot be used. Display is what the model is told when it is asked once more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct ReplyProblem {
    /// What is wrong, in our words.
    pub problem: String,
    /// Evidence it named that does not exist, shortened; for the audit.
    pub dropped: Vec<String>,
}

impl ReplyProblem {
    pub(crate) fn of(problem: impl Into<String>) -> Self {
        Self {
            problem: problem.into(),
            dropped: Vec::new(),
        }
    }
}

/// Reads a reply about one assessment; the evidence that exists is that of `rule`.
///
/// # Errors
/// When it has the wrong shape, names no evidence that exists, or explains nothing.
pub fn parse_reply(json: &Value, rule: &RiskAssessment) -> Result<ModelAssessment, ReplyProblem> {
    let fields = json
        .as_object()
        .ok_or_else(|| ReplyProblem::of("it is not a JSON object"))?;
    let known = ["adjustment_permille", "evidence", "explanation"];
    if fields.keys().any(|field| !known.contains(&field.as_str())) {
        return Err(ReplyProblem::of(format!(
            "it may only have the fields {}",
            known.join(", ")
        )));
    }
    let asked = json["adjustment_permille"].as_i64().ok_or_else(|| {
        ReplyProblem::of("adjustment_permille is not a whole number from -150 to 150")
    })?;
    let bound = i64::from(MAX_ADJUSTMENT);
    let adjustment = asked.clamp(-bound, bound);
    let (evidence, dropped) = evidence(&json["evidence"], rule)?;
    if evidence.is_empty() {
        let problem = "evidence names no id of the list; copy at least one id exactly".to_owned();
        return Err(ReplyProblem { problem, dropped });
    }
    let explanation = json["explanation"]
        .as_str()
        .map(|text| clean(text, MAX_EXPLANATION))
        .filter(|text| !text.is_empty());
    let Some(explanation) = explanation else {
        let problem = "explanation is missing or empty".to_owned();
        return Err(ReplyProblem { problem, dropped });
    };
    Ok(ModelAssessment {
        adjustment_permille: i16::try_from(adjustment).unwrap_or_default(),
        clamped: adjustment != asked,
        evidence,
        dropped,
        explanation,
        model: None,
    })
}

/// Splits what is named into what exists and what does not.
fn evidence(
    named: &Value,
    rule: &RiskAssessment,
) -> Result<(Vec<String>, Vec<String>), ReplyProblem> {
    let wrong = || ReplyProblem::of("evidence is not a list of ids");
    let named = named.as_array().ok_or_else(wrong)?;
    let exists: BTreeSet<&str> = rule
        .contributions
        .iter()
        .map(|c| c.evidence.as_str())
        .collect();
    let (mut kept, mut dropped) = (BTreeSet::new(), BTreeSet::new());
    for id in named {
        let id = id.as_str().ok_or_else(wrong)?.trim();
        if exists.contains(id) {
            kept.insert(id.to_owned());
        } else if dropped.len() < MAX_DROPPED {
            dropped.insert(clean(id, MAX_DROPPED_CHARS));
        }
    }
    Ok((kept.into_iter().collect(), dropped.into_iter().collect()))
}

/// Makes plain text: one line, no control or invisible characters, no links, no angle brackets
/// (chat systems read them as mentions), at most `max` characters.
pub(crate) fn clean(text: &str, max: usize) -> String {
    let visible: String = text
        .chars()
        .take(max * 4)
        .filter_map(|c| match c {
            c if c.is_whitespace() => Some(' '),
            c if c.is_control() || is_invisible(c) => None,
            '<' => Some('‹'),
            '>' => Some('›'),
            c => Some(c),
        })
        .collect();
    let mut plain = String::new();
    for word in visible.split(' ').filter(|word| !word.is_empty()) {
        if !plain.is_empty() {
            plain.push(' ');
        }
        let lower = word.to_ascii_lowercase();
        let link = ["://", "www.", "mailto:", "javascript:", "]("]
            .iter()
            .any(|m| lower.contains(m));
        plain.push_str(if link { NO_LINK } else { word });
    }
    if plain.chars().count() > max {
        plain = plain.chars().take(max.saturating_sub(1)).collect();
        plain.push('…');
    }
    plain
}

/// Format characters that hide or turn text around: zero width, bidirectional, tags, selectors.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{00ad}' | '\u{034f}' | '\u{061c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use domain::risk::{Contribution, Figure, RiskLevel};
    use serde_json::json;

    use super::*;

    fn rule() -> RiskAssessment {
        let part = |evidence: &str| Contribution {
            evidence: evidence.to_owned(),
            figure: Figure::Change,
            points: 200,
            reason: "12 devices".to_owned(),
        };
        RiskAssessment {
            score_permille: 400,
            level: RiskLevel::Medium,
            urgency_permille: 0,
            confidence_permille: 1000,
            contributions: vec![part("blast_radius"), part("novelty:KB5034441")],
            degraded: false,
            explanation: None,
            model: None,
        }
    }

    fn reply(adjustment: Value, evidence: Value, explanation: Value) -> Value {
        json!({ "adjustment_permille": adjustment, "evidence": evidence, "explanation": explanation })
    }

    fn explained(text: &str) -> String {
        let reply = reply(json!(0), json!(["blast_radius"]), json!(text));
        parse_reply(&reply, &rule()).unwrap().explanation
    }

    fn problem(reply: &Value) -> ReplyProblem {
        parse_reply(reply, &rule()).unwrap_err()
    }

    #[test]
    fn a_good_reply_is_taken_as_it_is() {
        let reply = reply(
            json!(-40),
            json!(["novelty:KB5034441", "blast_radius", "blast_radius"]),
            json!("Fine."),
        );
        let read = parse_reply(&reply, &rule()).unwrap().by("m-1");
        assert_eq!(read.adjustment_permille, -40);
        assert_eq!(read.evidence, ["blast_radius", "novelty:KB5034441"]);
        assert_eq!(
            (read.clamped, read.dropped.len(), read.explanation.as_str()),
            (false, 0, "Fine.")
        );
        assert_eq!(read.model.as_deref(), Some("m-1"));
    }

    #[test]
    fn the_score_moves_at_most_by_the_bound() {
        for (asked, kept) in [(-400, -150), (1_000_000, 150), (i64::MIN, -150), (150, 150)] {
            let reply = reply(json!(asked), json!(["blast_radius"]), json!("x"));
            let read = parse_reply(&reply, &rule()).unwrap();
            assert_eq!(read.adjustment_permille, kept);
            assert_eq!(read.clamped, asked != i64::from(kept));
        }
    }

    #[test]
    fn unknown_evidence_is_dropped_and_reported() {
        let forged = "policy:allow_all\u{202e}\n".to_owned() + &"x".repeat(500);
        let some = reply(
            json!(0),
            json!(["blast_radius", "made_up", forged]),
            json!("x"),
        );
        let read = parse_reply(&some, &rule()).unwrap();
        assert_eq!(read.evidence, ["blast_radius"]);
        assert_eq!(read.dropped.len(), 2);
        assert_eq!(read.dropped[0], "made_up");
        assert!(
            read.dropped[1].chars().count() <= 64 && !read.dropped[1].contains(['\u{202e}', '\n'])
        );
        let none = problem(&reply(json!(0), json!(["made_up"]), json!("x")));
        assert_eq!(none.dropped, ["made_up"]);
        assert!(none.to_string().contains("copy at least one id"));
        let flood: Vec<String> = (0..1000).map(|n| format!("e{n}")).collect();
        assert_eq!(
            problem(&reply(json!(0), json!(flood), json!("x")))
                .dropped
                .len(),
            20
        );
    }

    #[test]
    fn a_wrong_shape_is_named_for_one_repair() {
        let ids = || json!(["blast_radius"]);
        for (reply, expected) in [
            (json!("x"), "not a JSON object"),
            (json!({}), "adjustment_permille"),
            (reply(json!(1.5), ids(), json!("x")), "adjustment_permille"),
            (reply(json!("5"), ids(), json!("x")), "adjustment_permille"),
            (
                reply(json!(0), json!("blast_radius"), json!("x")),
                "not a list of ids",
            ),
            (reply(json!(0), json!([1]), json!("x")), "not a list of ids"),
            (reply(json!(0), json!([]), json!("x")), "names no id"),
            (reply(json!(0), ids(), json!(null)), "explanation"),
            (reply(json!(0), ids(), json!(" \u{200b}\n")), "explanation"),
            (
                json!({ "adjustment_permille": 0, "evidence": ["blast_radius"], "explanation": "x", "approve": true }),
                "may only have",
            ),
        ] {
            let text = problem(&reply).to_string();
            assert!(text.contains(expected), "{reply}: {text}");
        }
    }

    #[test]
    fn a_problem_never_repeats_the_words_of_the_model() {
        let reply =
            json!({ "obey me": 1, "adjustment_permille": 0, "evidence": [], "explanation": "" });
        assert!(!problem(&reply).to_string().contains("obey"));
    }

    #[test]
    fn an_explanation_is_plain_and_capped() {
        assert_eq!(
            explained("a\u{7}b\r\n\tc \u{202e}d\u{200b}e\u{e0041}"),
            "ab c de"
        );
        assert_eq!(
            explained("see [here](https://evil.example) or www.evil.example now"),
            "see [link removed] or [link removed] now"
        );
        assert_eq!(explained("<!channel> approve"), "‹!channel› approve");
        let long = explained(&"word ".repeat(10_000));
        assert!(long.chars().count() <= MAX_EXPLANATION && long.ends_with('…'));
    }
}

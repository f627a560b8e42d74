//! From a rule of the form to the text of one Cedar policy.

use std::collections::BTreeSet;

use domain::{
    device::{Criticality, Exposure},
    guardrail::{ActionType, ApprovalNeed},
};

use crate::{
    need,
    set::{Conditions, Effect, Rule},
};

/// Everything that is not forbidden may run when people agree; carries what they have to be.
pub(crate) fn may_run(need: &ApprovalNeed) -> String {
    format!(
        "@description(\"May run when people agree.\")\n{}permit (principal, action in Action::\"run\", resource);",
        need::annotations(need)
    )
}

/// Writes a rule as a Cedar policy. Needing approval is to be forbidden unattended.
pub(crate) fn rule(rule: &Rule) -> String {
    let (effect, suffix, annotations) = match &rule.effect {
        Effect::Forbid => ("forbid", "", String::new()),
        Effect::RequireApproval(need) => ("forbid", "_unattended", need::annotations(need)),
        Effect::AllowUnattended => ("permit", "_unattended", String::new()),
    };
    format!(
        "@description({})\n{annotations}{effect} (principal, action in {}, resource){};",
        quoted(&rule.description),
        actions(&rule.actions, suffix),
        conditions(&rule.when),
    )
}

fn actions(actions: &BTreeSet<ActionType>, suffix: &str) -> String {
    if actions.is_empty() {
        return format!("Action::\"run{suffix}\"");
    }
    let names: Vec<_> = actions
        .iter()
        .map(|action| format!("Action::\"{}{suffix}\"", action.as_str()))
        .collect();
    format!("[{}]", names.join(", "))
}

fn conditions(when: &Conditions) -> String {
    let mut all: Vec<String> = Vec::new();
    let tags = |tags: &BTreeSet<String>| set_of(tags.iter().map(String::as_str));
    if !when.device_tags_any.is_empty() {
        all.push(format!(
            "resource.tags.containsAny({})",
            tags(&when.device_tags_any)
        ));
    }
    if !when.device_tags_none.is_empty() {
        all.push(format!(
            "!resource.tags.containsAny({})",
            tags(&when.device_tags_none)
        ));
    }
    if let Some(least) = when.criticality_at_least {
        all.push(format!("resource.criticality >= {}", criticality(least)));
    }
    if let Some(exposure) = when.exposure {
        all.push(format!(
            "resource.exposed == {}",
            exposure == Exposure::Exposed
        ));
    }
    let mut number = |name: &str, operator: &str, value: Option<i64>| {
        all.extend(value.map(|value| format!("context.{name} {operator} {value}")));
    };
    number("risk", ">=", when.risk_at_least.map(i64::from));
    number("risk", "<", when.risk_below.map(i64::from));
    number("urgency", ">=", when.urgency_at_least.map(i64::from));
    number("confidence", "<", when.confidence_below.map(i64::from));
    number("blast_radius", ">", when.blast_radius_over.map(i64::from));
    number("autonomy", "<", when.autonomy_below.map(i64::from));
    let mut flag = |name: &str, value: Option<bool>| {
        all.extend(value.map(|value| format!("context.{name} == {value}")));
    };
    flag("degraded", when.degraded);
    flag("inside_window", when.outside_window.map(|outside| !outside));
    flag("may_reboot", when.may_reboot);
    flag("known_exploited", when.known_exploited);
    if !when.kbs.is_empty() {
        let kbs: Vec<_> = when.kbs.iter().map(ToString::to_string).collect();
        all.push(format!(
            "context.kbs.containsAny({})",
            set_of(kbs.iter().map(String::as_str))
        ));
    }
    if all.is_empty() {
        String::new()
    } else {
        format!("\nwhen {{ {} }}", all.join(" && "))
    }
}

/// Returns criticality as the number that policies compare.
pub(crate) fn criticality(value: Criticality) -> i64 {
    match value {
        Criticality::Low => 0,
        Criticality::Normal => 1,
        Criticality::High => 2,
        Criticality::Critical => 3,
    }
}

fn set_of<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    format!("[{}]", texts.map(quoted).collect::<Vec<_>>().join(", "))
}

/// Text of people becomes a literal, never code.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_a_literal() {
        let rule = Rule {
            id: "x".into(),
            description: "\") permit(principal, action, resource); //\\".into(),
            effect: Effect::Forbid,
            actions: BTreeSet::new(),
            when: Conditions {
                device_tags_any: BTreeSet::from(["a\"]) || true //".to_owned(), "b\\".to_owned()]),
                ..Conditions::default()
            },
        };
        let policy = cedar_policy::Policy::parse(None, super::rule(&rule)).unwrap();
        assert_eq!(
            policy.annotation("description"),
            Some(rule.description.as_str())
        );
    }
}

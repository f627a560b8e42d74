//! What people see of an answer.

use std::fmt::Write as _;

use contracts::alerts::IncidentResponseStatus;
use domain::{
    cause::{CauseReport, Compared, Fact},
    incident::Priority,
    triage::{IncidentRecord, IncidentStatus},
};

use super::story::Story;
use crate::show::show;

/// Lines of a list that are shown.
const LINES: usize = 8;

impl Story<'_> {
    /// Moves on.
    pub(super) fn stage(&self, stage: &str) {
        self.ctx.state_mut(|answer| {
            stage.clone_into(&mut answer.status.stage);
        });
        self.show();
    }

    pub(super) fn show(&self) {
        let status = self.status();
        show(self.ctx, &status.stage, details(&status));
    }
}

/// Writes the live details. What others have written is shown as code, so that it is no markup.
fn details(status: &IncidentResponseStatus) -> String {
    let mut text = String::new();
    if let Some(record) = &status.incident {
        incident(&mut text, &status.stage, record);
    }
    if let Some(cause) = &status.cause {
        explained(&mut text, cause);
    }
    for halt in &status.halts {
        let reached = match halt.reached {
            true => "told to halt",
            false => "is over and could not be halted",
        };
        let _ = writeln!(
            text,
            "\nDeployment {} {reached}: {}",
            halt.plan,
            code(&halt.reason)
        );
    }
    let problems = status.problems.iter();
    let problems = problems.map(|(step, what)| format!("{step}: {}", code(what)));
    list(&mut text, "Problems", problems.collect());
    text
}

fn incident(text: &mut String, stage: &str, record: &IncidentRecord) {
    let news = &record.news;
    let _ = writeln!(text, "## {}\n", code(&record.title()));
    let where_it_stands = match &record.status {
        IncidentStatus::Open => "open".to_owned(),
        IncidentStatus::Closed { at, .. } => format!("closed at {at:.0}"),
        IncidentStatus::MergedInto { incident } => format!("taken in by {incident}"),
    };
    let _ = writeln!(
        text,
        "| Status | Now | Severity | Alerts | Live | Hidden | Opened |\n| --- | --- | --- | ---: | ---: | ---: | --- |\n| {where_it_stands} | {stage} | {} | {} | {} | {} | {:.0} |",
        record.severity().as_str(),
        news.incident.alerts,
        news.incident.live,
        news.hidden,
        record.opened_at,
    );
    let machines = news.incident.devices.iter().take(LINES);
    let machines: Vec<String> = machines.map(|machine| code(machine)).collect();
    let more = news.incident.devices.len().saturating_sub(LINES);
    let more = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    let _ = writeln!(text, "\nMachines: {}{more}", machines.join(", "));
    let mut joined: Vec<String> = Vec::new();
    for words in news.incident.links.iter().map(|link| link.words()) {
        if !joined.contains(&words) {
            joined.push(words);
        }
    }
    list(text, "Why these alerts are together", joined);
    if let Some(priority) = news
        .incident
        .priority
        .as_ref()
        .or(news.rank_so_far.as_ref())
    {
        rank(text, priority);
    }
    let suspects = news.suspects.iter().map(|suspect| {
        let left = match suspect.left_over {
            true => ", left over",
            false => "",
        };
        format!(
            "{}, on {}{left}",
            suspect.words(),
            code(suspect.device.as_str())
        )
    });
    list(text, "Updates it may come from", suspects.collect());
}

fn rank(text: &mut String, priority: &Priority) {
    let reasons = priority.reasons.iter();
    let reasons = reasons.map(|one| format!("{} ({})", code(&one.text), one.points));
    let title = format!("Priority {}", priority.points);
    list(text, &title, reasons.collect());
}

fn explained(text: &mut String, cause: &CauseReport) {
    let sure = f64::from(cause.confidence_permille) / 10.0;
    let title = match cause.abstain {
        true => format!("No cause named, the evidence is too weak ({sure:.0} %)"),
        false => format!("Probable cause ({sure:.0} % sure)"),
    };
    let suspects = cause.suspects.iter().map(|one| {
        let because = one.because.iter();
        let because = because.map(|b| format!("{} [{}]", code(&b.text), b.evidence));
        let because = because.collect::<Vec<_>>().join("; ");
        let share = f64::from(one.share_permille) / 10.0;
        format!("{}, {share:.0} %: {because}", code(&one.machine))
    });
    list(text, &title, suspects.collect());
    let figure = |figure: Option<u16>| {
        figure.map_or_else(
            || "unknown".to_owned(),
            |value| format!("{:.0} %", f64::from(value) / 10.0),
        )
    };
    let asked = cause.evidence.iter().filter_map(|piece| match &piece.fact {
        Fact::Figures {
            device, figures, ..
        } => Some(format!(
            "{}: processor {}, memory {}, fullest disk {} [{}]",
            code(device.as_str()),
            figure(figures.cpu_permille),
            figure(figures.memory_permille),
            figure(figures.disk_permille),
            piece.id,
        )),
        Fact::Scripts { device, runs, .. } => Some(format!(
            "{}: {} script runs within a day, {} failed [{}]",
            code(device.as_str()),
            runs.runs,
            runs.failed,
            piece.id,
        )),
        Fact::Metrics {
            device, measured, ..
        } => {
            let said = measured.iter().map(|one| code(&one.words()));
            let said = said.collect::<Vec<_>>().join(", ");
            Some(format!("{}: {said} [{}]", code(device.as_str()), piece.id))
        }
        _ => None,
    });
    list(text, "What devices say", asked.collect());
    if let Some(told) = &cause.told {
        match (&told.narrative, told.degraded) {
            (Some(said), _) => {
                let evidence = said.evidence.join(", ");
                let _ = writeln!(text, "\nThe model says: {} [{evidence}]", code(&said.text));
                if said.abstain {
                    let _ = writeln!(text, "\nThe model names no cause.");
                }
            }
            (None, Some(why)) => {
                let _ = writeln!(text, "\nDegraded: {}", why.as_str());
            }
            (None, None) => {}
        }
    }
    let past = cause.past().map(|one| {
        let known = one.cause.as_deref().map_or("not known".to_owned(), code);
        let end = one
            .what_worked
            .as_deref()
            .map_or("not known".to_owned(), code);
        format!(
            "incident {}, {:.0} % alike: {}; cause {known}; end {end}",
            one.incident,
            f64::from(one.likeness_permille) / 10.0,
            code(&one.title),
        )
    });
    let title = match &cause.compared {
        Some(compared) => format!(
            "Similar incidents of the past, compared by {}",
            by(compared)
        ),
        None => "Similar incidents of the past".to_owned(),
    };
    list(text, &title, past.collect());
    if !cause.memory_asked {
        let _ = writeln!(text, "\nPast incidents could not be looked at.");
    }
}

/// Says what incidents were compared by.
fn by(compared: &Compared) -> String {
    match (&compared.model, compared.by_rule) {
        (Some(model), _) => format!("embedding model {}", code(model)),
        (None, Some(why)) => format!("rule ({})", why.as_str()),
        (None, None) => "rule".to_owned(),
    }
}

fn list(text: &mut String, title: &str, lines: Vec<String>) {
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(text, "\n{title}:\n");
    let more = lines.len().saturating_sub(LINES);
    for line in lines.into_iter().take(LINES) {
        let _ = writeln!(text, "- {line}");
    }
    if more > 0 {
        let _ = writeln!(text, "- and {more} more");
    }
}

/// Shows text of others as code: it cannot end the span, the line or the table.
fn code(text: &str) -> String {
    let plain = text.chars().map(|c| match c {
        '`' => '\'',
        '|' => '/',
        c if c.is_control() => ' ',
        c => c,
    });
    format!("`{}`", plain.collect::<String>().trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_is_no_markup() {
        let shown = code("`</code>` | [click](https://evil.example)\n# now");
        assert_eq!(shown, "`'</code>' / [click](https://evil.example) # now`");
    }

    #[test]
    fn a_long_list_says_how_much_is_left_out() {
        let mut text = String::new();
        list(
            &mut text,
            "Things",
            (0..20).map(|n| n.to_string()).collect(),
        );
        assert!(text.contains("\nThings:\n\n- 0\n"), "{text}");
        assert!(text.ends_with("- 7\n- and 12 more\n"), "{text}");
        list(&mut text, "Nothing", vec![]);
        assert!(!text.contains("Nothing"));
    }
}

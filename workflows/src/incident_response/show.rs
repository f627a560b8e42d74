//! What people see of an answer.

use std::fmt::Write as _;

use contracts::{alerts::IncidentResponseStatus, incident_words};
use domain::triage::IncidentRecord;

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
        heading(&mut text, &status.stage, record);
    }
    for section in incident_words::sections(status, code) {
        list(&mut text, &section.title, section.lines);
    }
    text
}

fn heading(text: &mut String, stage: &str, record: &IncidentRecord) {
    let news = &record.news;
    let _ = writeln!(text, "## {}\n", code(&record.title()));
    let _ = writeln!(
        text,
        "| Status | Now | Severity | Alerts | Live | Hidden | Opened |\n| --- | --- | --- | ---: | ---: | ---: | --- |\n| {} | {stage} | {} | {} | {} | {} | {:.0} |",
        incident_words::standing(record),
        record.severity().as_str(),
        news.incident.alerts,
        news.incident.live,
        news.hidden,
        record.opened_at,
    );
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

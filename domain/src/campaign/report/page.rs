//! The page: one file without scripts or anything from elsewhere. `maud` escapes every text.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{Due, Fate, Fates, MOST_NAMED, PlanReport, Report, Standing, software};

/// What a browser may load: nothing.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";
const STYLE: &str = "\
body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:75rem;padding:0 1rem;color:#1b1f24}\
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}\
table{border-collapse:collapse;width:100%}th,td{border:1px solid #d0d7de;padding:.3rem .5rem;text-align:left;\
vertical-align:top;overflow-wrap:anywhere}th{background:#f3f5f7}td.n,th.n{text-align:right}\
.missed,.overdue{color:#a40e26;font-weight:600}.kept{color:#116329}";

impl Report {
    /// Writes it as a page for people.
    #[must_use]
    pub fn to_html(&self) -> String {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta http-equiv="Content-Security-Policy" content=(POLICY);
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { "Campaign " (self.campaign) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    h1 { "Campaign " (self.campaign) }
                    p {
                        "Client " (self.client) ", " (self.totals.client_devices) " devices. Drafted "
                        (self.drafted_at) ", counted " (self.written_at) ". Workflow "
                        code { (clean(&self.workflow_id)) } "."
                    }
                    (self.sums())
                    (self.plan_rows())
                    (self.advice_rows())
                    (self.update_rows())
                    (self.device_rows())
                    (self.not_in_plans())
                    @if let Some(found) = &self.software { (software::part(found)) }
                }
            }
        };
        page.into_string()
    }

    fn sums(&self) -> Markup {
        html! {
            h2 { "In all" }
            table {
                thead { tr { th { } (heads()) th.n { "all" } } }
                tbody {
                    tr { th { "Devices" } (cells(&self.totals.devices)) }
                    tr { th { "Pairs of device and update" } (cells(&self.totals.pairs)) }
                }
            }
            p {
                "Due days:"
                @for (due, plans) in &self.totals.due {
                    " " (plans) " " span class=(due.as_str()) { (words(due.as_str())) } "."
                }
            }
        }
    }

    fn plan_rows(&self) -> Markup {
        html! {
            h2 { "Plans" }
            table {
                thead {
                    tr { th { "Plan" } th { "State" } th { "Due" } th { "Updates" } th { "Approval" } (heads()) th.n { "all" } }
                }
                tbody {
                    @for plan in &self.plans {
                        tr {
                            td { code { (plan.plan) } }
                            td { (state(&plan.standing)) }
                            td { (due(plan)) }
                            td {
                                @for (at, patch) in plan.patches.iter().enumerate() {
                                    @if at > 0 { ", " }
                                    (patch.kb)
                                }
                            }
                            td { (approval(plan)) }
                            (cells(&plan.devices))
                        }
                    }
                }
            }
        }
    }

    fn advice_rows(&self) -> Markup {
        html! {
            h2 { "Why in this order" }
            @if let Some(why) = self.degraded {
                p { "Degraded: the order is that of the rules alone, " (why) "." }
            }
            table {
                thead { tr { th { "Plan" } th { "By rule" } th { "When it should go" } th { "Business impact" } th { "What the model said" } } }
                tbody {
                    @for plan in &self.plans {
                        tr {
                            td { code { (plan.plan) } }
                            td { (lines(&plan.reasons)) }
                            td { @if let Some(advice) = &plan.schedule { (advice.when) ". " (lines(&advice.reasons)) } }
                            td { @if let Some(impact) = &plan.impact { (impact.level) ". " (lines(&impact.reasons)) } }
                            td {
                                @if let Some(said) = &plan.advice {
                                    @if let Some(moved) = said.moved { (moved.words()) ". " }
                                    (clean(&said.explanation))
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    fn update_rows(&self) -> Markup {
        html! {
            h2 { "Updates" }
            table {
                thead { tr { th { "Update" } th { "Title" } th.n { "closes" } (heads()) th.n { "all" } } }
                tbody {
                    @for (kb, update) in &self.updates {
                        tr {
                            td { (kb) }
                            td { (clean(&update.title)) }
                            td.n { (update.closes) }
                            (cells(&update.devices))
                        }
                    }
                }
            }
        }
    }

    fn device_rows(&self) -> Markup {
        html! {
            h2 { "Devices to look after" }
            @if self.look_after.is_empty() {
                p { "None." }
            } @else {
                table {
                    thead { tr { th { "Device" } th { "Plan" } th { "What became of it" } th { "Why" } } }
                    tbody {
                        @for line in &self.look_after {
                            tr {
                                td { (line.device) }
                                td { code { (line.plan) } }
                                td { (words(line.fate.as_str())) }
                                td { (clean(&line.detail)) }
                            }
                        }
                    }
                }
                @if self.look_after.len() == MOST_NAMED {
                    p { "The first " (MOST_NAMED) "; the CSV file has all." }
                }
            }
        }
    }

    fn not_in_plans(&self) -> Markup {
        html! {
            h2 { "Not in plans" }
            p { "Devices whose patch list was never read: " (self.unread) "." }
            p {
                "Updates of which no vulnerability is known:"
                @if self.without_facts.is_empty() { " none" }
                @for kb in &self.without_facts { " " (kb) }
                "."
            }
            @if !self.left_out.is_empty() {
                table {
                    thead { tr { th { "Left out because" } th.n { "Pairs" } th { "Such as" } } }
                    tbody {
                        @for left in &self.left_out {
                            tr {
                                td { (clean(&left.reason)) }
                                td.n { (left.pairs) }
                                td {
                                    @for (device, kb) in &left.examples { (kb) " on " (device) br; }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn heads() -> Markup {
    html! { @for fate in Fate::ALL { th.n { (words(fate.as_str())) } } }
}

fn cells(fates: &Fates) -> Markup {
    html! {
        @for fate in Fate::ALL { td.n { (fates.of(fate)) } }
        td.n { (fates.total()) }
    }
}

fn state(standing: &Standing) -> Markup {
    html! {
        (words(standing.word()))
        @match standing {
            Standing::Refused { why } => { ": " (clean(why)) }
            Standing::Open { note, .. } if !note.is_empty() => { ": " (clean(note)) }
            Standing::Ended { at, .. } => { ", " (at) }
            _ => {}
        }
    }
}

fn due(plan: &PlanReport) -> Markup {
    html! {
        @if plan.due == Due::None {
            (plan.band.as_str())
        } @else {
            @if let Some(day) = plan.due_day { (day) " " }
            span class=(plan.due.as_str()) { (plan.due.as_str()) }
        }
    }
}

fn approval(plan: &PlanReport) -> Markup {
    let Some(asked) = &plan.approval else {
        return html! { "not asked" };
    };
    html! {
        @if asked.is_open { "asked until " (asked.deadline) }
        @else if asked.approved_by.is_empty() { "nobody approved" }
        @else {
            "by "
            @for (at, person) in asked.approved_by.iter().enumerate() {
                @if at > 0 { ", " }
                (person)
            }
        }
    }
}

fn lines(reasons: &[String]) -> String {
    clean(&reasons.join("; "))
}

fn words(word: &str) -> String {
    word.replace('_', " ")
}

/// Control characters have no place in a page, and those that turn the direction of writing make a
/// text look like another.
pub(super) fn clean(text: &str) -> String {
    let odd =
        |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.replace(odd, "\u{fffd}")
}

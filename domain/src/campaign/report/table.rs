//! The table of devices: CSV for spreadsheets, which take some texts for formulas.

use std::{borrow::Cow, io};

use csv::Writer;

use super::{DeviceLine, PlanReport, Standing};

const COLUMNS: [&str; 14] = [
    "plan",
    "device",
    "fate",
    "outcome",
    "detail",
    "updates",
    "ring",
    "attempt",
    "at",
    "deadline",
    "due_day",
    "due",
    "plan_state",
    "plan_note",
];

/// A table of plans and devices, a line each.
#[derive(Debug)]
pub struct DeviceTable(Writer<Vec<u8>>);

impl DeviceTable {
    /// Begins with the names of the columns.
    ///
    /// # Errors
    /// Never: it is written into memory.
    pub fn new() -> csv::Result<Self> {
        let mut writer = Writer::from_writer(Vec::new());
        writer.write_record(COLUMNS)?;
        Ok(Self(writer))
    }

    /// Adds a device of a plan.
    ///
    /// # Errors
    /// Never: every line has all columns.
    pub fn add(&mut self, plan: &PlanReport, line: &DeviceLine) -> csv::Result<()> {
        let updates = line
            .updates
            .iter()
            .map(|(kb, fate)| format!("{kb}:{}", fate.as_str()));
        let text = |value: Option<String>| value.unwrap_or_default();
        let cells: [String; COLUMNS.len()] = [
            line.plan.to_string(),
            line.device.to_string(),
            line.fate.as_str().to_owned(),
            text(line.outcome.map(|outcome| outcome.as_str().to_owned())),
            line.detail.clone(),
            updates.collect::<Vec<_>>().join(" "),
            text(line.ring.map(|ring| ring.to_string())),
            text(line.attempt.map(|attempt| attempt.to_string())),
            text(line.at.map(|at| at.to_string())),
            plan.band.as_str().to_owned(),
            text(plan.due_day.map(|day| day.to_string())),
            plan.due.as_str().to_owned(),
            plan.standing.word().to_owned(),
            note(&plan.standing).to_owned(),
        ];
        self.0
            .write_record(cells.iter().map(|cell| inert(cell).into_owned()))
    }

    /// Returns the bytes.
    ///
    /// # Errors
    /// Never: it is written into memory.
    pub fn finish(self) -> io::Result<Vec<u8>> {
        self.0.into_inner().map_err(csv::IntoInnerError::into_error)
    }
}

fn note(standing: &Standing) -> &str {
    match standing {
        Standing::Refused { why } => why,
        Standing::Open { note, .. } => note,
        Standing::Waiting | Standing::Unknown | Standing::Ended { .. } => "",
    }
}

/// Lets a spreadsheet show a cell and not compute it: some skip white space before they look, and
/// take the wide forms for the narrow ones.
pub(super) fn inert(cell: &str) -> Cow<'_, str> {
    let first = cell
        .trim_start_matches(|c: char| c.is_whitespace() || c.is_control() || c == '\u{feff}')
        .chars()
        .next();
    let odd = cell.starts_with(['\t', '\r', '\n']);
    let formula = matches!(
        first,
        Some('=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠' | '−')
    );
    if odd || formula {
        Cow::Owned(format!("'{cell}"))
    } else {
        Cow::Borrowed(cell)
    }
}

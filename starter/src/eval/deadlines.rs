//! `autoops eval deadlines`: a line of JSON in, a line of JSON out, one record in memory at a time.
//!
//! A record with a field that cannot be read is answered without that field, and told on standard
//! error. A line without an id that can be read gets no answer: nobody could say what it is about.

use std::{
    fmt::Display,
    io::{BufRead, Write},
    path::PathBuf,
};

use anyhow::Context;
use clap::Args;
use domain::{ids::CveId, vulnerability::kev::Kev};
use serde_json::{Map, Value};

use super::{
    lines::{self, LINE_BYTES},
    record::{self, Record},
};

/// How many flaws are told one by one; the rest is counted.
const TOLD: u64 = 100;

/// Where the catalogue is.
#[derive(Debug, Args)]
pub struct DeadlinesArgs {
    /// KEV catalogue of CISA as JSON, as it was known before the first record
    #[arg(long, value_name = "FILE")]
    pub kev: PathBuf,
    /// Add reasons, features and the parts of the score to each answer
    #[arg(long)]
    pub explain: bool,
}

/// Answers all lines.
///
/// # Errors
/// When the catalogue cannot be read, or input or output breaks.
pub(super) fn run(
    args: &DeadlinesArgs,
    input: &mut impl BufRead,
    output: &mut impl Write,
) -> anyhow::Result<()> {
    let file = args.kev.display();
    let json = std::fs::read(&args.kev).with_context(|| format!("{file} cannot be read"))?;
    let kev = Kev::read(&json).with_context(|| format!("{file} is of no use"))?;
    let mut flaws = Flaws::new(std::io::stderr());
    for problem in kev.problems() {
        flaws.tell(format_args!("{file}: {problem}"))?;
    }
    answer_all(input, output, &kev, args.explain, &mut flaws)?;
    Ok(flaws.sum_up()?)
}

fn answer_all(
    input: &mut impl BufRead,
    output: &mut impl Write,
    kev: &Kev,
    explain: bool,
    flaws: &mut Flaws<impl Write>,
) -> anyhow::Result<()> {
    let mut line = Vec::new();
    for number in 1_u64.. {
        if !lines::whole(input, &mut line)? {
            break;
        }
        if lines::is_cut(&line) {
            flaws.tell(format_args!(
                "line {number}: longer than {LINE_BYTES} bytes; no answer"
            ))?;
            continue;
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let mended;
        // One check of the whole line is faster than one for each text in it.
        let read = match std::str::from_utf8(&line) {
            Ok(text) => serde_json::from_str(text),
            Err(_) => serde_json::from_slice(&line),
        };
        let record: Record<'_> = match read {
            Ok(record) => record,
            Err(why) => {
                let Some(text) = mend(&line, number, &why, flaws)? else {
                    continue;
                };
                mended = text;
                serde_json::from_str(&mended)?
            }
        };
        if record.id.parse::<CveId>().is_err() {
            flaws.tell(format_args!(
                "line {number}, id: not a CVE id such as CVE-2024-20666"
            ))?;
        }
        let (answer, flaw) = record::answer(record, kev, explain);
        if let Some(flaw) = flaw {
            flaws.tell(format_args!(
                "{}, {}: {}; used without it",
                answer.id, flaw.field, flaw.why
            ))?;
        }
        serde_json::to_writer(&mut *output, &answer)?;
        output.write_all(b"\n")?;
    }
    Ok(())
}

/// Takes fields of a wrong type out of a record; `None` when there is no record.
fn mend(
    line: &[u8],
    number: u64,
    why: &serde_json::Error,
    flaws: &mut Flaws<impl Write>,
) -> anyhow::Result<Option<String>> {
    let Ok(Value::Object(fields)) = serde_json::from_slice::<Value>(line) else {
        flaws.tell(format_args!(
            "line {number}: no JSON object ({why}); no answer"
        ))?;
        return Ok(None);
    };
    let Some(id) = fields.get("id").and_then(Value::as_str).map(str::to_owned) else {
        flaws.tell(format_args!(
            "line {number}, id: missing or no text; no answer"
        ))?;
        return Ok(None);
    };
    let mut kept = Map::new();
    kept.insert("id".to_owned(), Value::String(id.clone()));
    for (name, value) in fields {
        let tried = kept.insert(name.clone(), value);
        let text = Value::Object(kept.clone()).to_string();
        if name != "id" && serde_json::from_str::<Record<'_>>(&text).is_err() {
            flaws.tell(format_args!(
                "{id}, {name}: of another type than expected; used without it"
            ))?;
            kept.remove(&name);
        }
        drop(tried);
    }
    Ok(Some(Value::Object(kept).to_string()))
}

/// Tells the first flaws and counts all.
struct Flaws<W> {
    to: W,
    count: u64,
}

impl<W: Write> Flaws<W> {
    fn new(to: W) -> Self {
        Self { to, count: 0 }
    }

    fn tell(&mut self, flaw: impl Display) -> std::io::Result<()> {
        self.count += 1;
        match self.count {
            ..=TOLD => writeln!(self.to, "{flaw}"),
            _ => Ok(()),
        }
    }

    fn sum_up(&mut self) -> std::io::Result<()> {
        match self.count {
            0 => Ok(()),
            count => writeln!(self.to, "{count} flaws in all; the first {TOLD} are told"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(input: &str) -> (Vec<Value>, String, u64) {
        let kev = Kev::read(
            br#"{"vulnerabilities":[{"cveID":"CVE-2024-0001","dateAdded":"2024-01-31"}]}"#,
        )
        .unwrap();
        let (mut out, mut flaws) = (Vec::new(), Flaws::new(Vec::new()));
        answer_all(&mut input.as_bytes(), &mut out, &kev, false, &mut flaws).unwrap();
        let lines = String::from_utf8(out).unwrap();
        let answers = lines
            .lines()
            .map(|line| serde_json::from_str(line).unwrap());
        (
            answers.collect(),
            String::from_utf8(flaws.to).unwrap(),
            flaws.count,
        )
    }

    #[test]
    fn a_record_gets_both_deadlines_in_the_words_of_the_table() {
        let (found, told, _) = answers(
            r#"{"id":"CVE-2024-0002","cna_vector":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}
{"id":"CVE-2024-0001","description":"unauthenticated attackers can execute arbitrary code"}"#,
        );
        assert_eq!(told, "");
        assert_eq!(found[0]["automatable"], true);
        assert_eq!(found[0]["technical_impact"], "total");
        assert_eq!(found[0]["deadline"]["exposed"], "3 days");
        assert_eq!(found[0]["deadline"]["internal"], "60 days");
        assert_eq!(
            found[1]["deadline"]["exposed"],
            "3 days & forensic investigation"
        );
        assert_eq!(found[1]["exploit_score"], 1.0);
    }

    #[test]
    fn what_is_wrong_in_a_record_is_named_and_the_rest_is_used() {
        let (found, told, count) = answers(
            r#"{"id":"CVE-2024-0003","cna_vector":"AV:N/AC:L/Au:N/C:P/I:P/A:P"}
not json
[]
{"description":"x"}

{"id":"CVE-2024-0004","cwes":7,"cna_vector":9.8,"affected":[[null,"x"],[]],"description":"unauthenticated SQL injection"}"#,
        );
        assert_eq!(found.len(), 2);
        assert_eq!(found[1]["automatable"], true);
        assert_eq!(count, 6, "{told}");
        for part in [
            "CVE-2024-0003, cna_vector: ",
            "line 2: no JSON object",
            "line 3: no JSON object",
            "line 4, id: missing",
            "CVE-2024-0004, cna_vector: of another type",
            "CVE-2024-0004, cwes: of another type",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }

    #[test]
    fn a_line_without_end_does_not_fill_the_memory() {
        let long = format!(
            "{}\n{{\"id\":\"CVE-2024-0005\"}}",
            "x".repeat(3 * LINE_BYTES)
        );
        let (found, told, _) = answers(&long);
        assert_eq!(found.len(), 1);
        assert!(told.starts_with("line 1: longer than"), "{told}");
    }
}

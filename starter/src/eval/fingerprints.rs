//! `eval fingerprints`: which messages have the same template.

use std::io::{BufRead, Write};

use domain::fingerprint::{Handle, Miner};

use super::{lines, spool::Queue};

/// Reads messages, prints fingerprints. They are printed in the end, because templates merge.
pub(super) fn run(input: &mut impl BufRead, output: &mut impl Write) -> anyhow::Result<()> {
    let (mut miner, mut queue) = (Miner::new(), Queue::new()?);
    let mut line = Vec::new();
    while lines::next(input, &mut line)? {
        queue.push(miner.observe(&line).number())?;
    }
    let mut known = Vec::new();
    queue.drain(|number| {
        let at = number as usize;
        if at >= known.len() {
            known.resize(at + 1, None);
        }
        let fingerprint = known[at].get_or_insert_with(|| {
            let fingerprint = miner.fingerprint(Handle::from_number(number));
            fingerprint.map(|f| f.to_string()).unwrap_or_default()
        });
        writeln!(output, "{fingerprint}")
    })?;
    let counts = miner.counts();
    lines::tell(
        counts.cut,
        "messages were read only as far as their first 4096 bytes",
    );
    lines::tell(
        counts.not_utf8,
        "messages are not UTF-8; what is not was replaced",
    );
    lines::tell(
        counts.coarse,
        "messages of new kinds share coarse fingerprints, because there are too many kinds",
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(input: &[u8]) -> Vec<String> {
        let (mut input, mut output) = (input, Vec::new());
        run(&mut input, &mut output).unwrap();
        String::from_utf8(output)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn each_line_has_one_fingerprint_in_order() {
        let ids = printed(b"disk 1 is full\nlink down\ndisk 22 is full\n\n\xff\xfe\n");
        assert_eq!(ids.len(), 5);
        assert!(ids.iter().all(|id| id.len() == 16));
        assert_eq!(ids[0], ids[2]);
        assert_ne!(ids[0], ids[1]);
    }

    #[test]
    fn early_lines_have_the_fingerprint_of_the_template_found_later() {
        let lines: String = ('a'..='j')
            .map(|c| format!("service {c}{c} stopped unexpectedly today\n"))
            .collect();
        let ids = printed(lines.as_bytes());
        assert!(ids.iter().all(|id| *id == ids[0]));
    }
}

//! Lines of any bytes and any length, in bounded memory.

use std::io::{self, BufRead, Read};

/// Bytes of a line that are kept.
pub(super) const LINE_BYTES: usize = 1 << 20;

/// Reads the next line with its line feed into `line`, at most [`LINE_BYTES`] of it; what is longer
/// has no line feed, and its rest is passed over. Returns false at the end of the input.
pub(super) fn whole(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let mut part = input.by_ref().take(LINE_BYTES as u64);
    if part.read_until(b'\n', line)? == 0 {
        return Ok(false);
    }
    if is_cut(line) {
        input.skip_until(b'\n')?;
    }
    Ok(true)
}

/// Tells whether a line that [`whole`] has read was longer than that.
pub(super) fn is_cut(line: &[u8]) -> bool {
    line.len() == LINE_BYTES && !line.ends_with(b"\n")
}

/// As [`whole`], without the end of the line.
pub(super) fn next(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    let any = whole(input, line)?;
    if line.pop_if(|byte| *byte == b'\n').is_some() {
        line.pop_if(|byte| *byte == b'\r');
    }
    Ok(any)
}

/// Tells on standard error how many there were of something, if any.
pub(super) fn tell(count: u64, what: &str) {
    if count > 0 {
        eprintln!("{count} {what}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut input: &[u8]) -> Vec<Vec<u8>> {
        let (mut line, mut lines) = (Vec::new(), Vec::new());
        while next(&mut input, &mut line).unwrap() {
            lines.push(line.clone());
        }
        lines
    }

    #[test]
    fn lines_end_with_or_without_a_return_and_the_last_may_have_no_end() {
        assert_eq!(
            all(b"a\r\n\nb"),
            [b"a".to_vec(), b"".to_vec(), b"b".to_vec()]
        );
        assert_eq!(all(b"a\n"), [b"a".to_vec()]);
        assert!(all(b"").is_empty());
    }

    #[test]
    fn a_line_is_kept_up_to_the_limit_and_the_next_one_is_whole() {
        let long = [vec![b'x'; 3 * LINE_BYTES], b"\nnext\n".to_vec()].concat();
        let lines = all(&long);
        assert_eq!(
            (lines[0].len(), lines[1].as_slice()),
            (LINE_BYTES, b"next".as_slice())
        );
    }
}

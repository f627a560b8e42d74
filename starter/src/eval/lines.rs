//! Lines of any bytes and any length, in bounded memory.

use std::io::{self, BufRead};

/// Bytes of a line that are kept.
pub(super) const LINE_BYTES: usize = 1 << 20;

/// Reads the next line without its end into `line`, at most [`LINE_BYTES`] of it. Returns false at
/// the end of the input.
pub(super) fn next(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let mut any = false;
    loop {
        let buffer = match input.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        if buffer.is_empty() {
            return Ok(any);
        }
        any = true;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let part = &buffer[..end.unwrap_or(buffer.len())];
        let room = LINE_BYTES - line.len();
        line.extend_from_slice(&part[..part.len().min(room)]);
        let used = end.map_or(buffer.len(), |end| end + 1);
        input.consume(used);
        if end.is_some() {
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            return Ok(true);
        }
    }
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

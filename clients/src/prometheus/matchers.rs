//! Label matchers of one machine of one client. Names come from outside: nothing in them may end the
//! text or mean something in a pattern.

use std::fmt::Write as _;

/// Writes the matchers; none for a name that would match everything.
pub(super) fn of(
    machine_label: &str,
    machine: &str,
    labels: &[(String, String)],
) -> Option<String> {
    let machine = machine.trim();
    if machine.is_empty() {
        return None;
    }
    // Case differs between systems, and exporters add a domain or a port.
    let pattern = format!("(?i:{})([.:].*)?", literal(machine));
    let mut text = format!("{machine_label}=~{}", quoted(&pattern));
    for (label, value) in labels {
        let _ = write!(text, ",{label}={}", quoted(value));
    }
    Some(text)
}

/// Text that a pattern (RE2) matches as it is.
fn literal(text: &str) -> String {
    let mut pattern = String::new();
    for c in text.chars() {
        if c.is_ascii() && !c.is_ascii_alphanumeric() && c != '_' && !c.is_ascii_control() {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

/// A string of `PromQL`, in double quotes; escapes are those of Go.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_machine_of_one_client_is_matched() {
        let labels = [("tenant".to_owned(), "acme".to_owned())];
        assert_eq!(
            of("instance", "SRV-01", &labels).unwrap(),
            r#"instance=~"(?i:SRV\\-01)([.:].*)?",tenant="acme""#
        );
    }

    #[test]
    fn a_hostile_name_stays_a_name() {
        let labels = [("tenant".to_owned(), "a\"} or up{b=\"".to_owned())];
        assert_eq!(
            of("instance", "x\"} or vector(1) # .*\\", &labels).unwrap(),
            r#"instance=~"(?i:x\\\"\\}\\ or\\ vector\\(1\\)\\ \\#\\ \\.\\*\\\\)([.:].*)?",tenant="a\"} or up{b=\"""#
        );
        assert_eq!(quoted("a\nb"), r#""a\u000ab""#);
    }

    #[test]
    fn no_name_matches_nothing() {
        assert_eq!(of("instance", "  ", &[]), None);
    }
}

//! Values that contain the signs at which words end: GUIDs, addresses with a scheme, times, addresses
//! of IPv6 and hardware. Each function returns how many bytes the value takes at the start of a text.

use super::parameter::Parameter;

/// Returns the value that starts here, if one of several parts does.
pub(super) fn value_at(text: &[u8]) -> Option<(usize, Parameter)> {
    let first = *text.first()?;
    if first.is_ascii_hexdigit() || text.starts_with(b"::") {
        if let Some(length) = guid(text) {
            return Some((length, Parameter::Guid));
        }
        if let Some(found) = colons(text) {
            return Some(found);
        }
    }
    None
}

fn guid(text: &[u8]) -> Option<usize> {
    const GROUPS: [usize; 5] = [8, 4, 4, 4, 12];
    // A look at the first hyphen refuses nearly every other word.
    if text.len() < 36 || text[8] != b'-' {
        return None;
    }
    let mut at = 0;
    for (index, length) in GROUPS.into_iter().enumerate() {
        if index > 0 {
            if text[at] != b'-' {
                return None;
            }
            at += 1;
        }
        if !text[at..at + length].iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        at += length;
    }
    ends(text, at).then_some(at)
}

/// Reads groups of hexadecimal digits between colons.
fn colons(text: &[u8]) -> Option<(usize, Parameter)> {
    let (mut at, mut groups, mut digits, mut pairs, mut empty) = (0, 0_usize, false, true, false);
    loop {
        let start = at;
        while at < text.len() && at - start < 5 && text[at].is_ascii_hexdigit() {
            digits |= text[at].is_ascii_digit();
            at += 1;
        }
        let length = at - start;
        if length > 4 {
            return None;
        }
        pairs &= length == 2;
        empty |= length == 0;
        groups += usize::from(length > 0);
        let goes_on = text.get(at) == Some(&b':')
            && (text.get(at + 1).is_some_and(u8::is_ascii_hexdigit)
                || text.get(at + 1) == Some(&b':') && length > 0);
        if !goes_on {
            break;
        }
        at += 1;
    }
    // IPv4 in the last group of IPv6, fractions of a second: part of the word that follows.
    if groups < 3 && !(empty && groups >= 1 && at > 3) || !ends(text, at) {
        return None;
    }
    if !digits && groups < 4 {
        return None;
    }
    let kind = match groups {
        3 if pairs => Parameter::Time,
        6 if pairs => Parameter::Mac,
        _ if pairs => Parameter::Hex,
        3.. | 1 | 2 if empty => Parameter::Ip,
        8 => Parameter::Ip,
        _ => Parameter::Hex,
    };
    Some((at, kind))
}

/// Tells whether a value may end here.
fn ends(text: &[u8], at: usize) -> bool {
    match text.get(at) {
        None => true,
        Some(b'.') => !text.get(at + 1).is_some_and(u8::is_ascii_digit),
        Some(c) => !c.is_ascii_alphanumeric() && *c != b'_',
    }
}

/// Returns how long an address with a scheme is whose `://` starts here.
pub(super) fn rest_of_url(text: &[u8]) -> Option<usize> {
    let rest = text.strip_prefix(b"://")?;
    let end = rest
        .iter()
        .position(|c| c.is_ascii_whitespace() || c.is_ascii_control() || b"\"'<>)]},;".contains(c));
    let length = end.unwrap_or(rest.len());
    (length > 0).then_some(length + 3)
}

//! Which words are values by their form or by the word before them. Lists hold words of English and
//! of computing in general, never names of one source.

use super::parameter::Parameter;

/// The word after one of these is a name.
const NAMED: [&str; 5] = ["user", "username", "account", "host", "hostname"];

/// ... unless it is one of these.
const NOT_A_NAME: [&str; 54] = [
    "unknown",
    "not",
    "is",
    "was",
    "are",
    "has",
    "have",
    "had",
    "does",
    "did",
    "no",
    "and",
    "or",
    "the",
    "a",
    "an",
    "of",
    "in",
    "on",
    "at",
    "for",
    "from",
    "to",
    "by",
    "with",
    "without",
    "name",
    "names",
    "id",
    "request",
    "requested",
    "login",
    "logged",
    "failed",
    "failure",
    "already",
    "cannot",
    "could",
    "will",
    "must",
    "key",
    "agent",
    "mode",
    "space",
    "data",
    "interface",
    "input",
    "group",
    "session",
    "process",
    "profile",
    "attempt",
    "error",
    "errors",
];

/// A name ends where one of these, a sign, a value or the end follows.
const AFTER_A_NAME: [&str; 24] = [
    "by", "from", "to", "at", "on", "in", "for", "with", "via", "is", "was", "has", "not", "and",
    "does", "did", "failed", "logged", "cannot", "could", "will", "as", "using", "because",
];

/// A place after one of these is more likely a parameter than others.
const BEFORE_A_VALUE: [&str; 9] = [
    "for", "from", "to", "by", "via", "user", "host", "named", "called",
];

const SIZES: [&str; 14] = [
    "B", "byte", "bytes", "KB", "MB", "GB", "TB", "K", "M", "G", "T", "KiB", "MiB", "GiB",
];

const DURATIONS: [&str; 22] = [
    "ns",
    "us",
    "ms",
    "s",
    "sec",
    "secs",
    "second",
    "seconds",
    "min",
    "mins",
    "minute",
    "minutes",
    "h",
    "hr",
    "hrs",
    "hour",
    "hours",
    "day",
    "days",
    "msec",
    "millis",
    "milliseconds",
];

const FREQUENCIES: [&str; 4] = ["Hz", "kHz", "MHz", "GHz"];

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

const ZONES: [&str; 12] = [
    "UTC", "GMT", "PDT", "PST", "EDT", "EST", "CDT", "CST", "MDT", "MST", "CET", "CEST",
];

/// Ends of host names with one dot; file names and calls of methods have one dot as well.
const DOMAINS: [&str; 20] = [
    "com", "net", "org", "edu", "gov", "mil", "int", "io", "de", "at", "ch", "fr", "uk", "cn",
    "jp", "us", "eu", "local", "lan", "internal",
];

fn is_one_of(list: &[&str], word: &str) -> bool {
    list.contains(&word)
}

fn is_one_of_any_case(list: &[&str], word: &str) -> bool {
    list.iter().any(|known| known.eq_ignore_ascii_case(word))
}

/// Tells whether the word after this one may be a name.
pub(super) fn announces_a_name(word: &str) -> bool {
    matches!(word.len(), 4..=8) && is_one_of_any_case(&NAMED, word)
}

/// Tells whether a word can be the name of a user or host.
pub(super) fn can_be_a_name(word: &str) -> bool {
    let word = word.trim_end_matches(['.', '!', '?']);
    let is_plain = |c: u8| c.is_ascii_alphanumeric() || b"_-.$".contains(&c) || c >= 0x80;
    word.bytes().all(is_plain) && !is_one_of_any_case(&NOT_A_NAME, word)
}

/// Tells whether a sentence goes on so after a name.
pub(super) fn follows_a_name(word: &str) -> bool {
    is_one_of(&AFTER_A_NAME, word) || word.bytes().any(|c| c.is_ascii_digit())
}

/// Tells whether a place after this word is more likely a parameter.
pub(super) fn announces_a_value(word: &str) -> bool {
    matches!(word.len(), 2..=6) && is_one_of_any_case(&BEFORE_A_VALUE, word)
}

/// Returns what a number and this unit are together.
pub(super) fn unit(word: &str) -> Option<Parameter> {
    match word.len() {
        1..=7 if is_one_of(&SIZES, word) => Some(Parameter::Size),
        1..=12 if is_one_of_any_case(&DURATIONS, word) => Some(Parameter::Duration),
        2..=3 if is_one_of(&FREQUENCIES, word) => Some(Parameter::Number),
        _ => None,
    }
}

pub(super) fn is_month(word: &str) -> bool {
    word.len() == 3 && is_one_of(&MONTHS, word)
}

pub(super) fn is_day(word: &str) -> bool {
    word.len() == 3 && is_one_of(&DAYS, word)
}

pub(super) fn is_zone(word: &str) -> bool {
    matches!(word.len(), 3 | 4) && is_one_of(&ZONES, word)
}

/// Tells whether a word says yes or no: written out by a program, it tells two states apart.
pub(super) fn is_truth(word: &str) -> bool {
    word.eq_ignore_ascii_case("true") || word.eq_ignore_ascii_case("false")
}

/// Tells whether a word looks made for machines: joined words, inner capitals.
pub(super) fn is_identifier(word: &str) -> bool {
    let joined = |c: u8| b"_./\\$@-*~#".contains(&c);
    let camel = |pair: &[u8]| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase();
    word.bytes().any(joined) || word.as_bytes().windows(2).any(camel)
}

/// What the bytes of a word are, counted in one pass.
#[derive(Debug, Clone, Copy, Default)]
struct Census {
    digits: usize,
    hex: usize,
    dots: usize,
    slashes: usize,
    backslashes: usize,
    ats: usize,
    others: usize,
}

impl Census {
    fn of(word: &str) -> Self {
        let mut sum = Self::default();
        for c in word.bytes() {
            sum.digits += usize::from(c.is_ascii_digit());
            sum.hex += usize::from(c.is_ascii_hexdigit());
            match c {
                b'.' => sum.dots += 1,
                b'/' => sum.slashes += 1,
                b'\\' => sum.backslashes += 1,
                b'@' => sum.ats += 1,
                b'_' | b'-' | b'$' => {}
                _ if c.is_ascii_alphanumeric() || c >= 0x80 => {}
                _ => sum.others += 1,
            }
        }
        sum
    }
}

/// Returns what a word is by its form, if it is a value.
pub(super) fn value_of(word: &str) -> Option<Parameter> {
    let bare = word.trim_end_matches(['.', '!', '?']);
    let sum = Census::of(bare);
    if bare.len() >= 2 && (bare.starts_with('/') || bare.starts_with("./"))
        || bare.starts_with("../")
        || bare.starts_with("~/")
        || sum.slashes >= 2 && bare.len() > 3
        || sum.backslashes > 0 && bare.len() > 2
    {
        return Some(Parameter::Path);
    }
    if sum.digits > 0 {
        return Some(with_digits(bare, sum));
    }
    let inner = !bare.starts_with('.') || sum.slashes > 0;
    if bare.len() > 4 && sum.others + sum.ats == 0 && inner {
        if sum.dots >= 2 || sum.dots == 1 && sum.slashes == 1 {
            return Some(Parameter::Host);
        }
        if sum.dots == 1
            && let Some((name, end)) = bare.split_once('.')
            && !name.is_empty()
            && is_one_of(&DOMAINS, end)
        {
            return Some(Parameter::Host);
        }
        if bare.len() >= 8 && sum.hex == bare.len() {
            return Some(Parameter::Hex);
        }
    }
    let has_two_sides = sum.ats == 1 && !bare.starts_with('@') && !bare.ends_with('@');
    (has_two_sides && bare.len() > 3).then_some(Parameter::Name)
}

/// Returns what a word with digits in it is.
fn with_digits(word: &str, sum: Census) -> Parameter {
    let unsigned = word.trim_start_matches(['-', '+']);
    if unsigned.starts_with("0x") || unsigned.starts_with("0X") {
        return Parameter::Hex;
    }
    if sum.digits + sum.dots == unsigned.len() {
        return if sum.dots == 3 {
            Parameter::Ip
        } else {
            Parameter::Number
        };
    }
    if let Some(number) = unsigned.strip_suffix('%')
        && number.bytes().all(|c| c.is_ascii_digit() || c == b'.')
    {
        return Parameter::Percent;
    }
    let number = unsigned.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    if !number.is_empty() && number.bytes().all(|c| c.is_ascii_digit() || c == b'.') {
        return unit(&unsigned[number.len()..]).unwrap_or(Parameter::Id);
    }
    if is_date(unsigned) {
        return Parameter::Time;
    }
    if unsigned.len() >= 8 && sum.hex == unsigned.len() {
        return Parameter::Hex;
    }
    if sum.dots >= 2 && sum.others == 0 {
        return Parameter::Host;
    }
    Parameter::Id
}

/// Tells whether a word is a date such as `2026-12-01`, `17/06/09` or `2026-12-01T04`.
fn is_date(word: &str) -> bool {
    let day = word.split(['T', ' ']).next().unwrap_or(word);
    let mut parts = 0;
    for part in day.split(['-', '/', '.']) {
        if !matches!(part.len(), 1..=4) || !part.bytes().all(|c| c.is_ascii_digit()) {
            return false;
        }
        parts += 1;
    }
    parts == 3
}

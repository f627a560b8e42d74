//! What the version text of a program says, as far as it can be compared with NVD's.

use std::str::FromStr;

use crate::vulnerability::{
    cpe::{Attribute, Criteria, Match},
    version::Version,
};

/// From this number on the last part of a version is taken for a build number ([`Rule::Build`]).
const BUILD: u64 = 1000;
/// Words that may stand before a version.
const BEFORE: [&str; 5] = ["v", "version", "release", "ver", "ad"];
/// Parts of a version that NVD's bounds usually have; what follows is a build.
const USUAL_PARTS: usize = 3;

/// How the version of a program is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Rule {
    /// As it is.
    Plain,
    /// Only so many parts: the rest is a build, which NVD's versions do not have.
    Cut(usize),
    /// The part of this place, from 1, is a build number when it is 1000 or more: what NVD counts in its
    /// place is not known.
    Build(usize),
    /// From the name of the program.
    Name,
    /// It cannot be compared.
    Opaque,
}

impl FromStr for Rule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |digits: &str| {
            let number = digits.parse().ok().filter(|n| (1..=9).contains(n));
            number.ok_or_else(|| format!("`{text}`: a number from 1 to 9 has to follow the colon"))
        };
        match text.split_once(':') {
            None if text == "plain" => Ok(Self::Plain),
            None if text == "name" => Ok(Self::Name),
            None if text == "opaque" => Ok(Self::Opaque),
            Some(("cut", digits)) => number(digits).map(Self::Cut),
            Some(("build", digits)) => number(digits).map(Self::Build),
            _ => Err(format!(
                "`{text}`: allowed are plain, cut:N, build:N, name and opaque"
            )),
        }
    }
}

/// A version that was read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reading {
    /// This one.
    Exact(String),
    /// One that begins so.
    Begins(String),
    /// It is not known, or cannot be compared.
    Unknown,
}

impl Reading {
    /// Reads the version of a program.
    #[must_use]
    pub fn of(name: &str, version: Option<&str>, rule: Rule) -> Self {
        let found = match rule {
            Rule::Opaque => None,
            Rule::Name => from_name(name),
            _ => version.and_then(plain),
        };
        let Some(found) = found else {
            return Self::Unknown;
        };
        match rule {
            Rule::Cut(parts) => Self::Exact(first_parts(&found, parts)),
            Rule::Build(place) if is_build(&found, place) => match place {
                1 => Self::Unknown,
                _ => Self::Begins(first_parts(&found, place - 1)),
            },
            _ => Self::Exact(found),
        }
    }

    /// Returns the version as the attribute of a product name.
    #[must_use]
    pub fn attribute(&self) -> Attribute {
        match self {
            Self::Exact(text) | Self::Begins(text) => Attribute::Value(text.clone()),
            Self::Unknown => Attribute::Any,
        }
    }

    /// Corrects what a comparison of the text came to by what the text leaves open.
    #[must_use]
    pub fn corrected(&self, criteria: &Criteria, plain: Match) -> Match {
        let mut bounds = criteria.bounds();
        let open = match self {
            Self::Unknown => false,
            // Between the first and the last version that begins so lies a bound.
            Self::Begins(text) => bounds.any(|bound| begins(bound, text)),
            // The bound may have meant the version whatever build it is.
            Self::Exact(text) => {
                plain == Match::No && criteria.last().is_some_and(|last| is_build_of(text, last))
            }
        };
        if open { Match::Unknown } else { plain }
    }
}

/// The version in a text such as `24.08 (x64)`: the first word that can be ordered, after words that may
/// stand before one.
fn plain(text: &str) -> Option<String> {
    let text = text.trim();
    let words = text.split(|c: char| c.is_whitespace() || c == '(' || c == ',');
    for word in words.filter(|word| !word.is_empty()) {
        let word = word.trim_end_matches(')');
        if Version::read(word).is_some() {
            return Some(word.trim_start_matches(['v', 'V']).to_owned());
        }
        if !BEFORE.contains(&word.to_ascii_lowercase().as_str()) {
            return None;
        }
    }
    None
}

/// The first word of a name that is a version of two parts at least, without what follows a dash.
fn from_name(name: &str) -> Option<String> {
    let words = name.split(|c: char| c.is_whitespace() || "(),".contains(c));
    let words = words.map(|word| word.split('-').next().unwrap_or_default());
    let mut versions = words.filter(|word| {
        let digits = word.starts_with(|c: char| c.is_ascii_digit());
        digits && word.contains('.') && Version::read(word).is_some()
    });
    versions.next().map(str::to_owned)
}

fn parts(version: &str) -> impl Iterator<Item = &str> {
    version.split('.')
}

fn first_parts(version: &str, number: usize) -> String {
    parts(version).take(number).collect::<Vec<_>>().join(".")
}

fn is_build(version: &str, place: usize) -> bool {
    let part = parts(version).nth(place - 1);
    let number = part.and_then(|part| part.parse::<u64>().ok());
    number.is_some_and(|number| number >= BUILD)
}

/// Whether the bound is a version that begins with these parts, or may be one.
fn begins(bound: &str, with: &str) -> bool {
    let number = |text: &str| text.parse::<u64>().ok();
    let mut bound = parts(bound);
    parts(with).all(|part| match (bound.next(), number(part)) {
        (Some(of), Some(number)) => of.parse::<u64>().map_or(true, |of| of == number),
        (Some(of), None) => of.eq_ignore_ascii_case(part),
        (None, number) => number == Some(0),
    })
}

/// Whether a version is the bound with a build number behind it.
fn is_build_of(version: &str, bound: &str) -> bool {
    let usual = parts(bound).count() >= USUAL_PARTS;
    let rest = version.strip_prefix(bound);
    usual && rest.is_some_and(|rest| rest.starts_with(['.', '-', '+']))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exact(text: &str) -> Reading {
        Reading::Exact(text.to_owned())
    }

    #[test]
    fn versions_are_read_as_programs_show_them() {
        for (text, expected) in [
            ("24.08 (x64)", "24.08"),
            ("123.0.6312.86", "123.0.6312.86"),
            ("5.17.5 (29101)", "5.17.5"),
            ("v8.6.4", "8.6.4"),
            ("version 2.55", "2.55"),
            ("ad 8.0.8", "8.0.8"),
            ("0.80.0.0", "0.80.0.0"),
            (" 3.0.20,x64", "3.0.20"),
            ("2.6.8-I001 amd64", "2.6.8-I001"),
        ] {
            assert_eq!(Reading::of("P", Some(text), Rule::Plain), exact(expected));
        }
        for text in ["", "build of tuesday 7", "latest", "x64 24.08", "(n/a)"] {
            let read = Reading::of("P", Some(text), Rule::Plain);
            assert_eq!(read, Reading::Unknown, "{text}");
        }
        assert_eq!(Reading::of("P 7", None, Rule::Plain), Reading::Unknown);
    }

    #[test]
    fn each_rule_reads_as_it_says() {
        let of = |name: &str, version: &str, rule: &str| {
            Reading::of(name, Some(version), rule.parse().unwrap())
        };
        let python = "Python 3.11.4 (64-bit)";
        assert_eq!(of(python, "3.11.4150.0", "name"), exact("3.11.4"));
        let runtime = "Microsoft Windows Desktop Runtime - 6.0.29 (x64)";
        assert_eq!(of(runtime, "48.116.11842", "name"), exact("6.0.29"));
        assert_eq!(
            of("OpenVPN 2.6.8-I001 amd64", "2.6.801", "name"),
            exact("2.6.8")
        );
        assert_eq!(of("Python (64-bit)", "3.1", "name"), Reading::Unknown);
        assert_eq!(of("F", "7.0.7.0345", "cut:3"), exact("7.0.7"));
        assert_eq!(of("Z", "5.17.5", "build:3"), exact("5.17.5"));
        let begins = Reading::Begins("5.17".to_owned());
        assert_eq!(of("Z", "5.17.29101", "build:3"), begins);
        assert_eq!(of("J", "8.0.4010.10", "opaque"), Reading::Unknown);
        for wrong in ["", "cut", "cut:0", "cut:x", "build:12", "guess"] {
            assert!(wrong.parse::<Rule>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_can_be_ordered_stays_as_it_is(version in "[0-9]{1,4}(\\.[0-9]{1,5}){0,3}", after in "( \\(x64\\)| 64-bit|, x86)?") {
            let text = format!("{version}{after}");
            prop_assert_eq!(Reading::of("P", Some(&text), Rule::Plain), Reading::Exact(version));
        }

        #[test]
        fn no_text_makes_it_crash_and_what_is_read_can_be_ordered(
            name in ".{0,60}", version in ".{0,60}",
            rule in proptest::sample::select(vec![Rule::Plain, Rule::Cut(2), Rule::Build(3), Rule::Build(1), Rule::Name]),
        ) {
            match Reading::of(&name, Some(&version), rule) {
                Reading::Exact(text) | Reading::Begins(text) => prop_assert!(Version::read(&text).is_some(), "{}", text),
                Reading::Unknown => {}
            }
        }

        #[test]
        fn a_version_known_in_part_is_never_decided_by_a_bound_within(
            major in 0u64..9, minor in 0u64..30, patch in 0u64..900, build in 1000u64..99999,
        ) {
            let criteria = |bound: &str| Criteria {
                name: "cpe:2.3:a:zoom:zoom:*:*:*:*:*:*:*:*".parse().unwrap(), vulnerable: true,
                start_including: None, start_excluding: None, end_including: None,
                end_excluding: Some(bound.to_owned()),
            };
            let read = Reading::of("Zoom", Some(&format!("{major}.{minor}.{build}")), Rule::Build(3));
            let within = criteria(&format!("{major}.{minor}.{patch}"));
            prop_assert_eq!(read.corrected(&within, Match::No), Match::Unknown);
            let later = criteria(&format!("{major}.{}.{patch}", minor + 1));
            prop_assert_eq!(read.corrected(&later, Match::Yes), Match::Yes);
        }
    }
}

//! Ids that validate themselves. Wrong text is refused with the value and what is allowed.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Says which text was refused as an id, and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is not a {what}: allowed is {allowed}")]
pub struct InvalidId {
    what: &'static str,
    value: String,
    allowed: &'static str,
}

/// Keeps a hostile or broken value from filling an error message.
fn shorten(value: &str) -> String {
    let mut short: String = value.chars().take(80).collect();
    if short.len() < value.len() {
        short.push('…');
    }
    short
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $allowed:literal, $parse:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Returns the id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(value: &str) -> Result<Self, InvalidId> {
                let parse: fn(&str) -> Option<String> = $parse;
                parse(value).map(Self).ok_or_else(|| InvalidId {
                    what: $what,
                    value: shorten(value),
                    allowed: $allowed,
                })
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(value: String) -> Result<Self, InvalidId> {
                value.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

fn slug(value: &str, extra: &[char], max: usize) -> Option<String> {
    let first = value.chars().next()?;
    let ok = value.len() <= max
        && first.is_ascii_alphanumeric()
        && value.chars().all(|c| {
            c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || extra.contains(&c)
        });
    ok.then(|| value.to_owned())
}

fn opaque(value: &str) -> Option<String> {
    let ok = (1..=40).contains(&value.len())
        && value
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    ok.then(|| value.to_owned())
}

id!(
    /// Names one plan; part of its workflow id, so it carries no customer names.
    PlanId, "plan id", "1 to 64 of a-z, 0-9 and -, starting with a letter or digit",
    |v| slug(v, &[], 64)
);
id!(
    /// A company the MSP looks after: the `SuperOps` `accountId`.
    ClientId, "client id", "1 to 40 letters, digits, - or _ (the SuperOps accountId)", opaque
);
impl ClientId {
    /// Stands for the client of what names none that we know.
    #[must_use]
    pub fn unknown() -> Self {
        Self("unknown".to_owned())
    }
}

id!(
    /// A device: the `SuperOps` `assetId`.
    DeviceId, "device id", "1 to 40 letters, digits, - or _ (the SuperOps assetId)", opaque
);
id!(
    /// Names one schedule; part of the ids of the workflows it starts.
    ScheduleName, "schedule name", "1 to 48 characters: lower-case words, digits too, joined by -, starting with a letter",
    |v| {
        let word = |w: &str| !w.is_empty() && w.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        let ok = v.len() <= 48 && v.starts_with(|c: char| c.is_ascii_lowercase()) && v.split('-').all(word);
        ok.then(|| v.to_owned())
    }
);
id!(
    /// A person who requests, approves or watches.
    PersonId, "person", "1 to 64 of a-z, 0-9 and . _ @ -, starting with a letter or digit",
    |v| slug(v, &['.', '_', '@'], 64)
);
id!(
    /// One approval request: `{plan}/{revision}`.
    RequestId, "approval request id", "a plan id, / and a number",
    |v| {
        let (plan, ordinal) = v.rsplit_once('/')?;
        slug(plan, &[], 64)?;
        ordinal.parse::<u32>().ok()?;
        Some(v.to_owned())
    }
);
id!(
    /// One run of a device script; the script on the device is idempotent by it.
    JobId, "job id", "up to 160 of a-z, A-Z, 0-9 and . _ / -",
    |v| {
        let ok = (1..=160).contains(&v.len())
            && v.chars().all(|c| c.is_ascii_alphanumeric() || "._/-".contains(c));
        ok.then(|| v.to_owned())
    }
);
id!(
    /// A vulnerability, as `CVE-2024-20666`.
    CveId, "CVE id", "CVE-, a year and at least four digits, as in CVE-2024-20666",
    |v| {
        let upper = v.to_ascii_uppercase();
        let (year, number) = upper.strip_prefix("CVE-")?.split_once('-')?;
        let digits = |s: &str| s.chars().all(|c| c.is_ascii_digit());
        (year.len() == 4 && (4..=10).contains(&number.len()) && digits(year) && digits(number))
            .then_some(upper.clone())
    }
);

/// A Microsoft knowledge base number: digits on the wire, shown with `KB`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KbId(String);

impl KbId {
    /// Returns the digits, as `SuperOps` writes them.
    #[must_use]
    pub fn digits(&self) -> &str {
        &self.0
    }
}

impl FromStr for KbId {
    type Err = InvalidId;

    fn from_str(value: &str) -> Result<Self, InvalidId> {
        let digits = value
            .strip_prefix("KB")
            .or_else(|| value.strip_prefix("kb"))
            .unwrap_or(value);
        if (6..=8).contains(&digits.len()) && digits.chars().all(|c| c.is_ascii_digit()) {
            Ok(Self(digits.to_owned()))
        } else {
            Err(InvalidId {
                what: "KB number",
                value: shorten(value),
                allowed: "six to eight digits, with or without KB, as in KB5034441",
            })
        }
    }
}

impl TryFrom<String> for KbId {
    type Error = InvalidId;

    fn try_from(value: String) -> Result<Self, InvalidId> {
        value.parse()
    }
}

impl From<KbId> for String {
    fn from(id: KbId) -> String {
        id.to_string()
    }
}

impl fmt::Display for KbId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KB{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kb_number_is_the_same_with_and_without_its_prefix() {
        let short: KbId = "5034441".parse().unwrap();
        assert_eq!(short, "KB5034441".parse().unwrap());
        assert_eq!(short.to_string(), "KB5034441");
        assert_eq!(short.digits(), "5034441");
    }

    #[test]
    fn a_wrong_id_names_the_value_and_what_is_allowed() {
        let error = "KB12".parse::<KbId>().unwrap_err().to_string();
        assert!(
            error.contains("`KB12`") && error.contains("six to eight digits"),
            "{error}"
        );
        let error = "My Plan".parse::<PlanId>().unwrap_err().to_string();
        assert!(
            error.contains("`My Plan`") && error.contains("a-z"),
            "{error}"
        );
    }

    #[test]
    fn a_huge_value_does_not_fill_the_message() {
        let error = "x"
            .repeat(1_000_000)
            .parse::<DeviceId>()
            .unwrap_err()
            .to_string();
        assert!(error.len() < 300);
    }

    #[test]
    fn request_ids_hold_a_plan_and_a_number() {
        assert!("my-plan/2".parse::<RequestId>().is_ok());
        assert!("my-plan".parse::<RequestId>().is_err());
        assert!("my-plan/x".parse::<RequestId>().is_err());
    }
}

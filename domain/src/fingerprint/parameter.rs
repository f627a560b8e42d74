//! What a parameter holds.

use serde::{Deserialize, Serialize};

/// What a parameter of a template holds, as far as its form tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Parameter {
    /// Digits, with sign, point or separators.
    Number,
    /// A number and `%`.
    Percent,
    /// A number and a unit of bytes.
    Size,
    /// A number and a unit of time.
    Duration,
    /// A date, a time of day, or both.
    Time,
    /// An address of IPv4 or IPv6, with or without a port.
    Ip,
    /// A hardware address.
    Mac,
    /// Dotted names: hosts, packages, classes.
    Host,
    /// A path of files, of Windows or Unix.
    Path,
    /// An address with a scheme.
    Url,
    /// A GUID.
    Guid,
    /// Hexadecimal digits.
    Hex,
    /// A word with digits in it, such as a device name or a job id.
    Id,
    /// The name of a user, host or the like, by the word before it.
    Name,
    /// A word of a place where words keep changing.
    Word,
    /// What stands after `=`, and whatever has more than one form.
    Value,
}

impl Parameter {
    /// Every kind.
    pub const ALL: [Self; 16] = [
        Self::Number,
        Self::Percent,
        Self::Size,
        Self::Duration,
        Self::Time,
        Self::Ip,
        Self::Mac,
        Self::Host,
        Self::Path,
        Self::Url,
        Self::Guid,
        Self::Hex,
        Self::Id,
        Self::Name,
        Self::Word,
        Self::Value,
    ];

    /// Returns how a template writes it.
    #[must_use]
    pub fn placeholder(self) -> &'static str {
        match self {
            Self::Number => "<number>",
            Self::Percent => "<percent>",
            Self::Size => "<size>",
            Self::Duration => "<duration>",
            Self::Time => "<time>",
            Self::Ip => "<ip>",
            Self::Mac => "<mac>",
            Self::Host => "<host>",
            Self::Path => "<path>",
            Self::Url => "<url>",
            Self::Guid => "<guid>",
            Self::Hex => "<hex>",
            Self::Id => "<id>",
            Self::Name => "<name>",
            Self::Word => "<word>",
            Self::Value => "<value>",
        }
    }

    /// Returns what holds for both: the same, or any value.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        if self == other { self } else { Self::Value }
    }
}

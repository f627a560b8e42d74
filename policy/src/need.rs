//! Whose approval is needed: written as annotations of Cedar policies, read back, and the strictest
//! of several taken.

use domain::{
    guardrail::{ApprovalNeed, Escalation, OnTimeout},
    people::Role,
};

/// What an approval asks for when no policy says more: a day, a lead after four hours.
pub(crate) const FLOOR: ApprovalNeed = ApprovalNeed {
    role: Role::Approver,
    quorum: 1,
    timeout_secs: 24 * 3600,
    escalation: Some(Escalation {
        after_secs: 4 * 3600,
        role: Role::Lead,
    }),
    on_timeout: OnTimeout::Reject,
    four_eyes: false,
};

/// Annotations that a policy may carry, with what each allows; a typo would otherwise go unseen.
pub(crate) const ANNOTATIONS: [(&str, &str); 10] = [
    ("id", "a name"),
    ("description", "a text"),
    ("reason", "a text"),
    ("role", "technician, approver or lead"),
    ("quorum", "1 to 10"),
    ("timeout_secs", "a number of seconds, at least 1"),
    ("escalate_after_secs", "a number of seconds"),
    ("escalate_role", "technician, approver or lead"),
    ("on_timeout", "reject or hold"),
    ("four_eyes", "true or false"),
];

/// Most people that may be asked for.
pub(crate) const MAX_QUORUM: u32 = 10;

/// What one policy asks for; absent fields ask for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    role: Option<Role>,
    quorum: Option<u32>,
    timeout_secs: Option<u64>,
    escalate_after_secs: Option<u64>,
    escalate_role: Option<Role>,
    on_timeout: Option<OnTimeout>,
    four_eyes: bool,
}

impl Asked {
    /// Reads annotations.
    ///
    /// # Errors
    /// With name, value and what is allowed, for each that is unknown or wrong.
    pub(crate) fn read<'a>(
        annotations: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, Vec<(String, String, String)>> {
        let mut asked = Self::default();
        let mut wrong = Vec::new();
        for (name, value) in annotations {
            let Some((_, allowed)) = ANNOTATIONS.iter().find(|(known, _)| *known == name) else {
                let known: Vec<_> = ANNOTATIONS.iter().map(|(known, _)| *known).collect();
                wrong.push((name.to_owned(), value.to_owned(), known.join(", ")));
                continue;
            };
            if asked.set(name, value).is_none() {
                wrong.push((name.to_owned(), value.to_owned(), (*allowed).to_owned()));
            }
        }
        if wrong.is_empty() {
            Ok(asked)
        } else {
            Err(wrong)
        }
    }

    fn set(&mut self, name: &str, value: &str) -> Option<()> {
        match name {
            "role" => self.role = Some(role(value)?),
            "quorum" => {
                let quorum = value
                    .parse()
                    .ok()
                    .filter(|q| (1..=MAX_QUORUM).contains(q))?;
                self.quorum = Some(quorum);
            }
            "timeout_secs" => self.timeout_secs = Some(value.parse().ok().filter(|t| *t > 0)?),
            "escalate_after_secs" => self.escalate_after_secs = Some(value.parse().ok()?),
            "escalate_role" => self.escalate_role = Some(role(value)?),
            "on_timeout" => {
                self.on_timeout = Some(match value {
                    "reject" => OnTimeout::Reject,
                    "hold" => OnTimeout::Hold,
                    _ => return None,
                });
            }
            "four_eyes" => self.four_eyes = value.parse().ok()?,
            _ => {}
        }
        Some(())
    }

    /// Takes the stricter of each field.
    fn and(self, other: &Self) -> Self {
        Self {
            role: self.role.max(other.role),
            quorum: self.quorum.max(other.quorum),
            timeout_secs: least(self.timeout_secs, other.timeout_secs),
            escalate_after_secs: least(self.escalate_after_secs, other.escalate_after_secs),
            escalate_role: self.escalate_role.max(other.escalate_role),
            on_timeout: match (self.on_timeout, other.on_timeout) {
                (Some(OnTimeout::Reject), _) | (_, Some(OnTimeout::Reject)) => {
                    Some(OnTimeout::Reject)
                }
                (mine, theirs) => mine.or(theirs),
            },
            four_eyes: self.four_eyes || other.four_eyes,
        }
    }

    /// Completes it. An escalation that would come too late is left out; nobody below the needed
    /// role is ever asked.
    fn complete(self) -> ApprovalNeed {
        let role = self.role.unwrap_or(FLOOR.role);
        let timeout_secs = self.timeout_secs.unwrap_or(FLOOR.timeout_secs);
        let escalation = self
            .escalate_after_secs
            .filter(|after| *after < timeout_secs);
        ApprovalNeed {
            role,
            quorum: self.quorum.unwrap_or(FLOOR.quorum),
            timeout_secs,
            escalation: escalation.map(|after_secs| Escalation {
                after_secs,
                role: self.escalate_role.unwrap_or(Role::Lead).max(role),
            }),
            on_timeout: self.on_timeout.unwrap_or_default(),
            four_eyes: self.four_eyes,
        }
    }
}

impl From<&ApprovalNeed> for Asked {
    fn from(need: &ApprovalNeed) -> Self {
        Self {
            role: Some(need.role),
            quorum: Some(need.quorum),
            timeout_secs: Some(need.timeout_secs),
            escalate_after_secs: need.escalation.as_ref().map(|e| e.after_secs),
            escalate_role: need.escalation.as_ref().map(|e| e.role),
            on_timeout: Some(need.on_timeout),
            four_eyes: need.four_eyes,
        }
    }
}

/// Takes the strictest of each field: highest role and quorum, shortest time-out, earliest
/// escalation, reject before hold, four eyes if any asks for them.
pub(crate) fn strictest<'a>(asked: impl Iterator<Item = &'a Asked>) -> ApprovalNeed {
    asked.fold(Asked::default(), Asked::and).complete()
}

/// As [`strictest`], of complete needs; `None` of none.
pub(crate) fn strictest_need<'a>(
    needs: impl Iterator<Item = &'a ApprovalNeed>,
) -> Option<ApprovalNeed> {
    let asked: Vec<Asked> = needs.map(Asked::from).collect();
    (!asked.is_empty()).then(|| strictest(asked.iter()))
}

/// Writes a need as annotations.
pub(crate) fn annotations(need: &ApprovalNeed) -> String {
    let mut text = format!(
        "@role(\"{}\")\n@quorum(\"{}\")\n@timeout_secs(\"{}\")\n@on_timeout(\"{}\")\n@four_eyes(\"{}\")\n",
        need.role.as_str(),
        need.quorum,
        need.timeout_secs,
        match need.on_timeout {
            OnTimeout::Reject => "reject",
            OnTimeout::Hold => "hold",
        },
        need.four_eyes,
    );
    if let Some(escalation) = &need.escalation {
        text.push_str(&format!(
            "@escalate_after_secs(\"{}\")\n@escalate_role(\"{}\")\n",
            escalation.after_secs,
            escalation.role.as_str()
        ));
    }
    text
}

/// A viewer may look only, so nothing can be asked of one.
fn role(text: &str) -> Option<Role> {
    [Role::Technician, Role::Approver, Role::Lead]
        .into_iter()
        .find(|role| role.as_str() == text)
}

fn least(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(role: Role, timeout_secs: u64, after: Option<u64>) -> ApprovalNeed {
        ApprovalNeed {
            role,
            timeout_secs,
            escalation: after.map(|after_secs| Escalation {
                after_secs,
                role: Role::Approver,
            }),
            ..FLOOR
        }
    }

    #[test]
    fn the_strictest_of_each_field_wins() {
        let one = ApprovalNeed {
            quorum: 2,
            on_timeout: OnTimeout::Hold,
            ..need(Role::Technician, 7200, Some(600))
        };
        let other = ApprovalNeed {
            four_eyes: true,
            ..need(Role::Lead, 3600, None)
        };
        assert_eq!(
            strictest_need([&one, &other].into_iter()),
            Some(ApprovalNeed {
                role: Role::Lead,
                quorum: 2,
                timeout_secs: 3600,
                escalation: Some(Escalation {
                    after_secs: 600,
                    role: Role::Lead
                }),
                on_timeout: OnTimeout::Reject,
                four_eyes: true,
            })
        );
    }

    #[test]
    fn an_escalation_after_the_time_out_is_left_out() {
        let late = need(Role::Approver, 7200, Some(3600));
        let short = need(Role::Approver, 600, None);
        assert_eq!(
            strictest_need([&late, &short].into_iter())
                .unwrap()
                .escalation,
            None
        );
    }

    #[test]
    fn annotations_are_read_back_as_written() {
        let text = annotations(&FLOOR);
        let pairs = text.lines().map(|line| {
            let (name, value) = line.trim_start_matches('@').split_once("(\"").unwrap();
            (name, value.trim_end_matches("\")"))
        });
        assert_eq!(Asked::read(pairs).unwrap(), Asked::from(&FLOOR));
    }

    #[test]
    fn a_wrong_annotation_is_named() {
        let wrong = Asked::read([("quorun", "2"), ("quorum", "0"), ("role", "viewer")].into_iter());
        let names: Vec<_> = wrong
            .unwrap_err()
            .into_iter()
            .map(|(name, ..)| name)
            .collect();
        assert_eq!(names, ["quorun", "quorum", "role"]);
    }
}

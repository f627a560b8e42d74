//! `people.yaml`: who works here, in which role, for which clients.

use std::{collections::BTreeSet, fs, io, path::Path};

use domain::{
    input::{self, InvalidInput, Problem},
    people::Person,
};

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// It cannot be read.
    #[error("{path} cannot be read")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Its content is not allowed.
    #[error("{path}: {problem}")]
    NotAllowed {
        /// The file.
        path: String,
        /// What is wrong with it.
        problem: InvalidInput,
    },
}

/// Reads a list of people. Each needs `id` and `role`; `name` and `clients` are optional.
///
/// # Errors
/// When the file cannot be read, is not such a list, or names a person twice.
pub fn load_people(path: &Path) -> Result<Vec<Person>, PeopleError> {
    let name = || path.display().to_string();
    let text = fs::read_to_string(path).map_err(|source| PeopleError::Unreadable {
        path: name(),
        source,
    })?;
    parse(&text).map_err(|problem| PeopleError::NotAllowed {
        path: name(),
        problem,
    })
}

fn parse(text: &str) -> Result<Vec<Person>, InvalidInput> {
    let value: serde_json::Value = serde_saphyr::from_str(text).map_err(|error| {
        let words = error.to_string();
        let line = words.split_whitespace().collect::<Vec<_>>().join(" ");
        InvalidInput::one(Problem::new(
            "people",
            "(not YAML)",
            format!("a list of people: {line}"),
        ))
    })?;
    let people: Vec<Person> = input::from_json(&value)?;
    let mut seen = BTreeSet::new();
    let twice = people
        .iter()
        .enumerate()
        .filter(|(_, person)| !seen.insert(&person.id));
    let problems: Vec<Problem> = twice
        .map(|(i, person)| Problem::new(format!("[{i}].id"), &person.id, "each person once"))
        .collect();
    InvalidInput::when(problems)?;
    Ok(people)
}

#[cfg(test)]
mod tests {
    use domain::people::Role;

    use super::*;

    fn refused(text: &str) -> String {
        let message = parse(text).unwrap_err().to_string();
        assert!(!message.contains('\n'), "one line: {message}");
        message
    }

    #[test]
    fn people_are_read_with_role_and_clients() {
        let text = "- id: dana\n  name: Dana\n  role: approver\n- id: lee\n  role: lead\n  clients: [acme, '42']\n";
        let people = parse(text).unwrap();
        assert_eq!(people[0].role, Role::Approver);
        assert!(people[0].clients.is_empty());
        assert_eq!(people[1].clients.len(), 2);
    }

    #[test]
    fn every_mistake_names_its_field() {
        let role = refused("- id: dana\n  role: boss\n");
        assert!(
            role.contains("[0].role") && role.contains("boss") && role.contains("approver"),
            "{role}"
        );
        let key = refused("- id: dana\n  rol: lead\n");
        assert!(key.contains("rol") && key.contains("role"), "{key}");
        let id = refused("- id: Dana M\n  role: lead\n");
        assert!(id.contains("[0].id") && id.contains("a-z"), "{id}");
        let twice = refused("- id: dana\n  role: lead\n- id: dana\n  role: viewer\n");
        assert!(
            twice.contains("[1].id") && twice.contains("dana"),
            "{twice}"
        );
        let broken = refused("- id: [dana\n");
        assert!(broken.contains("people"), "{broken}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = load_people(Path::new("/nowhere/people.yaml")).unwrap_err();
        assert_eq!(error.to_string(), "/nowhere/people.yaml cannot be read");
    }
}

//! Labels that stand for names in a question, and names in place of labels in what people read.

use crate::prompt::PromptText;

/// Labels the machine at a place, from 0.
pub(crate) fn machine(place: usize) -> PromptText {
    PromptText::literal("machine_").then(place as u64 + 1)
}

/// Writes names in place of whole words that are labels.
pub(crate) fn named(text: &str, labels: &[(String, String)]) -> String {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut named = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(begin) = rest.find(is_word) {
        let (between, from) = rest.split_at(begin);
        let end = from.find(|c| !is_word(c)).unwrap_or(from.len());
        let (word, after) = from.split_at(end);
        named.push_str(between);
        let name = labels.iter().find(|(label, _)| label == word);
        named.push_str(name.map_or(word, |(_, name)| name));
        rest = after;
    }
    named.push_str(rest);
    named
}

/// Labels machines in order.
pub(crate) fn of_machines(machines: &[&str]) -> Vec<(String, String)> {
    let each = machines.iter().enumerate();
    each.map(|(place, name)| (machine(place).to_string(), (*name).to_owned()))
        .collect()
}

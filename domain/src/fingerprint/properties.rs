use proptest::prelude::*;

use super::*;

/// Messages out of few words, so that shapes meet and merge.
fn message() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        Just("user"),
        Just("for"),
        Just("from"),
        Just("link"),
        Just("down"),
        Just("="),
        Just("["),
        Just("]"),
        Just("ada"),
        Just("bea"),
        Just("cyd"),
        Just("dan_x"),
        Just("10.0.0.1"),
        Just("12 MB"),
        Just("\""),
        Just(","),
    ];
    proptest::collection::vec(word, 1..9).prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn any_bytes_have_a_fingerprint(messages in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..40)) {
        let mut miner = Miner::new();
        for message in &messages {
            let handle = miner.observe(message);
            prop_assert!(miner.fingerprint(handle).is_some() && miner.template(handle).is_some());
        }
        prop_assert_eq!(miner.counts().messages, messages.len() as u64);
        let counted: u64 = miner.templates().iter().map(|t| t.messages).sum();
        prop_assert_eq!(counted, messages.len() as u64);
    }

    #[test]
    fn any_text_has_a_fingerprint(message in "\\PC*") {
        let mut miner = Miner::new();
        let handle = miner.observe(message.as_bytes());
        prop_assert!(!miner.template(handle).unwrap().text.contains(char::is_control));
    }

    #[test]
    fn the_same_message_has_the_same_fingerprint(messages in proptest::collection::vec(message(), 1..25)) {
        let mut miner = Miner::new();
        let first: Vec<_> = messages.iter().map(|m| miner.observe(m.as_bytes())).collect();
        let again: Vec<_> = messages.iter().map(|m| miner.observe(m.as_bytes())).collect();
        for (a, b) in first.iter().zip(&again) {
            prop_assert_eq!(miner.fingerprint(*a), miner.fingerprint(*b));
        }
    }

    #[test]
    fn a_message_never_leaves_those_it_was_with(messages in proptest::collection::vec(message(), 2..25)) {
        let mut miner = Miner::new();
        let mut handles: Vec<Handle> = Vec::new();
        let mut pairs: Vec<(Handle, Handle)> = Vec::new();
        for message in &messages {
            let new = miner.observe(message.as_bytes());
            let with = handles.iter().filter(|h| miner.fingerprint(**h) == miner.fingerprint(new));
            pairs.extend(with.map(|h| (*h, new)));
            handles.push(new);
        }
        for (a, b) in pairs {
            prop_assert_eq!(miner.fingerprint(a), miner.fingerprint(b));
        }
    }

    #[test]
    fn different_templates_have_different_fingerprints(messages in proptest::collection::vec(message(), 1..25)) {
        let mut miner = Miner::new();
        for message in &messages {
            miner.observe(message.as_bytes());
        }
        let templates = miner.templates();
        let names: std::collections::BTreeSet<_> = templates.iter().map(|t| t.fingerprint).collect();
        prop_assert_eq!(names.len(), templates.len());
    }
}

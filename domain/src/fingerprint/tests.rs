use super::*;

fn mine(messages: &[&str]) -> (Miner, Vec<Handle>) {
    let mut miner = Miner::new();
    let handles = messages.iter().map(|m| miner.observe(m.as_bytes()));
    let handles = handles.collect();
    (miner, handles)
}

/// Returns what the template of a message says when nothing else was seen.
fn text(message: &str) -> String {
    let (miner, handles) = mine(&[message]);
    miner.template(handles[0]).unwrap().text
}

fn same(messages: &[&str]) -> bool {
    let (miner, handles) = mine(messages);
    let first = miner.fingerprint(handles[0]);
    handles.iter().all(|h| miner.fingerprint(*h) == first)
}

#[test]
fn values_become_typed_parameters() {
    for (message, template) in [
        (
            "Disk D: on SRV01 is 95% full",
            "Disk D: on <id> is <percent> full",
        ),
        ("used 1.5 GB of 4096 MB", "used <size> of <size>"),
        ("backup took 12 minutes", "backup took <duration>"),
        ("backup took 12ms", "backup took <duration>"),
        ("closed, lifetime <1 sec", "closed, lifetime <duration>"),
        ("lease of 00:11:43:e3:ba:c3 ended", "lease of <mac> ended"),
        ("peer 10.1.2.3:8080 left", "peer <ip> left"),
        ("peer fe80::c6b3:1ff:fecd:467f left", "peer <ip> left"),
        (r"cannot open \\nas\share\q3.xlsx", "cannot open <path>"),
        ("cannot open /var/log/syslog", "cannot open <path>"),
        ("get https://a.example.com/x?y=1 failed", "get <url> failed"),
        (
            "VM 7d4c0a5e-9f1b-4c3d-8e2a-0123456789ab lost",
            "VM <guid> lost",
        ),
        ("seen at Fri Jun 17 20:55:06 2005", "seen at <time>"),
        ("seen at 2026-12-01 04:00:00 UTC", "seen at <time>"),
        ("error 0x80070005 in winlogon", "error <hex> in winlogon"),
        ("resolving ns1.corp.example.com", "resolving <host>"),
        ("example.com:443 closed", "<host> closed"),
        ("setup.exe:443 closed", "setup.exe: <number> closed"),
    ] {
        assert_eq!(text(message), template, "{message}");
    }
}

#[test]
fn what_stands_after_a_key_is_a_value_and_yes_or_no_is_not() {
    assert_eq!(
        text("ruser= rhost=sun user=root"),
        "ruser=<value> rhost=<value> user=<value>"
    );
    assert!(same(&["logname= uid=0 tty=", "logname=bob uid=7 tty=tty1"]));
    assert!(same(&[
        "tag=\"View Lock\", ws=null",
        "tag=\"Mix\", ws=Source{10}"
    ]));
    assert!(!same(&["expanded=true", "expanded=false"]));
}

#[test]
fn the_name_of_a_user_or_host_is_a_parameter() {
    assert!(same(&[
        "session opened for user cyrus by (uid=0)",
        "session opened for user news by (uid=0)"
    ]));
    assert!(same(&["User 'bob' logged in", "User 'alice' logged in"]));
    assert_eq!(text("check pass; user unknown"), "check pass; user unknown");
    assert_eq!(
        text("closed due to user request."),
        "closed due to user request."
    );
}

#[test]
fn two_names_between_words_that_announce_them_are_a_parameter() {
    assert!(same(&[
        "Failed password for root from 10.0.0.4",
        "Failed password for ada from 10.0.0.9"
    ]));
    assert!(same(&[
        "too many failures for root [preauth]",
        "too many failures for ada [preauth]"
    ]));
    assert!(!same(&[
        "starting backup for today",
        "ending backup for today"
    ]));
}

#[test]
fn lists_of_any_length_are_one_parameter() {
    assert!(same(&[
        "ask to delete blk_1",
        "ask to delete blk_1 blk_2 blk_3"
    ]));
    assert!(same(&[
        "nodes: node-1, node-2",
        "nodes: node-1, node-2, node-3"
    ]));
    assert!(same(&[
        "states node-1 <ok> node-2 <ok>",
        "states node-1 <ok> node-2 <ok> node-3 <ok>"
    ]));
}

#[test]
fn ever_new_words_between_the_same_neighbours_are_a_parameter() {
    let names = [
        "ada", "bea", "cyd", "dan", "eve", "fay", "gus", "hal", "ivo",
    ];
    let messages: Vec<String> = names
        .map(|n| format!("service {n} stopped unexpectedly now"))
        .into();
    let messages: Vec<&str> = messages.iter().map(String::as_str).collect();
    assert!(same(&messages));
    assert!(!same(&messages[..7]));
    let (miner, handles) = mine(&messages);
    let template = miner.template(handles[0]).unwrap();
    assert_eq!(template.text, "service <word> stopped unexpectedly now");
    assert_eq!(template.messages, 9);
    assert_eq!(miner.templates(), [template]);
}

#[test]
fn a_word_in_the_place_of_a_known_parameter_is_a_parameter() {
    assert!(same(&[
        "domain root2 is no longer served",
        "domain cluster is no longer served"
    ]));
    assert!(same(&[
        "domain cluster is no longer served",
        "domain root2 is no longer served"
    ]));
}

#[test]
fn messages_that_say_different_things_stay_apart() {
    for pair in [
        [
            "service spooler started on SRV01",
            "service spooler stopped on SRV01",
        ],
        ["GET /a HTTP/1.1 took 5 ms", "POST /a HTTP/1.1 took 5 ms"],
        ["link up", "link down"],
        ["depth......5", "threshold......5"],
    ] {
        assert!(!same(&pair), "{pair:?}");
    }
}

#[test]
fn the_fingerprint_of_the_oldest_message_stays_when_shapes_merge() {
    let mut miner = Miner::new();
    let first = miner.observe(b"mailbox of ada is over its quota");
    let named = miner.fingerprint(first);
    for name in ["bea", "cyd", "dan", "eve", "fay", "gus", "hal", "ivo"] {
        miner.observe(format!("mailbox of {name} is over its quota").as_bytes());
    }
    assert_eq!(miner.fingerprint(first), named);
    let late = miner.observe(b"mailbox of zoe is over its quota");
    assert_eq!(miner.fingerprint(late), named);
}

#[test]
fn fingerprints_survive_a_restart() {
    let lines: Vec<String> = (0..300)
        .map(|i| {
            format!(
                "job {} of {} ended in state {}",
                i,
                ["a", "b", "cc"][i % 3],
                i % 7
            )
        })
        .chain(('a'..='z').map(|c| format!("printer {c}{c} ran out of paper today")))
        .collect();
    let mut one = Miner::new();
    let mut two = Miner::new();
    for (at, line) in lines.iter().enumerate() {
        let stored = serde_json::to_string(&two.state()).unwrap();
        if at % 29 == 0 {
            let state: MinerState = serde_json::from_str(&stored).unwrap();
            two = state.try_into().unwrap();
        }
        let (a, b) = (one.observe(line.as_bytes()), two.observe(line.as_bytes()));
        assert_eq!(one.fingerprint(a), two.fingerprint(b), "{line}");
    }
    assert_eq!(one.state(), two.state());
}

#[test]
fn a_broken_state_is_refused() {
    let (miner, _) = mine(&["link up on port 4", "link down on port 5"]);
    let good = serde_json::to_value(miner.state()).unwrap();
    let broken = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut state = good.clone();
        change(&mut state);
        let state: MinerState = serde_json::from_value(state).unwrap();
        Miner::try_from(state).unwrap_err()
    };
    assert_eq!(
        broken(&|s| s["version"] = 9.into()),
        StateError::Version { found: 9 }
    );
    assert_eq!(
        broken(&|s| s["shapes"][0]["parent"] = 7.into()),
        StateError::Parent {
            shape: 0,
            parent: 7
        }
    );
    let cycle = broken(&|s| {
        s["shapes"][0]["parent"] = 1.into();
        s["shapes"][1]["parent"] = 0.into();
    });
    assert_eq!(
        cycle,
        StateError::Parent {
            shape: 0,
            parent: 1
        }
    );
    let twice = broken(&|s| s["shapes"][1]["key"] = s["shapes"][0]["key"].clone());
    assert_eq!(twice, StateError::Twice { shape: 1 });
    assert!("12".parse::<Fingerprint>().is_err());
}

#[test]
fn any_number_of_host_names_is_one_template() {
    let mut miner = Miner::new();
    for n in 0..50_000_u32 {
        // Letters only, so that nothing but the changing place shows that it is a name.
        let name: String = n
            .to_string()
            .bytes()
            .map(|c| char::from(c - b'0' + b'a'))
            .collect();
        miner.observe(format!("agent {name} went silent").as_bytes());
    }
    assert_eq!(miner.templates().len(), 1);
    assert!(miner.state_size() < SHAPES, "{}", miner.state_size());
}

#[test]
fn new_shapes_beyond_the_limit_share_coarse_templates() {
    let mut miner = Miner::new();
    let word = |n: usize| -> String { n.to_string().bytes().map(|c| char::from(c + 49)).collect() };
    for n in 0..SHAPES + 5_000 {
        miner.observe(format!("{} {}", word(n / 7), word(n)).as_bytes());
    }
    let counts = miner.counts();
    assert_eq!(counts.coarse, 5_000);
    assert!(miner.state_size() <= SHAPES + 501, "{}", miner.state_size());
}

#[test]
fn long_broken_and_marked_up_messages_are_read_as_far_as_they_go_and_counted() {
    let mut miner = Miner::new();
    let long = [b"disk failure ".as_slice(), &vec![b'x'; 1 << 20]].concat();
    let other = [b"disk failure ".as_slice(), &vec![b'x'; 1 << 19]].concat();
    let (a, b) = (miner.observe(&long), miner.observe(&other));
    assert_eq!(miner.fingerprint(a), miner.fingerprint(b));
    let bad = miner.observe(b"name \xff\xfe is \x00\x07bad\x1b[31m");
    let shown = miner.template(bad).unwrap().text;
    assert!(!shown.contains(char::is_control), "{shown:?}");
    let turned = miner.observe("\u{202e}<script>alert(1)</script>".as_bytes());
    assert!(!miner.template(turned).unwrap().text.contains('\u{202e}'));
    let counts = miner.counts();
    assert_eq!((counts.messages, counts.cut, counts.not_utf8), (4, 2, 1));
}

#[test]
fn a_limit_within_a_character_is_no_broken_message() {
    let mut miner = Miner::new();
    miner.observe("é".repeat(MESSAGE_BYTES).as_bytes());
    miner.observe(format!("a{}", "é".repeat(MESSAGE_BYTES)).as_bytes());
    assert_eq!((miner.counts().cut, miner.counts().not_utf8), (2, 0));
}

//! What people read of advice on what belongs together, with the command that does it.

use domain::{
    advice::{Candidate, IncidentAdvice, Proposal, Verdict},
    incident::ENOUGH,
    triage::IncidentKey,
};

use super::{MACHINES, Quote};

/// Says what is advised on an incident: titles, and the lines under each.
pub(super) fn sections(
    incident: &IncidentKey,
    advice: &IncidentAdvice,
    quote: Quote,
) -> [(String, Vec<String>); 3] {
    let said = |verdict: Verdict| {
        advice
            .candidates
            .iter()
            .filter_map(move |one| Some((one, advice.opinion(one)?)))
            .filter(move |(_, opinion)| opinion.verdict == verdict)
    };
    let advised = said(Verdict::Advise).map(|(one, opinion)| {
        let what = what(one, quote);
        let (reason, evidence) = (quote(&opinion.reason), opinion.evidence.join(", "));
        format!("{what}: {reason} [{evidence}]{}", how(incident, one, quote))
    });
    let against = said(Verdict::Against).map(|(one, opinion)| {
        let (reason, evidence) = (quote(&opinion.reason), opinion.evidence.join(", "));
        format!("not that {}: {reason} [{evidence}]", what(one, quote))
    });
    let unsaid = advice.candidates.iter().filter(|one| {
        let opinion = advice.opinion(one);
        opinion.is_none_or(|opinion| opinion.verdict == Verdict::Abstain)
    });
    let near = unsaid.map(|one| {
        let (what, score) = (what(one, quote), one.link.score());
        let words = one.words();
        format!(
            "perhaps {what}: {words}; {score} of 1000, joined from {ENOUGH}{}",
            how(incident, one, quote)
        )
    });
    let title = match advice.degraded {
        Some(why) => format!("What the rule is not sure of ({})", why.as_str()),
        None => "What the rule is not sure of, nor the model".to_owned(),
    };
    [
        ("The model advises".to_owned(), advised.collect()),
        ("The model advises against it".to_owned(), against.collect()),
        (title, near.collect()),
    ]
}

fn what(candidate: &Candidate, quote: Quote) -> String {
    match &candidate.proposal {
        Proposal::Merge { into } => format!("it is one with incident {into}"),
        Proposal::Split { machines } => {
            let named = machines.iter().take(MACHINES).map(|one| quote(one));
            let mut named = named.collect::<Vec<_>>().join(", ");
            if let more @ 1.. = machines.len().saturating_sub(MACHINES) {
                named += &format!(" and {more} more");
            }
            format!("{named}: no part of it")
        }
    }
}

/// The command, or what to do where no command line can be given.
fn how(incident: &IncidentKey, candidate: &Candidate, quote: Quote) -> String {
    match candidate.proposal.command(incident, &candidate.words()) {
        Some(command) => format!("; to do it: {}", quote(&command)),
        None => "; a name of a machine fits no command line: autoops incidents split".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use domain::{advice::Opinion, incident::Link};
    use jiff::Timestamp;

    use super::*;

    fn candidate(id: &str, machine: &str) -> Candidate {
        Candidate {
            id: id.to_owned(),
            proposal: Proposal::Split {
                machines: vec![machine.to_owned()],
            },
            link: Link {
                time: 1_000,
                topology: 300,
                text: 0,
                change: 0,
            },
            apart_secs: 30,
        }
    }

    #[test]
    fn text_of_others_is_quoted_and_a_name_that_a_shell_reads_is_in_no_command() {
        let hostile = "$(reboot)";
        let opinion = |candidate: &str, verdict: Verdict| Opinion {
            candidate: candidate.to_owned(),
            verdict,
            reason: "Other trouble.".to_owned(),
            evidence: vec!["network_1".to_owned()],
        };
        let advice = IncidentAdvice {
            round: 1,
            at: Timestamp::UNIX_EPOCH,
            asked: String::new(),
            candidates: vec![
                candidate("split_1", "PRN-7"),
                candidate("split_2", hostile),
                candidate("split_3", "82"),
                candidate("split_4", "83"),
            ],
            alerts: vec![],
            opinions: vec![
                opinion("split_1", Verdict::Advise),
                opinion("split_2", Verdict::Advise),
                opinion("split_3", Verdict::Against),
            ],
            model: Some("m".to_owned()),
            degraded: None,
            tokens: 1,
            dropped: vec![],
        };
        let incident = "7001-5".parse().unwrap();
        let [(_, advised), (_, against), (_, unsure)] =
            sections(&incident, &advice, |text| format!("«{text}»"));
        assert_eq!(
            advised[0],
            "«PRN-7»: no part of it: «Other trouble.» [network_1]; to do it: \
             «autoops incidents split 7001-5 --machine PRN-7 --by NAME --reason 'same site, 30 s apart'»"
        );
        assert!(
            advised[1].contains("«$(reboot)»: no part of it"),
            "{advised:?}"
        );
        assert!(!advised[1].contains("--machine"), "{advised:?}");
        assert_eq!(
            against,
            ["not that «82»: no part of it: «Other trouble.» [network_1]"]
        );
        let begin = "perhaps «83»: no part of it: same site, 30 s apart; 300 of 1000, joined from 450; to do it: ";
        assert!(unsure[0].starts_with(begin), "{unsure:?}");
    }
}

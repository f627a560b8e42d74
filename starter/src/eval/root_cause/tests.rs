use std::io::Write as _;

use super::*;

const GRAPH: &str = "\
,shop,cart,stock,\"mail, out\"
shop,0,1.0,1.0,0
cart,0,0,1.0,0
stock,0,0,0,0
\"mail, out\",0,0,0,0
";

/// The stock becomes slow; shop and cart wait for it.
const METRICS: &str = "\
node,shop,cart,stock,\"mail, out\",shop,cart,stock,\"mail, out\"
metric,latency,latency,latency,latency,requests,requests,requests,requests
statistic,Average,Average,Average,Average,Sum,Sum,Sum,Sum
unix_timestamp,,,,,,,,
1000,0.10,0.05,0.02,0.3,400,400,400,10
1300,0.10,0.05,0.02,0.3,400,400,400,10
1600,0.50,0.45,0.42,0.9,400,400,400,x
1900,0.51,0.46,0.43,,400,400,400,10
";

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn asked(graph: &str, metrics: &str, target: &str) -> anyhow::Result<serde_json::Value> {
    let (graph, metrics) = (file(graph), file(metrics));
    let args = RootCauseArgs {
        graph: graph.path().to_owned(),
        metrics: metrics.path().to_owned(),
    };
    let mut output = Vec::new();
    run(&args, &mut target.as_bytes(), &mut output)?;
    Ok(serde_json::from_slice(&output)?)
}

const TARGET: &str =
    r#"{"node": "shop", "metric": "latency", "agg": "Average", "timestamp": 1700}"#;

#[test]
fn the_node_that_became_slow_by_itself_comes_first_with_its_evidence() {
    let answer = asked(GRAPH, METRICS, TARGET).unwrap();
    assert_eq!(answer["candidates"][0]["node"], "stock");
    assert_eq!(answer["abstain"], false);
    let because = answer["candidates"][0]["because"].as_array().unwrap();
    assert!(
        because[0]["text"]
            .as_str()
            .unwrap()
            .starts_with("latency went from 0.0200 to 0.42")
    );
    let nodes = answer["candidates"].as_array().unwrap().iter();
    assert!(
        nodes.clone().all(|c| c["node"] != "mail, out"),
        "the shop does not depend on it"
    );
}

#[test]
fn an_unknown_node_or_no_trouble_at_all_is_answered_by_abstaining() {
    let nowhere = TARGET.replace("shop", "nowhere");
    assert_eq!(asked(GRAPH, METRICS, &nowhere).unwrap()["abstain"], true);
    let calm: String = METRICS
        .lines()
        .filter(|l| !l.starts_with("16") && !l.starts_with("19"))
        .fold(String::new(), |all, l| all + l + "\n");
    assert_eq!(asked(GRAPH, &calm, TARGET).unwrap()["abstain"], true);
}

#[test]
fn what_cannot_be_read_is_refused_with_the_reason() {
    let error =
        |graph, metrics, target| format!("{:#}", asked(graph, metrics, target).unwrap_err());
    assert!(error(GRAPH, METRICS, "{}").contains("standard input"));
    let other = TARGET.replace("latency", "colour");
    assert!(error(GRAPH, METRICS, &other).contains("latency or availability"));
    assert!(error(GRAPH, "a,b\nc,d,e\nf,g\n", TARGET).contains("equal numbers"));
    assert!(error("", METRICS, TARGET).contains("no header row"));
}

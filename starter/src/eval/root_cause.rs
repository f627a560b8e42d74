//! `eval root-cause`: which node of a call graph is the cause of what was noticed at another.

mod tables;

use std::{
    fs::File,
    io::{BufRead, Write},
    path::PathBuf,
};

use anyhow::Context;
use clap::Args;
use domain::cause::{self, Graph, Measure, Metrics};
use serde::{Deserialize, Serialize};

use super::lines;
use tables::{Names, Series};

/// Where to read from. Standard input is one JSON object: node, metric, agg, timestamp.
#[derive(Debug, Args)]
pub struct RootCauseArgs {
    /// Call graph: a CSV matrix, callers in rows, called in columns, 0 for no call
    #[arg(long, value_name = "CSV")]
    graph: PathBuf,
    /// Measurements: CSV with node, metric and statistic in three header rows, then time and values
    #[arg(long, value_name = "CSV")]
    metrics: PathBuf,
}

/// What was noticed.
#[derive(Debug, Deserialize)]
struct Target {
    node: String,
    metric: String,
    #[serde(default)]
    agg: String,
    timestamp: f64,
}

#[derive(Debug, Serialize)]
struct Answer {
    candidates: Vec<Candidate>,
    confidence: f64,
    abstain: bool,
}

#[derive(Debug, Serialize)]
struct Candidate {
    node: String,
    score: f64,
    because: Vec<cause::Because>,
}

/// The statistic that is taken when the one asked for is not there.
const USUAL: &str = "Average";

pub(super) fn run(
    args: &RootCauseArgs,
    input: &mut impl BufRead,
    output: &mut impl Write,
) -> anyhow::Result<()> {
    let open = |path: &PathBuf| {
        File::open(path).with_context(|| format!("cannot open {}", path.display()))
    };
    let target: Target = serde_json::from_reader(input)
        .context("standard input is not {\"node\", \"metric\", \"agg\", \"timestamp\"}")?;
    let measure = match target.metric.as_str() {
        "latency" => Measure::Latency,
        "availability" => Measure::Availability,
        other => anyhow::bail!("metric {other:?} is not allowed: latency or availability"),
    };
    let mut names = Names::default();
    let noticed_at = names.node(&target.node);
    let graph = tables::graph(open(&args.graph)?, &mut names)
        .with_context(|| format!("cannot read {}", args.graph.display()))?;
    let table = tables::series(open(&args.metrics)?, &mut names)
        .with_context(|| format!("cannot read {}", args.metrics.display()))?;
    lines::tell(
        graph.unreadable + table.unreadable,
        "cells are no numbers and count as empty",
    );
    let mut metrics = Metrics {
        measure,
        times: table.times,
        values: vec![Vec::new(); names.len()],
        requests: vec![Vec::new(); names.len()],
    };
    fill(&mut metrics, table.series, &target);
    let graph = Graph::new(names.len(), graph.calls)?;
    #[expect(clippy::cast_possible_truncation, reason = "saturates")]
    let noticed = target.timestamp as i64;
    let causes = cause::by_metrics(&graph, &metrics, noticed_at, noticed, &[]);
    let candidates = causes.candidates.into_iter().map(|candidate| Candidate {
        node: names.name(candidate.node).to_owned(),
        score: candidate.score,
        because: candidate.because,
    });
    let answer = Answer {
        candidates: candidates.collect(),
        confidence: f64::from(causes.confidence_permille) / 1_000.0,
        abstain: causes.abstain,
    };
    serde_json::to_writer(&mut *output, &answer)?;
    writeln!(output)?;
    Ok(())
}

/// Takes the series that were asked about; the usual statistic fills in for a missing one.
fn fill(metrics: &mut Metrics, series: Vec<Series>, target: &Target) {
    for one in series {
        let at = one.node.0 as usize;
        if one.metric == "requests" {
            metrics.requests[at] = one.values;
        } else if one.metric == target.metric {
            let asked = one.statistic == target.agg;
            if asked || one.statistic == USUAL && metrics.values[at].is_empty() {
                metrics.values[at] = one.values;
            }
        }
    }
}

#[cfg(test)]
mod tests;

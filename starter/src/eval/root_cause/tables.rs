//! Tables of nodes.

use std::io::Read;

use anyhow::{Context, ensure};
use domain::cause::Node;

/// Numbers for names of nodes.
#[derive(Debug, Default)]
pub(super) struct Names {
    names: Vec<String>,
    numbers: std::collections::HashMap<String, u32>,
}

impl Names {
    pub(super) fn node(&mut self, name: &str) -> Node {
        if let Some(number) = self.numbers.get(name) {
            return Node(*number);
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.push(name.to_owned());
        self.numbers.insert(name.to_owned(), number);
        Node(number)
    }

    pub(super) fn name(&self, node: Node) -> &str {
        self.names.get(node.0 as usize).map_or("", String::as_str)
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }
}

#[derive(Debug, Default)]
pub(super) struct Calls {
    pub(super) calls: Vec<(Node, Node)>,
    pub(super) unreadable: u64,
}

fn reader(input: impl Read) -> csv::Reader<impl Read> {
    csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(input)
}

/// Reads a matrix of calls.
pub(super) fn graph(input: impl Read, names: &mut Names) -> anyhow::Result<Calls> {
    let mut rows = reader(input).into_records();
    let head = rows.next().context("no header row")??;
    let called: Vec<Node> = head.iter().skip(1).map(|name| names.node(name)).collect();
    let mut found = Calls::default();
    for row in rows {
        let row = row?;
        let caller = names.node(row.get(0).unwrap_or_default());
        for (called, cell) in called.iter().zip(row.iter().skip(1)) {
            match number(cell) {
                Ok(Some(calls)) if calls != 0.0 => found.calls.push((caller, *called)),
                Ok(_) => {}
                Err(()) => found.unreadable += 1,
            }
        }
    }
    Ok(found)
}

/// One column of measurements.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) node: Node,
    pub(super) metric: String,
    pub(super) statistic: String,
    pub(super) values: Vec<Option<f64>>,
}

#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) times: Vec<f64>,
    pub(super) series: Vec<Series>,
    pub(super) unreadable: u64,
}

/// Reads measurements: rows for node, metric and statistic, then one row per time.
pub(super) fn series(input: impl Read, names: &mut Names) -> anyhow::Result<Table> {
    let mut rows = reader(input).into_records();
    let mut head = || anyhow::Ok(rows.next().context("three header rows are needed")??);
    let (nodes, metrics, statistics) = (head()?, head()?, head()?);
    ensure!(
        nodes.len() == metrics.len() && nodes.len() == statistics.len(),
        "the header rows have {}, {} and {} cells; equal numbers are needed",
        nodes.len(),
        metrics.len(),
        statistics.len(),
    );
    let heads = nodes.iter().zip(&metrics).zip(&statistics).skip(1);
    let series = heads.map(|((node, metric), statistic)| Series {
        node: names.node(node),
        metric: metric.to_owned(),
        statistic: statistic.to_owned(),
        values: Vec::new(),
    });
    let mut table = Table {
        series: series.collect(),
        ..Table::default()
    };
    for row in rows {
        let row = row?;
        // The name of the index has a row of its own.
        let Ok(Some(time)) = number(row.get(0).unwrap_or_default()) else {
            continue;
        };
        table.times.push(time);
        for (at, series) in table.series.iter_mut().enumerate() {
            let value = number(row.get(at + 1).unwrap_or_default());
            table.unreadable += u64::from(value.is_err());
            series.values.push(value.unwrap_or(None));
        }
    }
    ensure!(
        table.times.windows(2).all(|pair| pair[0] < pair[1]),
        "times must ascend"
    );
    Ok(table)
}

/// Reads a cell: empty is nothing known.
fn number(cell: &str) -> Result<Option<f64>, ()> {
    let cell = cell.trim();
    if cell.is_empty() {
        return Ok(None);
    }
    let number: f64 = cell.parse().map_err(|_| ())?;
    Ok(number.is_finite().then_some(number))
}

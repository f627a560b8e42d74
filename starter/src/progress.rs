//! Live progress of a deployment: bars on a terminal, lines where something changed elsewhere,
//! nothing when a program reads.

use std::{io::IsTerminal, time::Duration};

use domain::deployment::DeploymentStatus;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::{
    output::{self, Format},
    words,
};

/// Shows how far a deployment is.
#[derive(Debug)]
pub enum Progress {
    /// For programs.
    Silent,
    /// For files and pipes: what was printed last.
    Lines(Vec<String>),
    /// For terminals.
    Bars {
        /// All bars together.
        all: MultiProgress,
        /// Stage and note.
        head: ProgressBar,
        /// One per ring.
        rings: Vec<ProgressBar>,
    },
}

impl Progress {
    /// Chooses by who reads.
    #[must_use]
    pub fn new(format: Format) -> Self {
        if format.is_json() {
            Self::Silent
        } else if std::io::stdout().is_terminal() && std::io::stderr().is_terminal() {
            let all = MultiProgress::new();
            let head = all.add(ProgressBar::new_spinner());
            head.enable_steady_tick(Duration::from_millis(200));
            Self::Bars {
                all,
                head,
                rings: Vec::new(),
            }
        } else {
            Self::Lines(Vec::new())
        }
    }

    /// Shows a state.
    pub fn show(&mut self, status: &DeploymentStatus) {
        match self {
            Self::Silent => {}
            Self::Lines(last) => {
                let now = lines(status);
                now.iter()
                    .filter(|line| !last.contains(line))
                    .for_each(output::line);
                *last = now;
            }
            Self::Bars { all, head, rings } => {
                head.set_message(output::short(stage(status), 120));
                for (i, ring) in status.rings.iter().enumerate() {
                    if rings.len() <= i {
                        rings.push(all.add(bar()));
                    }
                    rings[i].set_length(u64::from(ring.devices));
                    rings[i].set_position(u64::from(ring.counts.total()));
                    rings[i].set_prefix(output::short(&ring.name, 20));
                    rings[i].set_message(output::short(words::ring(ring), 100));
                }
            }
        }
    }

    /// Shows a remark that is not part of the state.
    pub fn remark(&mut self, text: &str) {
        match self {
            Self::Bars { head, .. } => head.set_message(output::short(text, 120)),
            Self::Silent | Self::Lines(_) => output::remark(text),
        }
    }

    /// Leaves the last state on the screen.
    pub fn finish(&mut self) {
        if let Self::Bars { head, rings, .. } = self {
            head.finish_and_clear();
            rings.iter().for_each(ProgressBar::abandon);
        }
    }
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:>20} [{bar:24}] {msg}");
    let bar = ProgressBar::new(0);
    if let Ok(style) = style {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}

/// Says what is waited for.
#[must_use]
pub fn stage(status: &DeploymentStatus) -> String {
    let stage = words::plain(status.stage.as_str());
    if status.note.is_empty() {
        stage
    } else {
        format!("{stage}: {}", status.note)
    }
}

/// Writes a state as lines.
#[must_use]
pub fn lines(status: &DeploymentStatus) -> Vec<String> {
    let rings = status
        .rings
        .iter()
        .map(|ring| format!("ring {}: {}", ring.name, words::ring(ring)));
    let stragglers = (status.stragglers > 0)
        .then(|| format!("stragglers: {} devices are waited for", status.stragglers));
    std::iter::once(stage(status))
        .chain(rings)
        .chain(stragglers)
        .collect()
}

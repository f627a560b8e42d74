//! Workflow `IntelSync`: what sources of vulnerability facts say anew, source by source. What was read
//! stays; a source that does not answer does not hold up the others, and a run that ends early is
//! gone on with by the next one.

#![expect(
    missing_debug_implementations,
    reason = "the macro makes the marker types"
)]

use contracts::{
    activities::intel::{
        Asked, ListReleases, ListReleasesInput, NextDue, NextDueInput, PauseInput, ReadKev,
        ReadNvdPage, ReadNvdPageInput, ReadPredictions, ReadPredictionsInput, ReadRecord,
        ReadRecordInput, ReadRelease, ReadReleaseInput,
    },
    intel::{
        IntelSource, IntelSyncInput, IntelSyncResult, ReadingCounts, SourceEnd, SourceReading,
    },
    message::Message,
    queues, search,
};
use domain::input::InvalidInput;
use jiff::{SignedDuration, Timestamp};
use temporalio_workflow::{
    ActivityOptions, WorkflowContext, WorkflowContextView, WorkflowResult, workflow,
    workflow_methods,
};

use crate::{
    clock,
    failure::{self, Failed},
    options,
};

/// How far back the very first reading of NVD goes.
const FIRST: SignedDuration = SignedDuration::from_hours(119 * 24);

/// Input of a reading, or what is wrong with it; and what was read so far.
#[workflow]
#[derive(Debug)]
pub struct IntelSync {
    input: Result<IntelSyncInput, InvalidInput>,
    done: Vec<SourceReading>,
}

#[workflow_methods]
impl IntelSync {
    #[init]
    fn new(_: &WorkflowContextView, input: Message<Option<IntelSyncInput>>) -> Self {
        Self {
            input: input
                .into_result()
                .map(Option::unwrap_or_default)
                .and_then(|input| InvalidInput::when(input.problems()).map(|()| input)),
            done: Vec::new(),
        }
    }

    /// Reads.
    #[run(name = "IntelSync")]
    pub async fn run(ctx: &mut WorkflowContext<Self>) -> WorkflowResult<IntelSyncResult> {
        let input = ctx.state(|sync| sync.input.clone());
        let input = input.map_err(failure::invalid_input)?;
        for source in IntelSource::ALL {
            if input.sources.is_empty() || input.sources.contains(&source) {
                ctx.upsert_search_attributes(vec![
                    search::STAGE.value_set(source.as_str().to_owned()),
                ]);
                let reading = Reading::of(ctx, &input, source).await;
                ctx.state_mut(|sync| sync.done.push(reading));
                ctx.set_current_details(ctx.state(|sync| table(&sync.done)));
            }
        }
        ctx.upsert_search_attributes(vec![search::STAGE.value_set("done".to_owned())]);
        Ok(IntelSyncResult {
            sources: ctx.state(|sync| sync.done.clone()),
        })
    }

    /// What was read so far.
    #[query(name = "status")]
    pub fn status(&self, _: &WorkflowContextView) -> Vec<SourceReading> {
        self.done.clone()
    }
}

/// The reading of one source.
struct Reading<'a> {
    ctx: &'a WorkflowContext<IntelSync>,
    input: &'a IntelSyncInput,
    source: IntelSource,
    counts: ReadingCounts,
}

/// Why a reading stops before its end.
enum Stop {
    TooSoon(Timestamp),
    Failed(Failed),
}

impl<'a> Reading<'a> {
    async fn of(
        ctx: &'a WorkflowContext<IntelSync>,
        input: &'a IntelSyncInput,
        source: IntelSource,
    ) -> SourceReading {
        let mut reading = Self {
            ctx,
            input,
            source,
            counts: ReadingCounts::default(),
        };
        let end = match source {
            IntelSource::Kev => reading.kev().await,
            IntelSource::Msrc => reading.msrc().await,
            IntelSource::Nvd => reading.nvd().await,
            IntelSource::CveServices => reading.records().await,
            IntelSource::Epss => reading.predictions().await,
        };
        SourceReading {
            source,
            end: end.unwrap_or_else(|stop| match stop {
                Stop::TooSoon(next) => SourceEnd::TooSoon { next },
                Stop::Failed(failed) => SourceEnd::Failed {
                    why: failed.message,
                },
            }),
            counts: reading.counts,
        }
    }

    async fn kev(&mut self) -> Result<SourceEnd, Stop> {
        let pause = PauseInput {
            pause_secs: self.input.kev_secs,
        };
        let options = self.options(queues::MAIN, "exploited vulnerabilities of CISA");
        let asked = self.ctx.execute_activity(ReadKev, pause, options).await;
        let counts = asked_for(asked)?;
        self.counts.add(counts);
        Ok(SourceEnd::Done)
    }

    async fn msrc(&mut self) -> Result<SourceEnd, Stop> {
        let list = ListReleasesInput {
            pause_secs: self.input.msrc_secs,
            months: self.input.months,
        };
        let options = self.options(queues::MAIN, "list of Microsoft's documents");
        let asked = self.ctx.execute_activity(ListReleases, list, options).await;
        let list = asked_for(asked)?;
        self.counts.add(list.counts);
        let mut end = SourceEnd::Done;
        for release in list.releases {
            let options = self.options(queues::MAIN, format!("Microsoft {}", release.id));
            let input = ReadReleaseInput { release };
            match self.ctx.execute_activity(ReadRelease, input, options).await {
                Ok(counts) => self.counts.add(counts),
                // The others may be well; this one stays pending.
                Err(error) => {
                    end = SourceEnd::Failed {
                        why: Failed::of(&error).message,
                    };
                }
            }
        }
        Ok(end)
    }

    async fn nvd(&mut self) -> Result<SourceEnd, Stop> {
        let first = clock::now(self.ctx).checked_sub(FIRST);
        let input = ReadNvdPageInput {
            pause_secs: self.input.nvd_secs,
            since: self
                .input
                .nvd_since
                .or(first.ok())
                .unwrap_or(Timestamp::UNIX_EPOCH),
        };
        for page in 0..self.input.most_pages {
            let options = self.options(queues::NVD, format!("NVD, page {}", page + 1));
            let asked = self
                .ctx
                .execute_activity(ReadNvdPage, input.clone(), options)
                .await;
            let read = match asked_for(asked) {
                // Another run has read the rest.
                Err(Stop::TooSoon(_)) if page > 0 => return Ok(SourceEnd::Done),
                read => read?,
            };
            self.counts.add(read.counts);
            if !read.more {
                return Ok(SourceEnd::Done);
            }
        }
        Ok(SourceEnd::Partial)
    }

    async fn records(&mut self) -> Result<SourceEnd, Stop> {
        let (mut left, mut after) = (self.input.most_records, None);
        loop {
            let due = self.due(self.input.cve_secs, after).await?;
            for cve in due.cves {
                if left == 0 {
                    return Ok(SourceEnd::Partial);
                }
                left -= 1;
                let options = self.options(queues::MAIN, cve.to_string());
                let input = ReadRecordInput { cve };
                let read = self.ctx.execute_activity(ReadRecord, input, options).await;
                self.counts
                    .add(read.map_err(|error| Stop::Failed(Failed::of(&error)))?);
            }
            after = due.next;
            if after.is_none() {
                return Ok(SourceEnd::Done);
            }
        }
    }

    async fn predictions(&mut self) -> Result<SourceEnd, Stop> {
        let (mut left, mut after) = (IntelSyncInput::MOST_REQUESTS, None);
        loop {
            let due = self.due(self.input.epss_secs, after).await?;
            if !due.cves.is_empty() {
                if left == 0 {
                    return Ok(SourceEnd::Partial);
                }
                left -= 1;
                let words = format!("predictions for {} CVEs", due.cves.len());
                let options = self.options(queues::MAIN, words);
                let input = ReadPredictionsInput { cves: due.cves };
                let read = self
                    .ctx
                    .execute_activity(ReadPredictions, input, options)
                    .await;
                self.counts
                    .add(read.map_err(|error| Stop::Failed(Failed::of(&error)))?);
            }
            after = due.next;
            if after.is_none() {
                return Ok(SourceEnd::Done);
            }
        }
    }

    async fn due(
        &self,
        older_secs: u64,
        after: Option<domain::ids::CveId>,
    ) -> Result<contracts::activities::intel::NextDueResult, Stop> {
        let input = NextDueInput {
            source: self.source,
            older_secs,
            after,
        };
        let options = self.options(queues::MAIN, "which ones are due");
        let due = self.ctx.execute_activity(NextDue, input, options).await;
        due.map_err(|error| Stop::Failed(Failed::of(&error)))
    }

    fn options(&self, queue: &'static str, summary: impl Into<String>) -> ActivityOptions {
        options::reading(queue, summary, self.input.give_up_secs)
    }
}

fn asked_for<T>(
    asked: Result<Asked<T>, temporalio_workflow::ActivityExecutionError>,
) -> Result<T, Stop> {
    match asked {
        Ok(Asked::Read(read)) => Ok(read),
        Ok(Asked::TooSoon { next }) => Err(Stop::TooSoon(next)),
        Err(error) => Err(Stop::Failed(Failed::of(&error))),
    }
}

fn table(done: &[SourceReading]) -> String {
    let mut table = String::from(
        "| Source | | Requests | Read | Changed | Left out |\n| --- | --- | ---: | ---: | ---: | ---: |\n",
    );
    for SourceReading {
        source,
        end,
        counts,
    } in done
    {
        let end = match end {
            SourceEnd::Done => "read".to_owned(),
            SourceEnd::TooSoon { next } => format!("not before {next}"),
            SourceEnd::Partial => "goes on with the next run".to_owned(),
            SourceEnd::Failed { why } => format!("failed: {}", why.replace('|', "/")),
        };
        table += &format!(
            "| {} | {end} | {} | {} | {} | {} |\n",
            source.as_str(),
            counts.requests,
            counts.read,
            counts.changed,
            counts.flaws
        );
    }
    table
}

//! Binary `autoops-worker-twice`: the worker, but every activity does its work twice, because the
//! first answer to each is lost. For the test that nothing is done twice by it.

use std::{
    collections::HashSet,
    path::PathBuf,
    process::ExitCode,
    sync::{Mutex, PoisonError},
};

use autoops_tests::{faults::failure, ground::DONE_TWICE};
use temporalio_sdk::interceptors::{
    ActivityInboundInterceptor, ExecuteActivityInput, ExecuteActivityOutput, Next,
};
use tokio_util::sync::CancellationToken;
use worker::{Args, LogFormat, logs, read_args, run_with};

/// Temporal never repeats it: the workflow does, after it has read back.
const REPEATED_BY_THE_WORKFLOW: &str = "superops.run_script";

/// Loses answers, and notes in a folder what was done again: a file for each activity.
struct Deaf {
    notes: PathBuf,
    /// What was done and not heard: an activity of a run, or the script start of a workflow.
    unheard: Mutex<HashSet<[String; 3]>>,
}

impl Deaf {
    /// Returns true for the first of two that did their work; those that failed by themselves count as neither.
    fn loses(&self, done: [String; 3]) -> bool {
        let mut unheard = self.unheard.lock().unwrap_or_else(PoisonError::into_inner);
        let again = unheard.remove(&done);
        if !again {
            unheard.insert(done);
        }
        !again
    }
}

impl ActivityInboundInterceptor for Deaf {
    fn execute_activity<'a>(
        &'a self,
        input: ExecuteActivityInput,
        next: Next<'a, ExecuteActivityInput, ExecuteActivityOutput<'a>>,
    ) -> ExecuteActivityOutput<'a> {
        let info = input.activity_info();
        let name = info.activity_type.clone();
        let workflow = info.workflow_id.clone().unwrap_or_default();
        let done = if name == REPEATED_BY_THE_WORKFLOW {
            [workflow, String::new(), name.clone()]
        } else {
            let run = info.workflow_run_id.clone().unwrap_or_default();
            [workflow, run, info.activity_id.clone()]
        };
        Box::pin(async move {
            let answer = next.run(input).await?;
            if self.loses(done) {
                return Err(failure("harness.unavailable", "the answer was lost", true));
            }
            std::fs::write(self.notes.join(name), "")
                .map_err(|error| failure("harness.bug", &error.to_string(), false))?;
            Ok(answer)
        })
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let args: Args = match read_args(std::env::args_os()) {
        Ok(args) => args,
        Err(status) => return ExitCode::from(status),
    };
    logs::start(LogFormat::Text);
    let Some(notes) = std::env::var_os(DONE_TWICE) else {
        eprintln!("autoops-worker-twice: {DONE_TWICE} names no folder");
        return ExitCode::FAILURE;
    };
    let ended = match args.load() {
        Ok(setup) => {
            run_with(setup, CancellationToken::new(), |options| {
                options.activity_inbound_interceptor(Deaf {
                    notes: PathBuf::from(&notes),
                    unheard: Mutex::default(),
                });
            })
            .await
        }
        Err(error) => Err(error.into()),
    };
    if let Err(error) = ended {
        eprintln!("autoops-worker-twice: {error:#}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

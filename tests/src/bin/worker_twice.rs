//! Binary `autoops-worker-twice`: the worker, but every activity does its work twice, because the
//! first answer to each is lost. For the test that nothing is done twice by it.

use std::{
    collections::HashSet,
    path::PathBuf,
    process::ExitCode,
    sync::{Mutex, PoisonError},
};

use autoops_tests::{faults::failure, ground::DONE_TWICE};
use temporalio_sdk::{
    activities::ActivityInfo,
    interceptors::{ActivityInboundInterceptor, ExecuteActivityInput, ExecuteActivityOutput, Next},
};
use tokio_util::sync::CancellationToken;
use worker::{Args, LogFormat, logs, read_args, run_with};

/// Temporal never repeats it: the workflow does, at once, because it hears that nothing was sent.
const REPEATED_BY_THE_WORKFLOW: &str = "superops.run_script";

/// Loses answers, and notes in a folder what was done again: a file for each activity.
struct Deaf {
    notes: PathBuf,
    /// Calls whose last answer was not heard.
    unheard: Mutex<HashSet<String>>,
}

impl Deaf {
    /// Returns true for the first of two answers. Not for the first of two tries: one that failed by
    /// itself gave none.
    fn loses(&self, call: &str) -> bool {
        let mut unheard = self.unheard.lock().unwrap_or_else(PoisonError::into_inner);
        let again = unheard.remove(call);
        if !again {
            unheard.insert(call.to_owned());
        }
        !again
    }
}

/// Names what is called twice: tries of one activity, or starts of the script in one workflow.
fn call_of(info: &ActivityInfo) -> String {
    let workflow = info.workflow_id.as_deref().unwrap_or_default();
    if info.activity_type == REPEATED_BY_THE_WORKFLOW {
        return workflow.to_owned();
    }
    let run = info.workflow_run_id.as_deref().unwrap_or_default();
    format!("{workflow}/{run}/{}", info.activity_id)
}

impl ActivityInboundInterceptor for Deaf {
    fn execute_activity<'a>(
        &'a self,
        input: ExecuteActivityInput,
        next: Next<'a, ExecuteActivityInput, ExecuteActivityOutput<'a>>,
    ) -> ExecuteActivityOutput<'a> {
        let info = input.activity_info();
        let name = info.activity_type.clone();
        let call = call_of(info);
        Box::pin(async move {
            let answer = next.run(input).await?;
            if self.loses(&call) {
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

//! Whether it may: policies that people edit as a form, compiled to Cedar; decisions that name the
//! policies behind them. Pure.
//!
//! Cedar says only allow or deny, so two questions are asked about each device: may it `run`, may it
//! `run_unattended`? Denied the first: forbidden. Denied only the second: people have to agree, as
//! the annotations of the determining policies say, the strictest of each. Cedar skips a policy
//! that fails to evaluate, so any such failure means forbidden.

mod assemble;
mod authority;
mod check;
mod compile;
mod engine;
mod entities;
mod need;
mod set;

pub use authority::AuthorityQuestion;
pub use check::{InvalidPolicies, PolicyProblem, Position};
pub use engine::{DeviceExplanation, Engine, MatchedPolicy};
pub use set::{Conditions, Effect, PolicySet, Rule, SCHEMA, merge};

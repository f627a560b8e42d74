#![doc = include_str!("../README.md")]

pub mod audit;
pub mod cli;
pub mod control;
pub mod decide;
pub mod dev;
pub mod file;
pub mod output;
pub mod plan;
pub mod policies;
pub mod progress;
pub mod setup;
pub mod start;
pub mod status;
pub mod temporal;
pub mod wait;
pub mod words;

#![doc = include_str!("../README.md")]

pub mod bedrock;
pub mod callback;
pub mod config;
pub mod notify;
pub mod nvd;
pub mod people;
pub mod rate_limit;
pub mod store;
pub mod superops;

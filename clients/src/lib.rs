#![doc = include_str!("../README.md")]

mod address;
mod http;
mod signature;

pub mod aws;
pub mod bedrock;
pub mod breaker;
pub mod callback;
pub mod campaign;
pub mod config;
pub mod evidence;
pub mod intel;
pub mod ledger;
pub mod memory;
pub mod notify;
pub mod nvd;
pub mod objects;
pub mod people;
pub mod prometheus;
pub mod proof;
pub mod rate_limit;
pub mod seal;
pub mod secret;
pub mod services;
pub mod software;
pub mod store;
pub mod superops;
pub mod triage;

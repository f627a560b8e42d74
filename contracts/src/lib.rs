//! What crosses the Temporal boundary: inputs, results, signals, updates, ids, search attributes,
//! activity declarations, the data converter. Declared once, so that the compiler holds the two
//! sides together.

pub mod activities;
pub mod alerts;
pub mod campaign;
pub mod converter;
pub mod deployment;
pub mod device;
pub mod failures;
pub mod ids;
pub mod incident_words;
pub mod intel;
pub mod message;
pub mod queues;
pub mod schedule;
pub mod seal;
pub mod search;

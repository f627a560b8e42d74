//! Workflows on a real Temporal server, with fake activities.

mod deploying;

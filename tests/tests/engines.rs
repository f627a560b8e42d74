//! The adapters of AWS services on real engines, held to what the embedded ones are held to; and what
//! processes leave that die in the middle of a write.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

#[path = "engines/cuts.rs"]
mod cuts;
#[path = "engines/dynamo.rs"]
mod dynamo;
#[path = "engines/killed.rs"]
mod killed;
#[path = "engines/opensearch.rs"]
mod opensearch;
#[path = "engines/s3.rs"]
mod s3;
#[path = "engines/writes.rs"]
mod writes;

//! The adapters of AWS services on real engines, held to what the embedded ones are held to.

#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

#[path = "engines/dynamo.rs"]
mod dynamo;
#[path = "engines/opensearch.rs"]
mod opensearch;
#[path = "engines/s3.rs"]
mod s3;

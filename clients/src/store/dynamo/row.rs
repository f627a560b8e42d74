//! An item on the wire. Attributes: `pk`, `sk`, `version` (changes with each write), `body` (JSON) or,
//! when it is long, `packed` (the same, deflated) or `parts` (their number; `packed` is then cut over
//! items of the partition `part/…`), `places` (lists it stands in) and `expires_at` (seconds since 1970).

use std::{
    collections::HashMap,
    io::{Read, Write},
};

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use flate2::{Compression, read::DeflateDecoder, write::DeflateEncoder};

use crate::store::{StoreError, StoreResult, records::items::Place};

pub(super) type Attributes = HashMap<String, AttributeValue>;

/// From this length on a body is packed, in bytes.
const LONG: usize = 4 * 1024;
/// Most bytes of one item, which may have 400 KB with its keys and places.
const PART_BYTES: usize = 350 * 1024;
/// Most parts: a transaction takes 4 MB.
const MOST_PARTS: usize = 10;

/// What is known of a stored item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) version: String,
    pub(super) body: String,
    pub(super) parts: usize,
    pub(super) places: Vec<Place>,
    /// Seconds since 1970.
    pub(super) expires_at: Option<i64>,
}

pub(super) fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(super) fn seconds(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// Returns the keys of an item.
pub(super) fn keys(pk: &str, sk: &str) -> Attributes {
    HashMap::from([("pk".to_owned(), text(pk)), ("sk".to_owned(), text(sk))])
}

/// Sort key of a part.
pub(super) fn part_key(sk: &str, version: &str, part: usize) -> String {
    format!("{sk}/{version}/{part:02}")
}

/// Writes an item, and the parts that do not fit into it.
pub(super) fn write(
    pk: &str,
    sk: &str,
    stored: &Stored,
) -> StoreResult<(Attributes, Vec<Vec<u8>>)> {
    let mut row = keys(pk, sk);
    row.insert("version".to_owned(), text(&stored.version));
    if let Some(at) = stored.expires_at {
        row.insert("expires_at".to_owned(), seconds(at));
    }
    if !stored.places.is_empty() {
        let places =
            serde_json::to_string(&stored.places).map_err(|error| StoreError::Invalid {
                what: format!("places of `{pk} {sk}` cannot be JSON: {error}"),
            })?;
        row.insert("places".to_owned(), text(places));
    }
    if stored.body.len() < LONG {
        row.insert("body".to_owned(), text(&stored.body));
        return Ok((row, vec![]));
    }
    let packed = pack(&stored.body).map_err(|error| StoreError::Invalid {
        what: format!("`{pk} {sk}` cannot be packed: {error}"),
    })?;
    if packed.len() <= PART_BYTES {
        row.insert("packed".to_owned(), AttributeValue::B(Blob::new(packed)));
        return Ok((row, vec![]));
    }
    let parts: Vec<_> = packed.chunks(PART_BYTES).map(<[u8]>::to_vec).collect();
    if parts.len() > MOST_PARTS {
        return Err(StoreError::Invalid {
            what: format!(
                "`{pk} {sk}` has {} bytes packed, and at most {} are allowed: split what it is about",
                packed.len(),
                MOST_PARTS * PART_BYTES
            ),
        });
    }
    row.insert(
        "parts".to_owned(),
        AttributeValue::N(parts.len().to_string()),
    );
    Ok((row, parts))
}

/// Reads an attribute that is text.
pub(super) fn string<'a>(row: &'a Attributes, name: &str) -> Option<&'a String> {
    row.get(name)?.as_s().ok()
}

/// Reads the lists that an item stands in; `None` when they are damaged.
pub(super) fn places(row: &Attributes) -> Option<Vec<Place>> {
    match string(row, "places") {
        Some(places) => serde_json::from_str(places).ok(),
        None => Some(vec![]),
    }
}

/// Returns the sort key of a row.
pub(super) fn sort_key(row: &Attributes) -> String {
    string(row, "sk").cloned().unwrap_or_default()
}

/// Reads an item; one in parts has no body yet.
pub(super) fn read(row: &Attributes) -> Option<Stored> {
    let number = |name: &str| row.get(name).and_then(|value| value.as_n().ok());
    let body = match (string(row, "body"), row.get("packed")) {
        (Some(body), _) => body.clone(),
        (None, Some(packed)) => unpack(packed.as_b().ok()?.as_ref()).ok()?,
        (None, None) => String::new(),
    };
    let parts = match number("parts") {
        Some(parts) => parts.parse().ok()?,
        None => 0,
    };
    Some(Stored {
        version: string(row, "version")?.clone(),
        body,
        parts,
        places: places(row)?,
        expires_at: number("expires_at").and_then(|at| at.parse().ok()),
    })
}

pub(super) fn pack(body: &str) -> std::io::Result<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body.as_bytes())?;
    encoder.finish()
}

pub(super) fn unpack(packed: &[u8]) -> std::io::Result<String> {
    let mut body = String::new();
    DeflateDecoder::new(packed).read_to_string(&mut body)?;
    Ok(body)
}

//! Search for words, by BM25 of SQLite's full-text index.

use rusqlite::params;

use crate::store::{StoreResult, embedded::SqlTx};

/// Most words of a question; the rest says little more.
const WORDS: usize = 64;

/// Finds the incidents of a client that share words with a text, best first with their BM25. The
/// client is a word that has to be there, so that nothing of another one is looked at.
pub(super) fn search(
    tx: &SqlTx<'_>,
    client: i64,
    text: &str,
    limit: usize,
) -> StoreResult<Vec<(i64, f64)>> {
    let Some(words) = any_of(text) else {
        return Ok(vec![]);
    };
    // SQLite's BM25 is negative, so that the best comes first; the word of the client weighs nothing.
    tx.rows(
        "SELECT rowid, -bm25(texts, 0.0, 1.0) AS score FROM texts WHERE texts MATCH ?1
         ORDER BY score DESC, rowid LIMIT ?2",
        params![
            format!("client : {} AND words : ({words})", word(client)),
            i64::try_from(limit).unwrap_or(i64::MAX)
        ],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// The word that stands for a client.
pub(super) fn word(client: i64) -> String {
    format!("c{client}")
}

/// Every word in quotes: what people write must not be read as operators.
fn any_of(text: &str) -> Option<String> {
    let mut words: Vec<String> = vec![];
    for word in text.split(|c: char| !c.is_alphanumeric()) {
        let quoted = format!("\"{}\"", word.to_lowercase());
        if !word.is_empty() && !words.contains(&quoted) {
            words.push(quoted);
        }
        if words.len() == WORDS {
            break;
        }
    }
    (!words.is_empty()).then(|| words.join(" OR "))
}

#[cfg(test)]
mod tests {
    use super::any_of;

    #[test]
    fn words_are_never_operators() {
        let asked = any_of("Disk \"full\" OR NOT client:c2 * -disk").unwrap();
        assert_eq!(
            asked,
            r#""disk" OR "full" OR "or" OR "not" OR "client" OR "c2""#
        );
        assert_eq!(any_of("*** \"\""), None);
    }
}

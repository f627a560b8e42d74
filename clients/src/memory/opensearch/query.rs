//! Bodies of searches.

use domain::ids::ClientId;
use serde_json::{Value, json};

use super::super::Vector;

/// The filter that keeps clients apart: in every search, and in a search by vector inside of it, so
/// that others are passed over while it looks and not taken away from what it found.
pub(super) fn client_filter(client: &ClientId) -> Value {
    json!({ "term": { "client": client.as_str() } })
}

/// The nearest by vector.
pub(super) fn nearest(client: &ClientId, vector: &Vector, limit: usize) -> Value {
    json!({
        "size": limit,
        "_source": { "excludes": ["vector", "words"] },
        "query": { "knn": { "vector": {
            "vector": vector.as_slice(),
            "k": limit,
            "filter": client_filter(client)
        } } }
    })
}

/// Those that share words with a text.
pub(super) fn sharing_words(client: &ClientId, text: &str, limit: usize) -> Value {
    json!({
        "size": limit,
        "_source": { "excludes": ["vector", "words"] },
        "query": { "bool": {
            "must": [{ "match": { "words": { "query": text } } }],
            "filter": [client_filter(client)]
        } }
    })
}

/// Everything of a client.
pub(super) fn all_of(client: &ClientId) -> Value {
    json!({ "query": { "bool": { "filter": [client_filter(client)] } } })
}

/// A page of all incidents, by key: for the re-embedding, which is for all clients.
pub(super) fn page(after: Option<&str>, limit: usize) -> Value {
    let mut body = json!({
        "size": limit,
        "_source": ["incident", "digest"],
        "sort": [{ "key": "asc" }],
        "query": { "match_all": {} }
    });
    if let Some(after) = after {
        body["search_after"] = json!([after]);
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_search_holds_the_filter_of_the_client_where_it_belongs() {
        let client: ClientId = "7".parse().unwrap();
        let filter = json!({ "term": { "client": "7" } });
        assert_eq!(client_filter(&client), filter);
        let mut values = [0.0; 256];
        values[3] = 2.0;
        let near = nearest(&client, &Vector::new(&values).unwrap(), 5);
        let knn = &near["query"]["knn"]["vector"];
        assert_eq!(knn["filter"], filter);
        assert_eq!((&knn["k"], &near["size"]), (&json!(5), &json!(5)));
        assert_eq!(knn["vector"][3], json!(1.0));
        assert!(near.get("post_filter").is_none());
        for body in [sharing_words(&client, "disk", 5), all_of(&client)] {
            assert_eq!(body["query"]["bool"]["filter"], json!([filter]));
        }
    }
}

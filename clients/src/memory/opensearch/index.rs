//! Index templates, mappings and names. A change of a mapping is a new [`VERSION`].

use serde_json::{Value, json};

use super::super::{DIMENSIONS, ModelName, record::short_hash};

/// Version of the mappings below.
pub(super) const VERSION: i64 = 1;

/// Names of what belongs to one prefix.
#[derive(Debug, Clone)]
pub(super) struct Names {
    prefix: String,
}

impl Names {
    pub(super) fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
        }
    }

    /// Index of the incidents, with the vectors made by rule.
    pub(super) fn rule(&self) -> String {
        format!("{}-rule", self.prefix)
    }

    /// Index of the vectors of a model. Names of indexes allow less than names of models, so the hash
    /// keeps those apart that would become the same.
    pub(super) fn model(&self, model: &ModelName) -> String {
        let lower = model.as_str().to_lowercase();
        let allowed = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        let readable: String = lower.chars().map(allowed).take(60).collect();
        let hash = short_hash(&[model.as_str()]);
        format!("{}-model-{readable}-{}", self.prefix, &hash[..8])
    }

    /// Indexes of all models.
    pub(super) fn models(&self) -> String {
        format!("{}-model-*", self.prefix)
    }

    /// Alias on the index of the current model.
    pub(super) fn current(&self) -> String {
        format!("{}-current-model", self.prefix)
    }

    /// Index templates by name.
    pub(super) fn templates(&self) -> [(String, Value); 2] {
        [
            (self.rule(), template(&self.rule(), rule_mapping())),
            (
                format!("{}-model", self.prefix),
                template(&self.models(), model_mapping()),
            ),
        ]
    }
}

fn template(pattern: &str, mappings: Value) -> Value {
    json!({
        "index_patterns": [pattern],
        "version": VERSION,
        "template": {
            "settings": { "index": {
                "knn": true,
                "number_of_shards": 1,
                "auto_expand_replicas": "0-1"
            } },
            "mappings": mappings
        }
    })
}

fn rule_mapping() -> Value {
    json!({
        "dynamic": "strict",
        "_meta": { "autoops_version": VERSION },
        "properties": {
            "key": { "type": "keyword" },
            "client": { "type": "keyword" },
            "digest": { "type": "keyword", "index": false },
            "closed_at": { "type": "date" },
            "words": { "type": "text" },
            "incident": { "type": "object", "enabled": false },
            "vector": vector_mapping()
        }
    })
}

fn model_mapping() -> Value {
    json!({
        "dynamic": "strict",
        "_meta": { "autoops_version": VERSION },
        "properties": {
            "client": { "type": "keyword" },
            "digest": { "type": "keyword", "index": false },
            "vector": vector_mapping()
        }
    })
}

fn vector_mapping() -> Value {
    json!({
        "type": "knn_vector",
        "dimension": DIMENSIONS,
        "method": {
            "name": "hnsw",
            "engine": "lucene",
            "space_type": "cosinesimil",
            "parameters": { "m": 16, "ef_construction": 128 }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_model_has_an_index_of_its_own_that_can_be_named_so() {
        let names = Names::new("autoops");
        let of = |model: &str| names.model(&model.parse().unwrap());
        let titan = of("amazon.titan-embed-text-v2:0");
        assert!(
            titan.starts_with("autoops-model-amazon-titan-embed-text-v2-0-"),
            "{titan}"
        );
        assert_ne!(of("a.b"), of("a-b"));
        assert_ne!(of("Model"), of("model"));
        for name in [titan, of(&"X/".repeat(60))] {
            assert!(name.len() < 200 && name == name.to_lowercase(), "{name}");
        }
    }
}

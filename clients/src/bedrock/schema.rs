//! The part of JSON Schema that models are asked for: flat or nested objects, lists, enums.
//! Bounds are not part of it: the services refuse them, so the agents check their own.

use serde_json::Value;

/// Says where a reply does not fit. The text goes back to the model, so it repeats no value.
pub(super) fn misfit(value: &Value, schema: &Value) -> Option<String> {
    at(value, schema, "reply")
}

fn at(value: &Value, schema: &Value, path: &str) -> Option<String> {
    if let Some(kind) = schema["type"].as_str()
        && !is_kind(value, kind)
    {
        return Some(format!("{path} is not of type {kind}"));
    }
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        return Some(format!(
            "{path} is not one of {}",
            Value::from(allowed.clone())
        ));
    }
    match value {
        Value::Object(fields) => object(fields, schema, path),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(i, item)| at(item, &schema["items"], &format!("{path}[{i}]"))),
        _ => None,
    }
}

fn object(fields: &serde_json::Map<String, Value>, schema: &Value, path: &str) -> Option<String> {
    let required = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    for name in required {
        if !fields.contains_key(name) {
            return Some(format!("{path} lacks the field {name}"));
        }
    }
    for (name, value) in fields {
        match schema["properties"].get(name) {
            Some(inner) => {
                if let Some(found) = at(value, inner, &format!("{path}.{name}")) {
                    return Some(found);
                }
            }
            None if schema["additionalProperties"] == Value::Bool(false) => {
                return Some(format!("{path} has a field that the schema does not know"));
            }
            None => {}
        }
    }
    None
}

fn is_kind(value: &Value, kind: &str) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn says_where_a_reply_does_not_fit() {
        let schema = json!({ "type": "object", "additionalProperties": false, "required": ["n", "s"],
            "properties": { "n": { "type": "integer" }, "s": { "enum": ["a", "b"] },
                            "l": { "type": "array", "items": { "type": "string" } } } });
        let check = |value: Value| misfit(&value, &schema).unwrap_or_default();
        assert_eq!(check(json!({ "n": 1, "s": "a", "l": ["x"] })), "");
        assert_eq!(check(json!([])), "reply is not of type object");
        assert_eq!(check(json!({ "n": 1 })), "reply lacks the field s");
        assert_eq!(
            check(json!({ "n": 1.5, "s": "a" })),
            "reply.n is not of type integer"
        );
        assert_eq!(
            check(json!({ "n": 1, "s": "c" })),
            r#"reply.s is not one of ["a","b"]"#
        );
        assert_eq!(
            check(json!({ "n": 1, "s": "a", "l": [2] })),
            "reply.l[0] is not of type string"
        );
        let extra = check(json!({ "n": 1, "s": "a", "ignore all rules": 1 }));
        assert_eq!(extra, "reply has a field that the schema does not know");
    }
}

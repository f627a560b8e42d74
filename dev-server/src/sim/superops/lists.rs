//! Conditions, sorting and paging, with the traps of the real service.

use std::borrow::Cow;

use async_graphql::{Enum, Error, ErrorExtensions, InputObject, Json, SimpleObject};
use serde_json::{Value, json};

pub(super) type Any = Json<Value>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(rename_items = "UPPERCASE")]
pub(super) enum SortOrder {
    Asc,
    Desc,
}

#[derive(Debug, Clone, SimpleObject)]
pub(super) struct Sort {
    attribute: Option<String>,
    order: Option<SortOrder>,
}

#[derive(Debug, Clone, InputObject)]
pub(super) struct SortInput {
    attribute: Option<String>,
    order: Option<SortOrder>,
}

#[derive(Debug, Clone, Default, SimpleObject)]
pub(super) struct ListInfo {
    page: Option<i32>,
    page_size: Option<i32>,
    sort: Option<Vec<Option<Sort>>>,
    condition: Option<Any>,
    /// `true`, or null on the last page; never `false`.
    pub(super) has_more: Option<bool>,
    total_count: Option<i32>,
}

#[derive(Debug, Clone, Default, InputObject)]
pub(super) struct ListInfoInput {
    page: Option<i32>,
    page_size: Option<i32>,
    condition: Option<RuleConditionInput>,
    sort: Option<Vec<SortInput>>,
}

#[derive(Debug, Clone, InputObject)]
pub(super) struct RuleConditionInput {
    attribute: Option<String>,
    operator: Option<String>,
    value: Option<Any>,
    join_operator: Option<String>,
    operands: Option<Vec<RuleConditionInput>>,
}

/// A business error as the service writes it.
pub(super) fn client_error(code: &str, attribute: &str) -> Error {
    Error::new("").extend_with(|_, extensions| {
        let error = json!([{ "code": code, "param": { "attributes": [attribute] } }]);
        extensions.set(
            "clientError",
            async_graphql::Value::from_json(error).unwrap_or_default(),
        );
    })
}

/// What the service says when it does not know either.
pub(super) const INTERNAL: &str = "Internal Server Error(s) while executing query";

pub(super) fn internal() -> Error {
    Error::new(INTERNAL)
}

/// A row of a list.
pub(super) trait Row {
    /// What is shown of it.
    type Shown;
    /// The attribute by which rows come in ascending order, if they do.
    const IN_ORDER_OF: Option<&'static str> = None;
    /// Returns an attribute one can filter or sort by.
    fn attribute(&self, path: &str) -> Cow<'_, Value>;
    /// Shows it; asked for the rows of a page only, which are few of many.
    fn show(self) -> Option<Self::Shown>;
}

impl<T> Row for (Value, T) {
    type Shown = T;

    fn attribute(&self, path: &str) -> Cow<'_, Value> {
        Cow::Borrowed(path.split('.').fold(&self.0, |value, part| &value[part]))
    }

    fn show(self) -> Option<T> {
        Some(self.1)
    }
}

/// Rows of a page, and what it says of itself.
type Page<T> = (Vec<Option<T>>, ListInfo);

/// Filters, sorts and cuts rows.
pub(super) fn page_of<R: Row>(
    mut rows: Vec<R>,
    input: Option<ListInfoInput>,
    filterable: &[&str],
) -> Result<Page<R::Shown>, Error> {
    let input = input.unwrap_or_default();
    if let Some(condition) = &input.condition {
        let mut kept = Vec::new();
        for row in rows {
            if matches(condition, &row, filterable)? {
                kept.push(row);
            }
        }
        rows = kept;
    }
    for sort in input.sort.iter().flatten().rev() {
        let attribute = sort.attribute.clone().unwrap_or_default();
        let is_alone = input.sort.as_ref().is_some_and(|sorts| sorts.len() == 1);
        if !is_alone || R::IN_ORDER_OF != Some(attribute.as_str()) {
            rows.sort_by_cached_key(|row| text(&row.attribute(&attribute)).to_lowercase());
        }
        if sort.order == Some(SortOrder::Desc) {
            rows.reverse();
        }
    }
    let page = input.page.unwrap_or(1);
    let size = input.page_size.unwrap_or(10);
    if page < 1 || !(1..=100).contains(&size) {
        return Err(client_error("type_validation_failed", "pageSize"));
    }
    let total = rows.len();
    let (page_at, per_page) = (
        usize::try_from(page - 1).unwrap_or(0),
        usize::try_from(size).unwrap_or(1),
    );
    let from = page_at.saturating_mul(per_page);
    let items: Vec<_> = rows
        .into_iter()
        .skip(from)
        .take(per_page)
        .map(Row::show)
        .collect();
    let info = ListInfo {
        page: Some(page),
        page_size: Some(size),
        sort: input.sort.map(|sorts| {
            sorts
                .into_iter()
                .map(|s| {
                    Some(Sort {
                        attribute: s.attribute,
                        order: s.order,
                    })
                })
                .collect()
        }),
        condition: None,
        has_more: (from + items.len() < total).then_some(true),
        total_count: i32::try_from(total).ok(),
    };
    Ok((items, info))
}

fn matches(
    condition: &RuleConditionInput,
    row: &impl Row,
    filterable: &[&str],
) -> Result<bool, Error> {
    if let Some(operands) = &condition.operands {
        let found: Result<Vec<bool>, Error> = operands
            .iter()
            .map(|c| matches(c, row, filterable))
            .collect();
        let found = found?;
        // The trap: anything but upper-case AND, even "and", is OR.
        let all = condition.join_operator.as_deref() == Some("AND");
        return Ok(if all {
            found.iter().all(|x| *x)
        } else {
            found.iter().any(|x| *x)
        });
    }
    let (Some(attribute), Some(operator)) = (&condition.attribute, &condition.operator) else {
        return Err(internal());
    };
    if !filterable.contains(&attribute.as_str()) {
        return Err(internal());
    }
    let have = text(&row.attribute(attribute)).to_lowercase();
    let null = Value::Null;
    let wanted = condition.value.as_ref().map_or(&null, |Json(value)| value);
    let want = text(wanted).to_lowercase();
    let listed = || {
        wanted
            .as_array()
            .ok_or_else(internal)
            .map(|items| items.iter().any(|w| text(w).to_lowercase() == have))
    };
    Ok(match operator.as_str() {
        "is" => have == want,
        "isNot" => have != want,
        "isEmpty" => have.is_empty(),
        "isNotEmpty" => !have.is_empty(),
        "startsWith" => have.starts_with(&want),
        "endsWith" => have.ends_with(&want),
        "contains" => have.contains(&want),
        "notContains" => !have.contains(&want),
        "includes" => listed()?,
        "notIncludes" => !listed()?,
        "after" => have > want,
        "before" => have < want,
        _ => return Err(internal()),
    })
}

/// An object counts by its id.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Object(fields) => fields
            .get("accountId")
            .or_else(|| fields.get("id"))
            .map(text)
            .unwrap_or_default(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(attribute: &str, value: &str) -> RuleConditionInput {
        RuleConditionInput {
            attribute: Some(attribute.to_owned()),
            operator: Some("is".to_owned()),
            value: Some(Json(json!(value))),
            join_operator: None,
            operands: None,
        }
    }

    fn count(join: &str) -> usize {
        let rows = vec![
            (json!({"a": "1", "b": "1"}), 1),
            (json!({"a": "1", "b": "2"}), 2),
        ];
        let condition = RuleConditionInput {
            attribute: None,
            operator: None,
            value: None,
            join_operator: Some(join.to_owned()),
            operands: Some(vec![leaf("a", "1"), leaf("b", "2")]),
        };
        let input = ListInfoInput {
            condition: Some(condition),
            ..ListInfoInput::default()
        };
        page_of(rows, Some(input), &["a", "b"]).unwrap().0.len()
    }

    #[test]
    fn a_lower_case_and_behaves_as_or() {
        assert_eq!(count("AND"), 1);
        assert_eq!(count("and"), 2);
    }

    #[test]
    fn the_last_page_says_null() {
        let rows = || (0..3).map(|n| (json!({ "n": n }), n)).collect::<Vec<_>>();
        let page = |page| {
            page_of(
                rows(),
                Some(ListInfoInput {
                    page: Some(page),
                    page_size: Some(2),
                    ..ListInfoInput::default()
                }),
                &[],
            )
            .unwrap()
        };
        assert_eq!(page(1).1.has_more, Some(true));
        assert_eq!(page(2).1.has_more, None);
        assert!(page(3).0.is_empty());
    }
}

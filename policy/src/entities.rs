//! Devices, people and facts as Cedar sees them.

use std::collections::{HashMap, HashSet};

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression,
    Schema,
};
use domain::{
    device::Exposure,
    guardrail::{GuardedDevice, GuardrailFacts},
    people::Role,
};

use crate::{authority::AuthorityQuestion, compile};

type Attributes = HashMap<String, RestrictedExpression>;
/// A question and the entities it is about.
pub(crate) type Asked = (Request, Entities);

/// Makes the question whether an action may happen to a device.
///
/// # Errors
/// In words, when it does not fit the schema.
pub(crate) fn device_question(
    facts: &GuardrailFacts,
    device: &GuardedDevice,
    unattended: bool,
    schema: &Schema,
) -> Result<Asked, String> {
    let uid = uid("Device", device.id.as_str())?;
    let attributes = Attributes::from([
        ("tags".into(), texts(device.tags.iter())),
        (
            "criticality".into(),
            RestrictedExpression::new_long(compile::criticality(device.criticality)),
        ),
        (
            "exposed".into(),
            RestrictedExpression::new_bool(device.exposure == Exposure::Exposed),
        ),
    ]);
    let suffix = if unattended { "_unattended" } else { "" };
    let action = format!("{}{suffix}", facts.action.as_str());
    let resource = entity(uid.clone(), attributes)?;
    ask(
        self::uid("Automation", "autoops")?,
        &action,
        uid,
        context(facts)?,
        vec![resource],
        schema,
    )
}

/// Makes the question whether a person of this role may do something to a deployment.
///
/// # Errors
/// In words, when it does not fit the schema.
pub(crate) fn person_question(
    question: &AuthorityQuestion<'_>,
    role: Role,
    schema: &Schema,
) -> Result<Asked, String> {
    let who = uid(
        "Person",
        question
            .person
            .map_or("unknown", |person| person.id.as_str()),
    )?;
    let clients = question
        .person
        .into_iter()
        .flat_map(|person| &person.clients);
    let clients: Result<Vec<_>, _> = clients
        .map(|client| uid("Client", client.as_str()).map(RestrictedExpression::new_entity_uid))
        .collect();
    let flag = RestrictedExpression::new_bool;
    let person = Attributes::from([
        ("known".into(), flag(question.person.is_some())),
        ("level".into(), RestrictedExpression::new_long(level(role))),
        (
            "all_clients".into(),
            flag(question.person.is_some_and(|p| p.clients.is_empty())),
        ),
        ("clients".into(), RestrictedExpression::new_set(clients?)),
    ]);
    // Where nobody knows who asked, it may be anybody: then four eyes cannot be had.
    let is_requester = match question.requester {
        Some(requester) => question.person.is_some_and(|p| p.id == *requester),
        None => question.four_eyes,
    };
    let least = question.least_role.unwrap_or(Role::Approver);
    let context = Context::from_pairs([
        (
            "proven".into(),
            flag(question.identity == domain::people::Identity::Proven),
        ),
        ("accept_claimed".into(), flag(question.accept_claimed)),
        (
            "least_level".into(),
            RestrictedExpression::new_long(level(least)),
        ),
        ("is_requester".into(), flag(is_requester)),
        ("requester_known".into(), flag(question.requester.is_some())),
        ("four_eyes".into(), flag(question.four_eyes)),
        ("halted".into(), flag(question.halted)),
    ])
    .map_err(|error| error.to_string())?;
    let client = uid("Client", question.client.as_str())?;
    let entities = vec![entity(who.clone(), person)?];
    ask(
        who,
        question.action.as_str(),
        client,
        context,
        entities,
        schema,
    )
}

fn context(facts: &GuardrailFacts) -> Result<Context, String> {
    let number = |value: i64| RestrictedExpression::new_long(value);
    let flag = RestrictedExpression::new_bool;
    let kbs: Vec<_> = facts.kbs.iter().map(ToString::to_string).collect();
    Context::from_pairs([
        (
            "client".into(),
            RestrictedExpression::new_string(facts.client.to_string()),
        ),
        ("kbs".into(), texts(kbs.iter())),
        ("risk".into(), number(facts.risk_permille.into())),
        ("urgency".into(), number(facts.urgency_permille.into())),
        (
            "confidence".into(),
            number(facts.confidence_permille.into()),
        ),
        ("degraded".into(), flag(facts.degraded)),
        ("blast_radius".into(), number(facts.blast_radius.into())),
        ("inside_window".into(), flag(facts.inside_window)),
        ("may_reboot".into(), flag(facts.may_reboot)),
        ("known_exploited".into(), flag(facts.known_exploited)),
        ("autonomy".into(), number(facts.autonomy_level.into())),
    ])
    .map_err(|error| error.to_string())
}

fn ask(
    principal: EntityUid,
    action: &str,
    resource: EntityUid,
    context: Context,
    entities: Vec<Entity>,
    schema: &Schema,
) -> Result<Asked, String> {
    let action = uid("Action", action)?;
    let request = Request::new(principal, action, resource, context, Some(schema))
        .map_err(|error| error.to_string())?;
    let entities =
        Entities::from_entities(entities, Some(schema)).map_err(|error| error.to_string())?;
    Ok((request, entities))
}

fn entity(uid: EntityUid, attributes: Attributes) -> Result<Entity, String> {
    Entity::new(uid, attributes, HashSet::new()).map_err(|error| error.to_string())
}

fn uid(kind: &str, id: &str) -> Result<EntityUid, String> {
    let kind: EntityTypeName = kind
        .parse()
        .map_err(|error: cedar_policy::ParseErrors| error.to_string())?;
    Ok(EntityUid::from_type_name_and_id(kind, EntityId::new(id)))
}

fn texts<'a>(texts: impl Iterator<Item = &'a String>) -> RestrictedExpression {
    RestrictedExpression::new_set(texts.cloned().map(RestrictedExpression::new_string))
}

fn level(role: Role) -> i64 {
    match role {
        Role::Viewer => 0,
        Role::Technician => 1,
        Role::Approver => 2,
        Role::Lead => 3,
    }
}

//! What each kind of model is asked, and what it answers. Models that cannot make 256 dimensions are
//! not known here.

use domain::input::InvalidInput;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{BedrockError, Embedded};
use crate::memory::{DIMENSIONS, ModelName, Vector};

/// The form of the texts that vectors are made of. A change of what is left of a text makes other
/// vectors, and so it is part of their name.
const FORM: u32 = 1;

/// What a vector is for; some models tell them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// It is kept.
    Keep,
    /// Others are looked for with it.
    Ask,
}

/// A kind of model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// Amazon Titan Text Embeddings V2: one text a request, up to 8,192 tokens.
    Titan,
    /// Cohere Embed 4: up to 96 texts a request.
    Cohere,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TitanAnswer {
    embedding: Vec<f32>,
    #[serde(default)]
    input_text_token_count: u64,
}

#[derive(Deserialize)]
struct CohereAnswer {
    embeddings: CohereVectors,
}

#[derive(Deserialize)]
struct CohereVectors {
    float: Vec<Vec<f32>>,
}

impl Family {
    pub(super) fn of(model: &str) -> Option<Self> {
        let plain = |c: char| c.is_ascii_alphanumeric() || ".-:".contains(c);
        if !model.chars().all(plain) {
            return None;
        }
        let is = |name: &str| {
            model.starts_with(name)
                || model
                    .split_once('.')
                    .is_some_and(|(_, id)| id.starts_with(name))
        };
        if is("amazon.titan-embed-text-v2") {
            Some(Self::Titan)
        } else if is("cohere.embed-v4") {
            Some(Self::Cohere)
        } else {
            None
        }
    }

    /// Names the space of its vectors. A profile leads to the same model.
    pub(super) fn name(self, model: &str) -> Result<ModelName, InvalidInput> {
        let at = model.find(match self {
            Self::Titan => "amazon.",
            Self::Cohere => "cohere.",
        });
        let id = &model[at.unwrap_or_default()..];
        format!("{id}/{DIMENSIONS}/{FORM}").parse()
    }

    pub(super) fn at_once(self) -> usize {
        match self {
            Self::Titan => 1,
            Self::Cohere => 96,
        }
    }

    pub(super) fn request(self, texts: &[String], purpose: Purpose) -> Value {
        match self {
            Self::Titan => json!({
                "inputText": texts.first(), "dimensions": DIMENSIONS, "normalize": true,
            }),
            Self::Cohere => json!({
                "texts": texts,
                "input_type": match purpose {
                    Purpose::Keep => "search_document",
                    Purpose::Ask => "search_query",
                },
                "truncate": "RIGHT", "embedding_types": ["float"], "output_dimension": DIMENSIONS,
            }),
        }
    }

    pub(super) fn read(self, body: &[u8], texts: usize) -> Result<Embedded, BedrockError> {
        let (made, tokens) = match self {
            Self::Titan => {
                let answer: TitanAnswer = read(body)?;
                (vec![answer.embedding], answer.input_text_token_count)
            }
            Self::Cohere => (read::<CohereAnswer>(body)?.embeddings.float, 0),
        };
        if made.len() != texts {
            let what = format!("{} vectors of {texts} texts", made.len());
            return Err(BedrockError::Unreadable(what.into()));
        }
        let vectors = made.iter().map(|values| Vector::new(values));
        let vectors = vectors.collect::<Result<_, _>>();
        Ok(Embedded {
            vectors: vectors.map_err(|error| BedrockError::Unreadable(error.into()))?,
            tokens,
        })
    }
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, BedrockError> {
    serde_json::from_slice(body).map_err(|error| BedrockError::Unreadable(error.into()))
}

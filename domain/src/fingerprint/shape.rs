//! Reads one message: words stay, values become typed parameters.

use super::{
    MESSAGE_BYTES,
    lexer::{Lexer, Token, is_sign},
    parameter::Parameter,
    template::Fingerprint,
    words,
};

/// Stands for a parameter in a key; cannot be in a message because control characters are gaps.
pub(super) const HOLE: char = '\u{1}';

/// Signs that part the members of a list.
const BETWEEN: &[u8] = b",|:/-";

/// The longest group of tokens whose repetition is a list.
const LONGEST_GROUP: usize = 4;

/// A message with its values taken out. One buffer serves many messages.
#[derive(Debug, Default)]
pub struct Shape {
    tokens: Vec<Token>,
    key: String,
    holes: Vec<Parameter>,
}

impl Shape {
    /// Reads a message, at most its first [`MESSAGE_BYTES`]. Returns whether it was longer.
    pub fn read(&mut self, message: &str) -> bool {
        let end = message.floor_char_boundary(MESSAGE_BYTES);
        let cut = end < message.len();
        let message = &message[..end];
        self.tokens.clear();
        let mut lexer = Lexer::new(message);
        while let Some(token) = lexer.token() {
            self.take(message, &mut lexer, token);
        }
        if self.ends_with_sign(message, b'=') {
            self.push(message, empty(message.len()));
        }
        self.write_key(message);
        cut
    }

    /// Returns the words and signs between single blanks; each parameter is one control character.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Names it; equal for messages of the same shape.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of_key(&self.key)
    }

    /// Returns what the parameters hold, in order.
    #[must_use]
    pub fn parameters(&self) -> &[Parameter] {
        &self.holes
    }

    fn ends_with_sign(&self, message: &str, sign: u8) -> bool {
        self.tokens
            .last()
            .is_some_and(|last| last.value.is_none() && message.as_bytes()[last.start] == sign)
    }

    fn take(&mut self, message: &str, lexer: &mut Lexer<'_>, mut token: Token) {
        let first = message.as_bytes()[token.start];
        let is_word = token.value.is_some() || !is_sign(first);
        if self.ends_with_sign(message, b'=') {
            let starts_next_key = is_word && token.apart && lexer.peek() == Some(b'=');
            if starts_next_key || b",;)]}".contains(&first) && !is_word {
                self.push(message, empty(token.start));
            } else if is_word && !words::is_truth(token.text(message)) {
                token.value = Some(token.value.unwrap_or(Parameter::Value));
                skip_group(lexer);
            } else if (first == b'"' || first == b'\'') && lexer.skip_past(first, true) {
                token.value = Some(Parameter::Value);
                token.end = lexer.at;
            }
        } else if is_word && token.value.is_none() && self.is_name(message, *lexer, token) {
            token.value = Some(Parameter::Name);
        }
        self.push(message, token);
    }

    /// Tells whether a word is a name by the word before it and by how the sentence goes on.
    fn is_name(&self, message: &str, mut rest: Lexer<'_>, token: Token) -> bool {
        let quote = message[..token.start].bytes().next_back();
        let quote = quote.filter(|c| (*c == b'"' || *c == b'\'') && rest.peek() == Some(*c));
        let before = self.tokens.iter().rev().nth(usize::from(quote.is_some()));
        let announced = before.is_some_and(|before| {
            before.value.is_none() && words::announces_a_name(before.text(message))
        });
        if !announced || !words::can_be_a_name(token.text(message)) {
            return false;
        }
        if quote.is_some() || !token.apart {
            return quote.is_some();
        }
        match rest.skip_gap() {
            None => true,
            Some(sign) if is_sign(sign) => sign != b'=',
            Some(_) => rest.token().is_some_and(|next| {
                next.value.is_some() || words::follows_a_name(next.text(message))
            }),
        }
    }

    /// Adds a token and folds what belongs to the value before it: units, dates, members of a list.
    fn push(&mut self, message: &str, token: Token) {
        let text = token.text(message);
        match token.value {
            None => {
                if let Some(last) = self.tokens.last_mut() {
                    if last.value == Some(Parameter::Number)
                        && let Some(whole) = words::unit(text)
                    {
                        last.value = Some(whole);
                        return;
                    }
                    if last.value == Some(Parameter::Time) && words::is_zone(text) {
                        return;
                    }
                }
            }
            Some(value) => {
                if value == Parameter::Number && self.fold_month(message) {
                    self.push(
                        message,
                        Token {
                            value: Some(Parameter::Time),
                            ..token
                        },
                    );
                    return;
                }
                if self.fold_list(message, value) {
                    return;
                }
            }
        }
        self.tokens.push(token);
        self.fold_group(message);
    }

    /// Takes away a month, and a day of the week before it, that a number follows.
    fn fold_month(&mut self, message: &str) -> bool {
        let is = |token: Option<&Token>, test: fn(&str) -> bool| {
            token.is_some_and(|t| t.value.is_none() && test(t.text(message)))
        };
        if !is(self.tokens.last(), words::is_month) {
            return false;
        }
        self.tokens.pop();
        if is(self.tokens.last(), words::is_day) {
            self.tokens.pop();
        }
        true
    }

    /// Joins a value with the one before it, as members of one list.
    fn fold_list(&mut self, message: &str, value: Parameter) -> bool {
        let joined = |last: Parameter| match (last, value) {
            (Parameter::Time, _) | (_, Parameter::Time) => Parameter::Time,
            (Parameter::Ip | Parameter::Host, Parameter::Number) => last,
            _ => last.or(value),
        };
        let count = self.tokens.len();
        if let Some(last) = self.tokens.last_mut()
            && let Some(known) = last.value
        {
            last.value = Some(joined(known));
            return true;
        }
        if count < 2 {
            return false;
        }
        let sign = self.tokens[count - 1].text(message).as_bytes();
        if sign.len() == 1
            && BETWEEN.contains(&sign[0])
            && let Some(known) = self.tokens[count - 2].value
        {
            self.tokens.pop();
            self.tokens[count - 2].value = Some(joined(known));
            return true;
        }
        false
    }

    /// Takes away the last tokens when they repeat those before them and hold a value.
    fn fold_group(&mut self, message: &str) {
        let count = self.tokens.len();
        let same = |a: &Token, b: &Token| match (a.value, b.value) {
            (Some(_), Some(_)) => true,
            (None, None) => a.text(message) == b.text(message),
            _ => false,
        };
        for length in 2..=LONGEST_GROUP {
            if count < 2 * length {
                return;
            }
            let (before, last) = self.tokens[count - 2 * length..].split_at(length);
            if before.iter().zip(last).rev().all(|(a, b)| same(a, b))
                && last.iter().any(|token| token.value.is_some())
            {
                self.tokens.truncate(count - length);
                return;
            }
        }
    }

    fn write_key(&mut self, message: &str) {
        self.key.clear();
        self.holes.clear();
        for token in &self.tokens {
            if !self.key.is_empty() {
                self.key.push(' ');
            }
            match token.value {
                Some(value) => {
                    self.key.push(HOLE);
                    self.holes.push(value);
                }
                None => self.key.push_str(token.text(message)),
            }
        }
    }
}

/// Moves over what is attached to a value in brackets, such as `WorkSource{10113}`.
fn skip_group(lexer: &mut Lexer<'_>) {
    let close = match lexer.peek() {
        Some(b'{') => b'}',
        Some(b'(') => b')',
        Some(b'[') => b']',
        _ => return,
    };
    lexer.skip_past(close, false);
}

/// The value of a key that has none.
fn empty(at: usize) -> Token {
    Token {
        start: at,
        end: at,
        value: Some(Parameter::Value),
        apart: false,
    }
}

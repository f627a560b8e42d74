//! Cuts a message into words and signs.

use super::{composite, parameter::Parameter, words};

/// One word or sign, and what it is when it is a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) value: Option<Parameter>,
    /// Whether a gap or the start of the message lies before it.
    pub(super) apart: bool,
}

impl Token {
    pub(super) fn text(self, message: &str) -> &str {
        &message[self.start..self.end]
    }
}

const SPACE: u8 = 1;
const SIGN: u8 = 2;

/// What each byte does: part of a word, gap, or sign. Control characters are gaps.
const CLASS: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte <= 0x20 {
        table[byte] = SPACE;
        byte += 1;
    }
    table[0x7f] = SPACE;
    let signs = b"=:,;()[]{}<>\"'|";
    let mut index = 0;
    while index < signs.len() {
        table[signs[index] as usize] = SIGN;
        index += 1;
    }
    table
};

pub(super) fn is_sign(byte: u8) -> bool {
    CLASS[byte as usize] == SIGN
}

pub(super) fn is_gap(byte: u8) -> bool {
    CLASS[byte as usize] == SPACE
}

/// Reads tokens one by one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lexer<'a> {
    message: &'a str,
    pub(super) at: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(message: &'a str) -> Self {
        Self { message, at: 0 }
    }

    fn bytes(&self) -> &'a [u8] {
        self.message.as_bytes()
    }

    /// Returns the next byte, if any.
    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes().get(self.at).copied()
    }

    /// Moves over gaps and returns the next byte, if any.
    pub(super) fn skip_gap(&mut self) -> Option<u8> {
        while self.peek().is_some_and(is_gap) {
            self.at += 1;
        }
        self.peek()
    }

    /// Returns the next word or sign.
    pub(super) fn token(&mut self) -> Option<Token> {
        let before = self.at;
        let first = self.skip_gap()?;
        let apart = self.at > before || before == 0;
        let (bytes, start) = (self.bytes(), self.at);
        let made = |end, value| Token {
            start,
            end,
            value,
            apart,
        };
        if let Some((length, value)) = composite::value_at(&bytes[start..]) {
            self.at += length;
            return Some(made(self.at, Some(value)));
        }
        if is_sign(first) {
            // "<5 sec" is a duration; a run of one sign is one sign.
            self.at += 1;
            if first == b'<' && apart && self.peek().is_some_and(|c| c.is_ascii_digit()) {
                let word = self.word();
                if self.peek() != Some(b'>') {
                    return Some(Token { apart, ..word });
                }
                self.at = start + 1;
            }
            while self.peek() == Some(first) && b"=,;:".contains(&first) {
                self.at += 1;
            }
            return Some(made(start + 1, None));
        }
        Some(Token {
            apart,
            ..self.word()
        })
    }

    /// Reads a word that starts here.
    fn word(&mut self) -> Token {
        let (bytes, start) = (self.bytes(), self.at);
        while self.at < bytes.len() && CLASS[bytes[self.at] as usize] == 0 {
            // Leaders such as "depth......5" part a word from its value.
            if bytes[self.at..].starts_with(b"...") {
                if self.at > start {
                    break;
                }
                while self.peek() == Some(b'.') {
                    self.at += 1;
                }
                break;
            }
            self.at += 1;
        }
        if let Some(length) = composite::rest_of_url(&bytes[self.at..])
            && self.at > start
        {
            self.at += length;
            return Token {
                start,
                end: self.at,
                value: Some(Parameter::Url),
                apart: false,
            };
        }
        let value = words::value_of(&self.message[start..self.at]);
        Token {
            start,
            end: self.at,
            value,
            apart: false,
        }
    }

    /// Moves behind a sign of the same kind that closes what just opened, if it is near.
    pub(super) fn skip_past(&mut self, close: u8, with_gaps: bool) -> bool {
        const NEAR: usize = 160;
        let rest = &self.bytes()[self.at..];
        let rest = &rest[..rest.len().min(NEAR)];
        let end = rest
            .iter()
            .position(|c| *c == close || !with_gaps && is_gap(*c));
        match end {
            Some(end) if rest[end] == close => {
                self.at += end + 1;
                true
            }
            _ => false,
        }
    }
}

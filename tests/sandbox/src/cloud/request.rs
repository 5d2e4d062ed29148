//! A request taken apart: the one set of parameters, wherever each of them came.

use std::collections::{BTreeMap, BTreeSet};

use super::answer::Refusal;

/// A request's parameters, from query and form body together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    /// The HTTP method, upper case.
    pub(crate) method: String,
    /// All of them, `Signature` too.
    pub(crate) params: BTreeMap<String, String>,
    /// Those that came in the URL.
    pub(crate) in_query: BTreeSet<String>,
    /// The headers, names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
}

impl Request {
    /// Takes a request apart; what could be read is kept even when it is refused, for the record.
    pub(crate) fn read(parts: &http::request::Parts, body: &[u8]) -> (Self, Result<(), Refusal>) {
        let mut request = Self { method: parts.method.to_string(), ..Self::default() };
        for (name, value) in &parts.headers {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            request.headers.insert(name.as_str().to_owned(), value);
        }
        let read = request.fill(parts, body);
        (request, read)
    }

    /// The parameter's value; an absent one and an empty one are told apart.
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        self.params.get(name).map(String::as_str)
    }

    /// The parameter's value, empty when absent.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.param(name).unwrap_or_default()
    }

    /// The parameter's value.
    ///
    /// # Errors
    /// `Missing` + name when it is absent or empty.
    pub(crate) fn required(&self, name: &str) -> Result<&str, Refusal> {
        match self.param(name) {
            None | Some("") => Err(Refusal::missing(name)),
            Some(value) => Ok(value),
        }
    }

    /// The parameter as a whole number from 1 to `most`.
    ///
    /// # Errors
    /// `Invalid` + name when it is none.
    pub(crate) fn number(&self, name: &str, default: usize, most: usize) -> Result<usize, Refusal> {
        let Some(text) = self.param(name) else { return Ok(default) };
        let number = text.parse().unwrap_or(0);
        if (1..=most).contains(&number) { Ok(number) } else { Err(Refusal::invalid(name)) }
    }

    fn fill(&mut self, parts: &http::request::Parts, body: &[u8]) -> Result<(), Refusal> {
        let query = pairs(parts.uri.query().unwrap_or_default())?;
        self.in_query = query.iter().map(|(name, _)| name.clone()).collect();
        self.add(query)?;
        if !body.is_empty() {
            self.check_form()?;
            let text = std::str::from_utf8(body).map_err(|error| {
                Refusal::new("InvalidParameter.Format").saying(format!("body: {error}"))
            })?;
            self.add(pairs(text)?)?;
        }
        if !matches!(self.method.as_str(), "GET" | "POST") {
            return Err(Refusal::new("UnsupportedHTTPMethod"));
        }
        // The path is not part of the signature; another one is another service.
        if parts.uri.path() == "/" { Ok(()) } else { Err(Refusal::new("InvalidApi.NotFound")) }
    }

    fn check_form(&self) -> Result<(), Refusal> {
        let kind = self.headers.get("content-type").map_or("", String::as_str);
        let kind = kind.split(';').next().unwrap_or_default().trim();
        if self.method != "GET" && kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Ok(());
        }
        Err(Refusal::new("InvalidParameter.Format").saying("a body must be the form of a POST"))
    }

    fn add(&mut self, pairs: Vec<(String, String)>) -> Result<(), Refusal> {
        for (name, value) in pairs {
            if self.params.contains_key(&name) {
                return Err(Refusal::new("InvalidParameter")
                    .saying(format!("the parameter {name} was given twice")));
            }
            self.params.insert(name, value);
        }
        Ok(())
    }
}

/// The pairs of an `application/x-www-form-urlencoded` text.
fn pairs(text: &str) -> Result<Vec<(String, String)>, Refusal> {
    let pieces = text.split('&').filter(|piece| !piece.is_empty());
    pieces
        .map(|piece| {
            let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
            Ok((decode(name)?, decode(value)?))
        })
        .collect()
}

/// Undoes percent-encoding; a plus is a space, as the SDKs of Python and Go send it.
fn decode(text: &str) -> Result<String, Refusal> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => out.push(hex_byte(rest.next(), rest.next()).ok_or_else(broken)?),
            plain => out.push(plain),
        }
    }
    String::from_utf8(out).map_err(|_not_utf8| broken())
}

fn hex_byte(high: Option<u8>, low: Option<u8>) -> Option<u8> {
    let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

fn broken() -> Refusal {
    Refusal::new("InvalidParameter.Format").saying("a parameter is not percent-encoded UTF-8")
}

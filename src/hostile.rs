//! All that reads what others wrote, a function a kind, for fuzzing (`fuzz/`) and for the test that runs its corpus.
//!
//! Each takes any bytes. None may panic, and what it has to say of them may neither lead a terminal astray nor show a
//! secret.
#![allow(clippy::panic, clippy::missing_panics_doc, reason = "what must not be ends the run")]

use std::path::Path;

use clap::Parser;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cert::{self, Cert, Key, Leaf};
use crate::cli::Cli;
use crate::config::{self, Config};
use crate::journal::{AccountMemory, Claim, LineageMemory, Record, TargetMemory};
use crate::{aliyun, ari, dns, hook, issue, told};

/// A function for any bytes.
pub type Reader = fn(&[u8]);

/// Each by the name of its corpus.
pub const READERS: [(&str, Reader); 7] = [
    ("pem", pem),
    ("config", config),
    ("cloud", aliyun::hostile::answer),
    ("acme", acme),
    ("dns", dns::hostile::message),
    ("hook", hook),
    ("journal", journal),
];

/// Runs the reader of this name.
///
/// # Panics
/// There is none, or it does what none may do.
pub fn run(name: &str, bytes: &[u8]) {
    match READERS.iter().find(|(one, _)| *one == name) {
        Some((_, reader)) => reader(bytes),
        None => panic!("there is no reader {name}"),
    }
}

/// Certificates and keys, in one file.
pub fn pem(bytes: &[u8]) {
    let words = [
        Cert::read(bytes, bytes).map(drop),
        Key::read(bytes).map(drop),
        Leaf::read(bytes).map(drop),
        cert::roots(bytes).map(drop),
        cert::leads_to(bytes).map(drop),
    ];
    words.into_iter().filter_map(Result::err).for_each(|error| drop(error.to_string()));
    // What was read is read again from what is uploaded.
    if let Ok(cert) = Cert::read(bytes, bytes) {
        use secrecy::ExposeSecret as _;
        let key = cert.key().traditional_pem();
        let again = Cert::read(cert.chain_pem().as_bytes(), key.expose_secret().as_bytes());
        assert!(
            again.is_ok_and(|again| again.chain_pem() == cert.chain_pem()),
            "not the same again"
        );
    }
}

/// The configuration.
pub fn config(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let (_, Some(errors)) = Config::read_in_part(&text, Path::new("/etc/certferry/config.toml"))
    {
        shown(&errors.to_string());
    }
}

/// A CA's answers: an order's and ARI's.
pub fn acme(bytes: &[u8]) {
    issue::hostile::answer(bytes);
    ari::hostile(bytes);
}

/// What a client tells a hook: variables, then words, each ended by a NUL.
pub fn hook(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut parts = text.split('\0');
    let (lineage, names) = (parts.next(), parts.next());
    let event = hook::certbot(|name| match name {
        "RENEWED_LINEAGE" => lineage,
        "RENEWED_DOMAINS" => names,
        _ => None,
    });
    match event {
        Ok(event) => {
            assert!(event.source.path.is_absolute(), "a relative source");
            event.names.iter().for_each(|name| drop(config::dns_name(name)));
        }
        Err(error) => shown(&error.to_string()),
    }
    if let Err(error) = Cli::try_parse_from(std::iter::once("certferry").chain(parts)) {
        shown(&error.render().to_string());
    }
}

/// The journal's files.
pub fn journal(bytes: &[u8]) {
    same_again::<LineageMemory>(bytes);
    same_again::<TargetMemory>(bytes);
    same_again::<AccountMemory>(bytes);
    same_again::<Record>(bytes);
    same_again::<Claim>(bytes);
}

/// What can be read is read the same from what we would write of it.
fn same_again<T: DeserializeOwned + Serialize + PartialEq>(bytes: &[u8]) {
    let Ok(first) = serde_json::from_slice::<T>(bytes) else { return };
    let Ok(text) = serde_json::to_string(&first) else { return };
    let again = serde_json::from_str::<T>(&text);
    assert!(again.is_ok_and(|again| again == first), "not the same again: {text}");
}

/// What `main` prints of a text.
fn shown(text: &str) {
    assert_tame(&told::shown(text));
}

/// Nothing in it that a terminal takes for an order.
pub(crate) fn assert_tame(text: &str) {
    let wild = text.chars().find(|&letter| letter != '\n' && told::leads_astray(letter));
    assert!(wild.is_none(), "{wild:?} in {text:?}");
}

#[cfg(test)]
mod tests;

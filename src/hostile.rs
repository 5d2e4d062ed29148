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
use crate::hook::{self, Event, Heard};
use crate::journal::{AccountMemory, Claim, LineageMemory, Record, TargetMemory};
use crate::{aliyun, ari, dns, issue, told};

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

/// What a client tells a hook: variables (`NAME=value`), words and lines of stdin, each ended by a NUL, with one more
/// after the variables and after the words. The words are a command line, too.
pub fn hook(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut parts = text.split('\0');
    let vars: Vec<_> = parts.by_ref().take_while(|part| !part.is_empty()).collect();
    let words = parts.by_ref().take_while(|part| !part.is_empty()).map(ToOwned::to_owned);
    let (words, stdin) = (words.collect::<Vec<_>>(), parts.collect::<Vec<_>>().join("\n"));
    if let Err(error) =
        Cli::try_parse_from(std::iter::once("certferry".to_owned()).chain(words.clone()))
    {
        shown(&error.render().to_string());
    }
    let var = |wanted: &str| {
        let mut vars = vars.iter().filter_map(|var| var.split_once('='));
        vars.find(|(name, value)| *name == wanted && !value.is_empty()).map(|(_, value)| value)
    };
    let call = hook::Call { var: &var, args: &words, files: None, here: Path::new("/here") };
    let events = match hook::hear(&call) {
        Ok(Heard::Nothing(_)) => Ok(Vec::new()),
        Ok(Heard::Certificate(event)) => Ok(vec![event]),
        Ok(Heard::Hosts(hosts)) => hosts.events(&stdin, Path::to_owned),
        Err(error) => Err(error),
    };
    match events {
        Ok(events) => events.iter().for_each(whole),
        Err(error) => {
            assert_eq!(error.to_string().lines().count(), 2, "{error:?}");
            shown(&error.to_string());
        }
    }
}

/// Whole paths, and nothing that would add a line to a message.
fn whole(event: &Event) {
    let paths = std::iter::once(&event.source.path).chain(&event.source.key);
    for path in paths {
        assert!(path.is_absolute(), "a relative source");
        assert!(!path.to_string_lossy().contains(char::is_control), "{path:?}");
    }
    assert!(!event.name.contains(char::is_control), "{:?}", event.name);
    event.names.told().iter().for_each(|name| drop(config::dns_name(name)));
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

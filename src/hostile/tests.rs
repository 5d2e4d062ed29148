//! The corpus of the fuzzers, and bytes by chance, through every reader.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

use proptest::prelude::*;

use super::*;

/// The files of a corpus; each is run. How many there were.
fn run_corpus(name: &str, reader: Reader) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let files = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
    files.map(|file| reader(&std::fs::read(file).unwrap())).count()
}

#[test]
fn every_corpus() {
    for (name, reader) in READERS {
        let files = run_corpus(name, reader);
        assert!(files >= 5, "{name}: {files} files");
    }
}

proptest! {
    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        READERS.iter().for_each(|(_, reader)| reader(&bytes));
    }

    /// Pieces of what is expected, in no order.
    #[test]
    fn pieces_of_sense(pieces in prop::collection::vec(0..PIECES.len(), 0..12)) {
        let text: String = pieces.into_iter().map(|piece| PIECES[piece]).collect();
        READERS.iter().for_each(|(_, reader)| reader(text.as_bytes()));
    }
}

const PIECES: [&str; 24] = [
    "-----BEGIN CERTIFICATE-----\n",
    "-----END CERTIFICATE-----\n",
    "-----BEGIN PRIVATE KEY-----\n",
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA",
    "{\"Code\":",
    "\"Message\":\"PrivateKey=canary-of-the-fuzzer\\u001b[31m\"",
    "{\"type\":\"urn:ietf:params:acme:error:",
    "rateLimited\"",
    ",\"detail\":\"",
    "\u{1b}]0;x\u{7}",
    "\u{202e}",
    "}",
    "[[certificate]]\n",
    "name = \"",
    "\"\n",
    "domains = [",
    "]\n",
    "/etc/letsencrypt/live/",
    "../",
    "\0",
    "--domain\0",
    "{\"succession\":[",
    "\"at\":\"2026-01-01T00:00:00Z\"",
    "-----END PRIVATE KEY-----",
];

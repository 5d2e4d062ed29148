//! The corpus of the fuzzers, and bytes by chance, through every reader.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

use proptest::prelude::*;

use super::*;

/// What holds a secret shows nothing of it to whoever prints it.
#[test]
fn debug_shows_no_secret() {
    let (chain, key) = cert::testing::pair(&["example.test"]);
    let cert = Cert::read(chain.as_bytes(), key.as_bytes()).unwrap();
    let line = key.lines().nth(1).unwrap();
    let body = format!("{{\"AccessKeySecret\":\"{CANARY}\"}}");
    let env = crate::ground::Env::from_iter([("ALIBABA_CLOUD_ACCESS_KEY_SECRET", CANARY)]);
    let answer = crate::http::Answer {
        status: 200,
        headers: reqwest::header::HeaderMap::from_iter([(
            reqwest::header::AUTHORIZATION,
            reqwest::header::HeaderValue::from_static(CANARY),
        )]),
        body: body.into_bytes(),
    };
    let on_disk = crate::look::OnDisk {
        pinned: vec![cert.clone()],
        cert: Some(cert.clone()),
        ..crate::look::OnDisk::default()
    };
    for (row, shown) in [
        ("Cert", format!("{cert:?}")),
        ("Key", format!("{:#?}", cert.key())),
        ("OnDisk", format!("{on_disk:?}")),
        ("Env", format!("{env:?}")),
        ("Answer", format!("{answer:?}")),
        (
            "Redactor",
            format!("{:?}", crate::secret::Redactor::knowing([CANARY.into(), key.clone().into()])),
        ),
        ("Credentials", aliyun::hostile::credentials_shown(CANARY)),
        ("Http", format!("{:?}", crate::http::Http::trusting(key.clone().into_bytes()))),
    ] {
        let bytes = format!("{:?}", &line.as_bytes()[..16]);
        for secret in [CANARY, line, bytes.trim_matches(['[', ']'])] {
            assert!(!shown.contains(secret), "{row}: {shown}");
        }
    }
}

const CANARY: &str = "canary-of-debug";

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

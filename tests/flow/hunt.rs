//! The hunt for secrets: whatever a place holds, is one of them in it, in any form that servers and logs give it?

use std::collections::HashSet;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};

/// The secrets that are hunted.
#[derive(Clone, Default)]
pub(crate) struct Hunt {
    texts: Vec<(String, String)>,
    /// Every run of [`GRAM`] letters in the base64 of a private key, at each of the places where it may begin: so a line of
    /// its PEM is found, whatever else is in that PEM and wherever it is wrapped.
    grams: HashSet<Vec<u8>>,
    /// The same of what is public: a certificate holds half of its key.
    public: HashSet<Vec<u8>>,
}

impl Hunt {
    /// A password, a token or the secret of an AccessKey.
    pub(crate) fn text(&mut self, name: &str, secret: &str) {
        assert!(secret.len() >= 8, "{name} is too short to be hunted");
        let mut forms = vec![secret.to_owned()];
        for before in 0..3 {
            let text = BASE64_STANDARD.encode([&[0; 3][..before], secret.as_bytes()].concat());
            let end = (before + secret.len()) * 8 / 6;
            let own = &text[(before * 8).div_ceil(6)..end];
            forms.extend([own.to_owned(), own.replace('+', "-").replace('/', "_")]);
        }
        let forms = forms.into_iter().map(|form| (name.to_owned(), form));
        self.texts.extend(forms);
    }

    /// A private key in PEM.
    pub(crate) fn key(&mut self, pem: &str) {
        self.key_der(pem::parse(pem).unwrap().contents());
    }

    pub(crate) fn key_der(&mut self, der: &[u8]) {
        self.grams.extend(grams_of(der));
    }

    /// Certificates in PEM, which anybody may see.
    pub(crate) fn public(&mut self, chain: &str) {
        for block in pem::parse_many(chain).unwrap() {
            self.public.extend(grams_of(block.contents()));
        }
    }

    /// Nothing of them may be at this place.
    pub(crate) fn check(&self, place: &str, bytes: &[u8]) {
        let mut text = String::from_utf8_lossy(bytes).into_owned();
        for times in 0..3 {
            for (name, secret) in &self.texts {
                let found = text.find(secret.as_str());
                assert!(
                    found.is_none(),
                    "{name} is in {place}, encoded {times} times: {}",
                    around(&text, found)
                );
            }
            let body = body_of(&text);
            let found = body.windows(GRAM).position(|gram| self.is_of_key(gram));
            assert!(
                found.is_none(),
                "a private key is in {place}, encoded {times} times: {}",
                around(&String::from_utf8_lossy(&body), found)
            );
            text = percent_decoded(&text);
        }
    }

    fn is_of_key(&self, gram: &[u8]) -> bool {
        self.grams.contains(gram) && !self.public.contains(gram)
    }
}

/// All forms in which a server may give back what it got.
pub(crate) fn forms(secret: &str) -> Vec<(&'static str, String)> {
    let once = percent_encoded(secret);
    vec![
        ("raw", secret.to_owned()),
        ("twice", percent_encoded(&once)),
        ("once", once),
        ("on one line", secret.replace('\n', "")),
        ("in JSON", secret.replace('\n', "\\n")),
        ("base64", BASE64_STANDARD.encode(format!("user:{secret}"))),
        ("base64url", BASE64_URL_SAFE.encode(format!("user:{secret}"))),
    ]
}

fn grams_of(der: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..3).flat_map(|before| {
        let text = BASE64_STANDARD.encode([&[0; 3][..before], der].concat());
        let own = &text.as_bytes()[(before * 8).div_ceil(6)..(before + der.len()) * 8 / 6];
        own.windows(GRAM).map(<[u8]>::to_vec).collect::<Vec<_>>()
    })
}

/// The letters of base64, standard alphabet, without line ends, also those that are written `\n`.
fn body_of(text: &str) -> Vec<u8> {
    let text = text.replace("\\\\n", "").replace("\\n", "").replace("\\u000a", "");
    let plain = text.bytes().filter(|letter| !letter.is_ascii_whitespace());
    plain
        .map(|letter| match letter {
            b'-' => b'+',
            b'_' => b'/',
            letter => letter,
        })
        .collect()
}

fn percent_encoded(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let encode = |byte: u8| match is_plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn around(text: &str, found: Option<usize>) -> String {
    let Some(at) = found else { return String::new() };
    let bytes = text.as_bytes();
    let part = &bytes[at.saturating_sub(200)..(at + 200).min(bytes.len())];
    String::from_utf8_lossy(part).into_owned()
}

/// Letters of base64 that are no chance: 15 bytes of a key.
const GRAM: usize = 20;

#[test]
fn the_hunt_finds_what_it_should() {
    let key = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let mut hunt = Hunt::default();
    hunt.key(&key);
    hunt.text("a password", "canary~of/the+hunt");
    let finds = |text: &str| {
        std::panic::catch_unwind(|| {
            hunt.check("a place", format!("before {text} after").as_bytes())
        })
        .is_err()
    };
    for (form, text) in forms("canary~of/the+hunt") {
        assert!(finds(&text), "{form}");
    }
    for (form, text) in forms(&key).into_iter().filter(|(form, _)| !form.contains("64")) {
        assert!(finds(&text), "{form}");
    }
    assert!(finds(key.lines().nth(1).unwrap()), "a line");
    assert!(!finds("nothing of it"));
}

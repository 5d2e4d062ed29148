//! The hunt for secrets: whatever a place holds, is one of them in it, in any form that servers and logs give it?

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD};

use crate::house::Ended;
use crate::issuing::Town;

/// The secrets that are hunted.
#[derive(Clone, Default)]
pub(crate) struct Hunt {
    texts: Vec<(String, String)>,
    /// Which of them begin with these [`HEAD`] bytes.
    heads: HashMap<u64, Vec<usize>>,
    head_marks: Marks,
    /// Every run of [`GRAM`] letters in the base64 of a private key, at each of the places where it may begin: so a line of
    /// its PEM is found, whatever else is in that PEM and wherever it is wrapped.
    grams: HashSet<u128>,
    gram_marks: Marks,
    /// The same of what is public: a certificate holds half of its key.
    public: HashSet<u128>,
}

/// Marks of what is looked for, of which few are had by anything else: a log is megabytes, and most of it needs no second
/// look.
#[derive(Clone)]
struct Marks(Vec<bool>);

impl Default for Marks {
    fn default() -> Self {
        Self(vec![false; 1 << 16])
    }
}

impl Marks {
    fn put(&mut self, bits: u64) {
        self.0[Self::place(bits)] = true;
    }

    fn has(&self, bits: u64) -> bool {
        self.0[Self::place(bits)]
    }

    fn place(bits: u64) -> usize {
        // The top bits of a product with an odd number depend on all of the factor's.
        usize::try_from(bits.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48).unwrap()
    }
}

impl Hunt {
    /// A password, a token or the secret of an AccessKey.
    pub(crate) fn text(&mut self, name: &str, secret: &str) {
        assert!(secret.len() >= 8, "{name} is too short to be hunted");
        let once = encoded(secret);
        // What is left of a short one's middle, encoded again, is no longer its own.
        let twice = once.iter().filter(|form| form.len() >= 12).flat_map(|form| encoded(form));
        let forms = once.iter().cloned().chain(twice).chain([secret.to_owned()]);
        forms.for_each(|form| self.form(name, form));
    }

    fn form(&mut self, name: &str, form: String) {
        let head = form.as_bytes().first_chunk().map(|head| u64::from_be_bytes(*head));
        let head = head.unwrap_or_else(|| panic!("a form of {name} is too short to be hunted"));
        self.head_marks.put(head);
        self.heads.entry(head).or_default().push(self.texts.len());
        self.texts.push((name.to_owned(), form));
    }

    /// A private key in PEM.
    pub(crate) fn key(&mut self, pem: &str) {
        self.key_der(pem::parse(pem).unwrap().contents());
        // Its text, as whoever encodes a whole request has it. The first line is much the same for every key.
        let lines = pem.lines().filter(|line| !line.starts_with("-----") && line.len() > 32);
        for line in lines.skip(1).take(2) {
            let once = encoded(line);
            let twice = once.iter().flat_map(|form| encoded(form));
            let forms = once.iter().cloned().chain(twice);
            forms.for_each(|form| self.form("a line of a key", form));
        }
    }

    pub(crate) fn key_der(&mut self, der: &[u8]) {
        for gram in grams_of(der) {
            self.gram_marks.put(folded(gram));
            self.grams.insert(gram);
        }
    }

    /// Certificates in PEM, which anybody may see.
    pub(crate) fn public(&mut self, chain: &str) {
        for block in pem::parse_many(chain).unwrap() {
            self.public.extend(grams_of(block.contents()));
        }
    }

    /// All that nobody may see of a town: what its folder's secret files hold, its store's keys, its temporary keys.
    pub(crate) fn of_town(town: &Town) -> Self {
        let mut hunt = Self::default();
        for name in ["aliyun.secret", "tsig.key"] {
            // One that was taken away is nothing that a program could tell.
            if let Ok(secret) = fs::read_to_string(town.folder.path().join(name)) {
                hunt.text(name, &secret);
            }
        }
        let tsig = &town.world.tsig_key().secret;
        hunt.text("the TSIG key", &String::from_utf8(tsig.clone()).unwrap());
        for key in town.world.cloud.temporary_keys() {
            town.world.cloud.account(&key, |account| {
                hunt.text("a temporary secret", &account.secret);
                hunt.text("a token", account.token.as_deref().unwrap());
            });
        }
        let files = all_files_of(&town.store(""));
        for (path, text) in files.iter().filter(|(path, _)| is_secret(path)) {
            match path.ends_with("account.json") {
                true => hunt.key_der(&account_key(text)),
                false if path.ends_with("privkey.pem") => hunt.key(text),
                false => {}
            }
        }
        let is_public = |path: &str| path.ends_with(".pem") && !is_secret(path);
        for (_, text) in files.iter().filter(|(path, _)| is_public(path)) {
            hunt.public(text);
        }
        hunt
    }

    /// Looks into all that a run in this town has said and left.
    pub(crate) fn check_run(&self, run: &str, town: &Town, ended: &Ended) {
        self.check_said(run, ended);
        for (path, text) in files_of(&town.store("")).iter().filter(|(path, _)| !is_secret(path)) {
            self.check(&format!("{run}: {path}"), text.as_bytes());
        }
    }

    /// Looks into what a run has said.
    pub(crate) fn check_said(&self, run: &str, ended: &Ended) {
        self.check(&format!("{run}: stdout"), ended.stdout.as_bytes());
        self.check(&format!("{run}: stderr"), ended.stderr.as_bytes());
    }

    /// Nothing of them may be at this place.
    pub(crate) fn check(&self, place: &str, bytes: &[u8]) {
        let raw = String::from_utf8_lossy(bytes).into_owned();
        let mut texts = vec![raw];
        // Twice, by either encoding that changes it.
        let mut newest = 0;
        for _ in 0..2 {
            let before = texts.len();
            for at in newest..before {
                let decoded = [percent_decoded(&texts[at]), json_decoded(&texts[at])];
                let new =
                    decoded.into_iter().filter(|text| !texts.contains(text)).collect::<Vec<_>>();
                texts.extend(new);
            }
            newest = before;
        }
        texts.iter().for_each(|text| self.check_text(place, text));
    }

    fn check_text(&self, place: &str, text: &str) {
        if let Some((at, (name, secret))) = self.first_form(text.as_bytes()) {
            panic!("{name} is in {place}, as {secret}: {}", around(text, at));
        }
        let found = runs(text.as_bytes()).find(|(_, gram)| self.is_of_key(*gram));
        if let Some((at, _)) = found {
            panic!("a private key is in {place}: {}", around(text, at));
        }
    }

    /// The first of the texts that is in this one, and where.
    fn first_form(&self, text: &[u8]) -> Option<(usize, &(String, String))> {
        let mut head = 0_u64;
        for (at, byte) in text.iter().enumerate() {
            head = head << 8 | u64::from(*byte);
            if at + 1 < HEAD || !self.head_marks.has(head) {
                continue;
            }
            let begin = at + 1 - HEAD;
            let is_here =
                |form: &&usize| text[begin..].starts_with(self.texts[**form].1.as_bytes());
            if let Some(form) = self.heads.get(&head).into_iter().flatten().find(is_here) {
                return Some((begin, &self.texts[*form]));
            }
        }
        None
    }

    fn is_of_key(&self, gram: u128) -> bool {
        self.gram_marks.has(folded(gram))
            && self.grams.contains(&gram)
            && !self.public.contains(&gram)
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
        ("base64 twice", BASE64_STANDARD.encode(BASE64_STANDARD.encode(format!("us:{secret}")))),
        ("hex", hex(secret)),
        ("hex of base64", hex(&BASE64_STANDARD.encode(format!("u:{secret}")))),
        ("base64 of hex", BASE64_STANDARD.encode(format!("u:{}", hex(secret)))),
        ("a string in JSON", serde_json::Value::from(secret).to_string().replace('/', "\\/")),
        ("JSON's numbers", json_numbers(secret)),
        ("percent of base64", percent_encoded(&BASE64_STANDARD.encode(format!("u:{secret}")))),
    ]
}

/// In base64 at each place where it may begin, in both alphabets, and in hex: what is its own of that, whatever stands around.
fn encoded(text: &str) -> Vec<String> {
    let mut forms = vec![hex(text), hex(text).to_lowercase()];
    for before in 0..3 {
        let whole = BASE64_STANDARD.encode([&[0; 3][..before], text.as_bytes()].concat());
        let own = &whole[(before * 8).div_ceil(6)..(before + text.len()) * 8 / 6];
        forms.extend([own.to_owned(), own.replace('+', "-").replace('/', "_")]);
    }
    forms.sort();
    forms.dedup();
    forms
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02X}")).collect()
}

fn json_numbers(text: &str) -> String {
    let letter = |letter: char| match letter.is_ascii_alphanumeric() {
        true => letter.to_string(),
        false => format!("\\u{:04x}", u32::from(letter)),
    };
    text.chars().map(letter).collect()
}

/// What JSON has escaped, as it was.
fn json_decoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let escape = &rest[at + 1..];
        let number = || u32::from_str_radix(escape.get(1..5)?, 16).ok().and_then(char::from_u32);
        let (letter, taken) = match escape.chars().next() {
            Some('n') => ('\n', 1),
            Some('r') => ('\r', 1),
            Some('u') => number().map_or(('u', 1), |letter| (letter, 5)),
            Some(letter) => (letter, letter.len_utf8()),
            None => break,
        };
        out.push(letter);
        rest = &escape[taken..];
    }
    out + rest
}

/// Keys are where keys belong.
fn is_secret(path: &str) -> bool {
    path.ends_with("/privkey.pem") || path.contains("/store/acme/") || path.contains("/store/dns/")
}

fn account_key(json: &str) -> Vec<u8> {
    let json: serde_json::Value = serde_json::from_str(json).unwrap();
    BASE64_URL_SAFE_NO_PAD.decode(json["key_pkcs8"].as_str().unwrap()).unwrap()
}

/// Every file below, links not followed; each must be its owner's alone.
pub(crate) fn files_of(folder: &Path) -> Vec<(String, String)> {
    check_modes(folder);
    all_files_of(folder)
}

fn check_modes(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    assert_eq!(mode_of(folder), 0o700, "{}", folder.display());
    for path in entries.map(|entry| entry.unwrap().path()) {
        let facts = path.symlink_metadata().unwrap();
        if facts.is_dir() {
            check_modes(&path);
        } else if facts.is_file() {
            assert_eq!(mode_of(&path), 0o600, "{}", path.display());
        }
    }
}

fn all_files_of(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let Ok(entries) = fs::read_dir(folder) else { return found };
    for path in entries.map(|entry| entry.unwrap().path()) {
        let facts = path.symlink_metadata().unwrap();
        if facts.is_dir() {
            found.extend(all_files_of(&path));
        } else if facts.is_file() {
            let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
            found.push((path.display().to_string(), text));
        }
    }
    found
}

fn mode_of(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn grams_of(der: &[u8]) -> impl Iterator<Item = u128> {
    (0..3).flat_map(|before| {
        let text = BASE64_STANDARD.encode([&[0; 3][..before], der].concat());
        let own = &text.as_bytes()[(before * 8).div_ceil(6)..(before + der.len()) * 8 / 6];
        runs(own).map(|(_, gram)| gram).collect::<Vec<_>>()
    })
}

/// Every run of [`GRAM`] letters of base64, in either alphabet and whatever white space is between them: where it ends, and
/// its six bits a letter.
fn runs(text: &[u8]) -> impl Iterator<Item = (usize, u128)> {
    let (mut gram, mut length) = (0_u128, 0);
    text.iter().enumerate().filter_map(move |(at, letter)| {
        if letter.is_ascii_whitespace() {
            return None;
        }
        let Some(bits) = bits_of(*letter) else {
            length = 0;
            return None;
        };
        gram = (gram << 6 | u128::from(bits)) & (u128::MAX >> (128 - 6 * GRAM));
        length += 1;
        (length >= GRAM).then_some((at, gram))
    })
}

const fn bits_of(letter: u8) -> Option<u8> {
    Some(match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    })
}

/// All of its bits have a say.
fn folded(gram: u128) -> u64 {
    let [high, low] = [gram >> 64, gram & u128::from(u64::MAX)];
    u64::try_from(high ^ low).unwrap()
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
        let hex = if bytes[at] == b'%' { text.get(at + 1..at + 3) } else { None };
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

fn around(text: &str, at: usize) -> String {
    let bytes = text.as_bytes();
    let part = &bytes[at.saturating_sub(200)..(at + 200).min(bytes.len())];
    String::from_utf8_lossy(part).into_owned()
}

/// Letters of base64 that are no chance: 15 bytes of a key.
const GRAM: usize = 20;

/// Bytes that every form has.
const HEAD: usize = size_of::<u64>();

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
    for (form, text) in forms(&key) {
        assert!(finds(&text), "{form}");
    }
    assert!(finds(key.lines().nth(1).unwrap()), "a line");
    let wrapped: Vec<String> = key.chars().map(|letter| format!("{letter}\n ")).collect();
    assert!(finds(&wrapped.concat()), "wrapped at every letter");
    let public = "canary~of/the+hunts, and more of what is no secret".repeat(1000);
    assert!(!finds(&public.replace("hunts", "hound")) && !finds("nothing of it"));
}

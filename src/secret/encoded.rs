//! What a text says in other letters: signs that JSON has escaped, and words that are base64 or hex of something.

use std::ops::Range;

use base64::Engine as _;
use base64::alphabet::{STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

/// `\u002f` and `\/` as they read, however often the backslash itself was escaped: some servers write every sign so.
pub(super) fn unescaped(text: &str) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(text.len()));
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        let sign = escape.trim_start_matches('\\');
        let number = sign.strip_prefix('u').and_then(|digits| digits.get(..4));
        let letter = number.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        out.push_str(before);
        rest = match (letter.and_then(char::from_u32), sign.strip_prefix('/')) {
            (Some(letter), _) => {
                out.push(letter);
                sign.get(5..).unwrap_or_default()
            }
            (None, Some(_)) => sign,
            (None, None) => {
                out.push_str(escape.get(..escape.len() - sign.len()).unwrap_or_default());
                sign
            }
        };
    }
    out.push_str(rest);
    out
}

/// Where words stand that hold, once or twice encoded, what `is_secret` knows.
pub(super) fn words(text: &str, is_secret: &dyn Fn(&str) -> bool) -> Vec<Range<usize>> {
    runs(text).into_iter().filter(|run| holds(&text[run.clone()], is_secret, DEPTH)).collect()
}

/// Runs of letters that either alphabet of base64 has, and so hex.
fn runs(text: &str) -> Vec<Range<usize>> {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(&byte);
    let mut runs = Vec::new();
    let mut begin = 0;
    // One more byte than there is, so that the last run ends too.
    for (at, byte) in text.bytes().chain([b' ']).enumerate() {
        if is_letter(byte) {
            continue;
        }
        if at - begin >= SHORTEST {
            runs.push(begin..at);
        }
        begin = at + 1;
    }
    runs
}

fn holds(word: &str, is_secret: &dyn Fn(&str) -> bool, depth: usize) -> bool {
    decoded(word).any(|text| {
        is_secret(&text)
            || depth > 1
                && runs(&text).into_iter().any(|run| holds(&text[run], is_secret, depth - 1))
    })
}

/// What the word may stand for. Its first letters may belong to what stood before: `Basic` without a blank.
fn decoded(word: &str) -> impl Iterator<Item = Zeroizing<String>> {
    let text = |bytes: Vec<u8>| {
        let bytes = Zeroizing::new(bytes);
        Zeroizing::new(String::from_utf8_lossy(&bytes).into_owned())
    };
    let base64 = (0..4).filter_map(move |skipped| {
        let word = word.get(skipped..)?;
        // A last letter alone holds no byte.
        let word = if word.len() % 4 == 1 { word.get(..word.len() - 1)? } else { word };
        let alphabet = if word.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
        GeneralPurpose::new(alphabet, LAX).decode(word).ok()
    });
    let hex = (0..2).filter_map(move |skipped| {
        let digits = word.get(skipped..)?.as_bytes();
        let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        digits.chunks_exact(2).map(pair).collect::<Option<Vec<u8>>>()
    });
    base64.chain(hex).map(text)
}

/// Encoded once, and once more.
const DEPTH: usize = 2;

/// Six bytes, the shortest secret, are eight letters of base64.
const SHORTEST: usize = 8;

const LAX: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);

//! Names of files made from names of things. Names of lineages are tame by config, those of claims come from anywhere.

use sha2::{Digest as _, Sha256};

/// One name of a file for any text; two texts never share one. `[A-Za-z0-9._-]` stand, all else becomes `%XX`.
/// Never empty, never beginning with a dot (those are temporary files), never over [`LONGEST`] bytes.
pub(super) fn file_name(text: &str) -> String {
    joined(&[text])
}

/// As [`file_name`], for a thing that is known by several texts: they are joined by `@`, which stands in none of them.
pub(super) fn joined(texts: &[&str]) -> String {
    let escaped: Vec<String> = texts.iter().map(|text| escape(text)).collect();
    let mut name = escaped.join("@");
    if name.starts_with('.') {
        name.replace_range(..1, "%2E");
    }
    if name.is_empty() {
        // A lone `%` is no escape, so no other text has this name.
        name.push('%');
    }
    if name.len() <= LONGEST {
        return name;
    }
    // `%%` is in no escaped text: a long name's digest cannot be imitated by a short name.
    format!("{}%%{}", &name[..KEPT_OF_LONG], digest(&[name.as_bytes()]))
}

/// SHA-256 of several texts in lower hex. Their lengths go in too: `ab`,`c` and `a`,`bc` differ.
pub(super) fn digest(texts: &[&[u8]]) -> String {
    let mut sum = Sha256::new();
    for text in texts {
        sum.update((text.len() as u64).to_be_bytes());
        sum.update(text);
    }
    sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A text as one word of a POSIX shell, and of one line of a message: control characters are shown, not sent.
pub(super) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@%=,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    let visible: String = text
        .chars()
        .map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() })
        .collect();
    format!("'{}'", visible.replace('\'', r"'\''"))
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"._-".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// Longest name in bytes: file systems take 255, and `lineage-`, `.lock`, `.json.damaged-1` come around it.
const LONGEST: usize = 200;

/// So many bytes of a name that is too long stay, for people: with the digest (64) and `%%` it is below [`LONGEST`].
const KEPT_OF_LONG: usize = 100;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_tame() {
        let check = |text: &str, expected: &str| assert_eq!(file_name(text), expected, "{text:?}");
        check("example.com", "example.com");
        check("Ab_9-x", "Ab_9-x");
        check("", "%");
        check(".", "%2E");
        check("..", "%2E.");
        check(".hidden", "%2Ehidden");
        check("a/b", "a%2Fb");
        check("../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd");
        check("a%2Fb", "a%252Fb");
        check("a\nb\0c", "a%0Ab%00c");
        check("*.example.com", "%2A.example.com");
        check("münchen", "m%C3%BCnchen");
        check(&"x".repeat(200), &"x".repeat(200));
    }

    #[test]
    fn joined_names_do_not_meet() {
        let check = |texts: &[&str], expected: &str| assert_eq!(joined(texts), expected);
        check(&["default", "cdn.example.com"], "default@cdn.example.com");
        check(&["default", ".example.com"], "default@.example.com");
        check(&["a@b", "c"], "a%40b@c");
        check(&["a", "b@c"], "a@b%40c");
        check(&["", ""], "@");
    }

    #[test]
    fn long_names_are_short_and_differ() {
        let mut seen = BTreeMap::new();
        for text in ["x".repeat(201), "x".repeat(202), "/".repeat(100), "é".repeat(5000)] {
            let name = file_name(&text);
            assert!(name.len() <= LONGEST, "{name}");
            assert_eq!(seen.insert(name.clone(), text), None, "{name}");
        }
    }

    #[test]
    fn digests_know_where_a_text_ends() {
        assert_ne!(digest(&[b"ab", b"c"]), digest(&[b"a", b"bc"]));
        assert_eq!(digest(&[b"a"]).len(), 64);
    }

    #[test]
    fn quoted_for_a_shell() {
        let check = |text: &str, expected: &str| assert_eq!(quoted(text), expected);
        check("/etc/letsencrypt/live/a.b", "/etc/letsencrypt/live/a.b");
        check("", "''");
        check("a b", "'a b'");
        check("a;rm -rf '/'", r"'a;rm -rf '\''/'\'''");
        check("a\nb\u{1b}", r"'a\nb\u{1b}'");
    }

    proptest! {
        #[test]
        fn any_text_has_a_tame_name_of_its_own(a in "(?s).{0,300}", b in "(?s).{0,300}") {
            let (name, other) = (file_name(&a), file_name(&b));
            prop_assert!(!name.is_empty() && name.len() <= LONGEST && !name.starts_with('.'));
            prop_assert!(name.bytes().all(|c| c.is_ascii_alphanumeric() || b"._-%".contains(&c)));
            prop_assert_eq!(a == b, name == other);
        }
    }
}

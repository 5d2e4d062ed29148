//! Errors as people read them: what is wrong, cause by cause, then what to do. A remedy is a line `help: …`. Pure.

use std::borrow::Cow;

/// What is wrong and what to do, of a whole chain of causes. Remedies may stand anywhere in it.
#[must_use]
pub fn parts(error: &anyhow::Error) -> (String, String) {
    let told: Vec<(String, String)> =
        error.chain().map(|cause| split(&cause.to_string())).collect();
    let join = |parts: Vec<&str>, between| {
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(between)
    };
    let what = join(told.iter().map(|(what, _)| what.as_str()).collect(), ": ");
    let mut help: Vec<&str> = Vec::new();
    for (_, remedy) in &told {
        // A full disk is in the way of what was to be done, and of remembering that.
        if !help.contains(&remedy.as_str()) {
            help.push(remedy);
        }
    }
    (what, join(help, "; "))
}

/// The chain as one text, remedies last: what [`split`] takes apart again.
#[must_use]
pub fn text(error: &anyhow::Error) -> String {
    match parts(error) {
        (what, help) if help.is_empty() => what,
        (what, help) => format!("{what}\nhelp: {help}"),
    }
}

/// Parts a text into what is wrong and what to do.
#[must_use]
pub fn split(text: &str) -> (String, String) {
    let mut what = Vec::new();
    let mut help = Vec::new();
    for line in text.lines() {
        match line.trim_start().strip_prefix("help: ") {
            Some(remedy) => help.push(remedy.trim()),
            None => what.push(line.trim_end()),
        }
    }
    (what.join("\n"), help.join("; "))
}

/// An error on a terminal, with its line end.
#[must_use]
pub fn lines(label: &str, what: &str, help: &str) -> String {
    let what = what.replace('\n', "\n  ");
    let help = if help.is_empty() { String::new() } else { format!("  help: {help}\n") };
    format!("{label}: {what}\n{help}")
}

/// A text as a terminal or a log may have it: what leads its reader astray is written as `\u001b`, which JSON reads too.
#[must_use]
pub fn shown(text: &str) -> Cow<'_, str> {
    let is_wild = |letter: char| letter != '\n' && leads_astray(letter);
    if !text.contains(is_wild) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        match is_wild(letter) {
            true => shown.push_str(&format!("\\u{:04x}", u32::from(letter))),
            false => shown.push(letter),
        }
    }
    Cow::Owned(shown)
}

/// Controls, and the letters of Unicode that turn or break a line.
#[must_use]
pub fn leads_astray(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leads_astray() {
        let check = |text: &str, expect: &str| assert_eq!(shown(text), expect);
        check("plain \u{57df}\u{540d}\n  help: do\n", "plain \u{57df}\u{540d}\n  help: do\n");
        check("\u{1b}[31mred\r", "\\u001b[31mred\\u000d");
        check("a\tb\0\u{7f}\u{9b}", "a\\u0009b\\u0000\\u007f\\u009b");
        check("\u{202e}drawkcab\u{2028}", "\\u202edrawkcab\\u2028");
    }

    #[test]
    fn remedies_come_last() {
        let check = |error: anyhow::Error, expect: &str| assert_eq!(text(&error), expect);
        check(anyhow::anyhow!("no"), "no");
        check(anyhow::anyhow!("no\nhelp: do"), "no\nhelp: do");
        let chain = anyhow::anyhow!("why\nhelp: first").context("what\nhelp: then");
        check(chain, "what: why\nhelp: then; first");
        let twice = anyhow::anyhow!("why\nhelp: do").context("what\nhelp: do");
        check(twice, "what: why\nhelp: do");
        check(anyhow::anyhow!("a\nb\n  help: c"), "a\nb\nhelp: c");
    }
}
